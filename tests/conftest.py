"""Fixtures for all: two tenants, always."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import hypothesis
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from pytest_django import DjangoDbBlocker

from agentapp import clock as clock_module
from agentapp.models import ApiKey, Tenant
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import principals, tenants
from agentapp.services.principals import Principal
from tests import emptying, sessions, static_files, template, unrecorded
from tests import kinds as kinds  # registers the probe kinds

# The same examples each time, and no stopwatch: a machine that is busy must not break a test.
hypothesis.settings.register_profile(
    "steady", derandomize=True, database=None, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("steady")

# Django's own makes a million rounds for every password. Processes that tests start keep it.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


static_files.look_once()

# Steps that this process runs follow each other in place however long they take; processes that tests start keep it.
settings.AGENTAPP_IN_PLACE_BUDGET_S = 3_600.0


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Copy the migrated database where there is one; pytest-django asks for this before it makes the test's."""
    settings.DATABASES["default"].setdefault("TEST", {})["TEMPLATE"] = template.name() or None


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The test's database, of which a test that commits leaves nothing."""
    with django_db_blocker.unblock():
        emptying.begin()
    yield
    with django_db_blocker.unblock():
        sessions.wait_for_their_end()


@pytest.fixture
def tenant(db: None) -> Tenant:
    return tenants.create(slug="sample", name="Sample Company")


@pytest.fixture
def other_tenant(db: None) -> Tenant:
    return tenants.create(slug="other", name="Other Company")


@pytest.fixture
def api_key(tenant: Tenant) -> ApiKey:
    return unrecorded.key(tenant, *API_SCOPES, name="all")[0]


@pytest.fixture
def principal(api_key: ApiKey, other_tenant: Tenant) -> Principal:
    return principals.of_key(api_key)


@pytest.fixture
def other_principal(other_tenant: Tenant) -> Principal:
    return principals.of_key(unrecorded.key(other_tenant, *API_SCOPES, name="all")[0])


@pytest.fixture
def admin_user(db: None) -> User:
    return User.objects.create_superuser("root", "root@sample.test", "a long password for tests")


@pytest.fixture
def clock() -> Iterator[clock_module.Clock]:
    with clock_module.frozen_at(datetime(2030, 1, 1, 12, tzinfo=UTC)) as stopped:
        yield stopped
