"""Problems fit their cause: a type has one title for all that it is used for, the detail says the rest. [A9]"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentapp.api import problems
from agentapp.models import Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db
NOBODY = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def task(principal: Principal) -> Workflow:
    return workflows.submit(principal, kind="probe_fan", input={})


def ended(api: Api, task: Workflow) -> Any:
    api.post(f"/tasks/{task.pk}/cancel", {})
    return api.post(f"/tasks/{task.pk}/cancel", {})


# What the title must say nothing of, for it is not what is wrong in each of these requests.
REQUESTS: dict[str, tuple[int, str, str, Callable[[Api, Workflow], Any]]] = {
    "a name that stands twice": (400, "malformed-json", "not JSON", lambda api, _: api.post("/tasks", '{"a":1,"a":2}')),
    "a number of 2,000 digits": (
        400, "malformed-json", "not JSON", lambda api, _: api.post("/tasks", '{"a":' + "1" * 2_000 + "}"),
    ),
    "Last-Event-ID that is no number": (
        400, "bad-request", "query parameter",
        lambda api, task: api.client.get(
            f"/tasks/{task.pk}/stream", headers=api.headers | {"Last-Event-ID": "x", "Accept": "text/event-stream"}
        ),
    ),
    "last_event_id that is no number": (
        400, "bad-query", "", lambda api, task: api.get(f"/tasks/{task.pk}/stream", last_event_id="x"),
    ),
    "a stream token that is none": (401, "unauthenticated", "API key", lambda _, task: Api().get("/stream?token=x")),
    "a task that is over": (409, "conflict", "changed", ended),
    "a body that is packed as br": (
        415, "unsupported-media-type", "must be JSON",
        lambda api, _: api.post("/tasks", b"{}", **{"Content-Encoding": "br"}),
    ),
    "a body of another type": (
        415, "unsupported-media-type", "", lambda api, _: api.post("/tasks", "a=1", content_type="text/plain"),
    ),
    "an id that nobody has": (404, "not-found", "", lambda api, _: api.get(f"/tasks/{NOBODY}")),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_the_title_of_a_problem_fits_it(api: Api, task: Workflow, name: str) -> None:
    status, slug, wrong, send = REQUESTS[name]

    problem = problem_of(send(api, task), status)

    assert problem["type"].endswith(f"/problems/{slug}")
    assert problem["title"] == problems.KINDS[slug].title
    assert not wrong or wrong not in problem["title"]
    assert problem["title"].casefold() not in problem["detail"].casefold()


def test_who_sends_a_stream_token_that_is_none_is_told_that_it_is_the_token() -> None:
    challenges = [Api().get(path)["WWW-Authenticate"] for path in ("/stream?token=x", "/stream", "/tasks")]

    assert ['error="invalid_token"' in challenge for challenge in challenges] == [True, False, False]


def test_titles_are_unlike_each_other_and_name_no_single_case() -> None:
    titles = [kind.title for kind in problems.KINDS.values()]

    assert len(set(titles)) == len(titles)
    assert [title for title in titles if title.endswith(".") or title != title[0].upper() + title[1:]] == []


@pytest.mark.parametrize("spelling", ["{{{}}}", "urn:uuid:{}", "uuid:{}", "-{}"])
def test_a_record_has_one_address(api: Api, spelling: str) -> None:
    task = api.submit().json()["id"]

    assert api.get(f"/tasks/{task.upper()}").status_code == 200
    problem_of(api.get(f"/tasks/{spelling.format(task)}"), 404)
