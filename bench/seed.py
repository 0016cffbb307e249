"""Fill a database with sample data for looking at pages: tasks, approvals and dead letters of several tenants.

    python -m bench.seed --workflows 10000 --approvals 500 --dead-letters 2000

It fills the database of the stack that runs on this home (`make up`), or the one of DATABASE_URL. Rows are made inside
of Postgres: some hundred thousand take seconds. The tenants are called `sample-...`, and each task has the label
`sample`; they are of the kind `support_reply`, and nothing of it waits for a worker. Some texts are long,
written from right to left, or hold markup, so that pages are seen with them. Each run adds tenants of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import seed_rows as rows

if TYPE_CHECKING:
    from django.db.models import Model

    from agentapp.flows import Flow
    from agentapp.models import Tenant

# Sources that are asked, each by a job.
PARTS = 2
SUBJECTS = (
    "Where is my order?", "Two invoices for one month", "I cannot log in", "How do I cancel?", "The report is empty",
    "مرحبا، أين طلبي؟", "Wo bleibt meine Bestellung? 🧑‍🚀", "<b>Bold</b> & <script>document.title='ran'</script>",
    "Donaudampfschifffahrtsgesellschaftskapitänspatentverlängerungsantragsformularnummer" * 2,
)  # fmt: skip
LONG = "A long question. " * 1_200
ADDRESSES = ("reader@sample.test", "a.customer@sample.test", f"{'a' * 60}@{'long-' * 11}domain.sample.test")
# The position at which a task of this kind failed, and how.
FAILURES = (
    (3, "ServerOverloaded", "The model server at https://models.sample.test is overloaded (503).", "transient"),
    (7, "CannotBeSent", "550 5.1.1 The mail server does not know the recipient reader@sample.test.", "permanent"),
    (4, "OutputInvalid", "The model answered with no score between 0 and 1.", "permanent"),
    (7, "EffectUnknown", "Nobody knows whether the mail has arrived.", "permanent"),
    (1, "ValidationError", "<img src=x onerror=\"document.title='ran'\"> is not a subject", "permanent"),
)  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """Tasks in all, and how many of them wait for a person's decision, are dead letters, or began within the last three
    minutes."""

    workflows: int = 10_000
    approvals: int = 500
    dead_letters: int = 2_000
    tenants: int = 4
    lately: int = 0


def fill(sizes: Sizes) -> list[Tenant]:
    """Make the rows in one transaction, and return the tenants that they belong to."""
    from django.db import connection, transaction

    from agentapp.models import Approval, Attempt, Effect, History, Job, ModelCall, Stage, Tenant, Workflow
    from agentapp.services import api_keys, tenants

    with transaction.atomic(), connection.cursor() as cursor:
        known = Tenant.objects.filter(slug__startswith="sample-").count()
        numbers = range(known + 1, known + 1 + sizes.tenants)
        made = [tenants.create(slug=f"sample-{number}", name=f"Sample Company {number}") for number in numbers]
        keys = [api_keys.create(tenant=tenant, name="sample client", scopes=["tasks:write"])[0] for tenant in made]
        _plan(cursor, sizes, [tenant.pk for tenant in made], [key.pk for key in keys])
        _insert(cursor, Workflow, "plan", rows.WORKFLOW)
        _insert(cursor, Stage, "stages", rows.STAGE)
        # Jobs name the rows of their stages, whose ids are known from here on.
        cursor.execute(rows.JOBS)
        _insert(cursor, Job, "jobs", rows.JOB)
        _insert(cursor, Job, rows.PLANNED, rows.PLANNED_JOB)
        _insert(cursor, Attempt, rows.ATTEMPTS, rows.ATTEMPT)
        _insert(cursor, History, rows.HISTORIES, rows.HISTORY)
        _insert(cursor, Approval, "plan WHERE position >= 6", rows.APPROVAL)
        _insert(cursor, ModelCall, "jobs WHERE model <> '' AND done", rows.CALL)
        _insert(cursor, Effect, rows.EFFECTS, rows.EFFECT)
        cursor.execute("DROP TABLE jobs, stages, plan")
    return made


def analyze() -> None:
    """Tell the planner about the new rows; not within a transaction."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _plan(cursor: Any, sizes: Sizes, tenants: Sequence[int], keys: Sequence[int]) -> None:
    """What each task is: temporary tables of the tasks, their stages and their jobs, which all rows are made of."""
    from agentapp.flows import plans

    steps = _steps()
    cursor.execute(rows.PLAN, {
        "now": _now(), "tenants": list(tenants), "keys": list(keys), "all": sizes.workflows,
        "approvals": sizes.approvals, "letters": sizes.dead_letters, "lately": sizes.lately,
        "subjects": list(SUBJECTS), "long": LONG,
        "addresses": list(ADDRESSES), "failed_at": [failure[0] for failure in FAILURES],
        "classes": [failure[1] for failure in FAILURES], "messages": [failure[2] for failure in FAILURES],
        "kinds": [failure[3] for failure in FAILURES], "fingerprints": _fingerprints(), "decision": rows.DECISION,
        "last": rows.LAST, "result_bind": json.dumps(plans.paths_of(_flow().result)),
    })  # fmt: skip
    parts = [{"fan_out": PARTS, "decision": 0}.get(step["kind"], 1) for step in steps]
    named = ([step[name] for step in steps] for name in ("name", "kind", "job_type"))
    cursor.execute(rows.STAGES, [
        list(range(1, len(steps) + 1)), *named, parts,
        [step["spec"].get("queue", "") for step in steps], [json.dumps(step["spec"]) for step in steps],
    ])  # fmt: skip


def _steps() -> list[dict[str, Any]]:
    """The stages of a new task, as its kind plans them."""
    from agentapp.flows import plans

    return plans.plan(_flow())


def _flow() -> Flow:
    from agentapp import registry

    flow = registry.latest_flow(rows.KIND)
    assert flow is not None
    return flow


def _now() -> Any:
    from agentapp import clock

    return clock.now()


def _fingerprints() -> list[str]:
    from agentapp.policies import fingerprint

    steps = _steps()
    return [fingerprint.of(steps[at - 1]["job_type"], name, message) for at, name, message, _ in FAILURES]


def _insert(cursor: Any, model: type[Model], source: str, values: dict[str, str]) -> None:
    """Insert a row for each of `source`: what `values` does not name has the default of the model."""
    from django.db import connection
    from django.db.models import AutoField

    columns = {name: value.replace("%", "%%") for name, value in values.items()}
    parameters = []
    row = model()
    for field in model._meta.concrete_fields:
        assert field.column is not None
        if field.column in columns or isinstance(field, AutoField) or field.has_db_default():
            continue
        columns[field.column] = "%s"
        parameters.append(field.get_db_prep_save(getattr(row, field.attname), connection))
    names = ", ".join(f'"{name}"' for name in columns)
    chosen = ", ".join(columns.values())
    cursor.execute(f"INSERT INTO {model._meta.db_table} ({names}) SELECT {chosen} FROM {source}", parameters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workflows", type=int, default=Sizes.workflows)
    parser.add_argument("--approvals", type=int, default=Sizes.approvals)
    parser.add_argument("--dead-letters", type=int, default=Sizes.dead_letters)
    parser.add_argument("--tenants", type=int, default=Sizes.tenants)
    options = parser.parse_args()
    if options.approvals + options.dead_letters > options.workflows or options.tenants < 1:
        parser.error("Each approval and each dead letter is of a task of its own, and each task is of a tenant.")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    started = time.monotonic()
    made = fill(Sizes(options.workflows, options.approvals, options.dead_letters, options.tenants))
    analyze()
    print(f"{options.workflows:,} tasks of {', '.join(map(str, made))} in {time.monotonic() - started:.1f} s.")


if __name__ == "__main__":
    main()
