"""Fill a database with sample data for looking at pages: tasks, approvals and dead letters of several tenants.

    python -m bench.seed --workflows 10000 --approvals 500 --dead-letters 2000

It fills the database of the stack that runs on this home (`make up`), or the one of DATABASE_URL. Rows are made inside
of Postgres: some hundred thousand take seconds. The tenants are called `sample-...`, and each task has the label
`sample`; their job types are those of `support_reply`, and nothing of it waits for a worker. Some texts are long,
written from right to left, or hold markup, so that pages are seen with them. Each run adds tenants of its own.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.models import Model

    from agentapp.models import Tenant

STEPS = (
    ("classify_ticket", "job", "classify_ticket", 1), ("retrieve_context", "fan_out", "retrieve_context", 2),
    ("generate_draft", "job", "generate_draft", 1), ("evaluate_answer", "job", "evaluate_answer", 1),
    ("request_approval", "job", "request_approval", 1), ("approval", "decision", "", 0),
    ("send_approved_message", "job", "send_approved_message", 1),
)  # fmt: skip
QUEUES = {"retrieve_context": "retrieval", "send_approved_message": "send"}
DECISION, LAST = 6, len(STEPS)
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
    """Tasks in all, and how many of them wait for a person's decision, or are dead letters."""

    workflows: int = 10_000
    approvals: int = 500
    dead_letters: int = 2_000
    tenants: int = 4


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
        _insert(cursor, Workflow, "plan", WORKFLOW)
        _insert(cursor, Stage, "stages", STAGE)
        # Jobs name the rows of their stages, whose ids are known from here on.
        cursor.execute(JOBS)
        _insert(cursor, Job, "jobs", JOB)
        _insert(cursor, Attempt, ATTEMPTS, ATTEMPT)
        _insert(cursor, History, HISTORIES, HISTORY)
        _insert(cursor, Approval, "plan WHERE waits OR state = 'completed'", APPROVAL)
        _insert(cursor, ModelCall, "jobs WHERE model <> '' AND done", CALL)
        _insert(cursor, Effect, EFFECTS, EFFECT)
        cursor.execute("DROP TABLE jobs, stages, plan")
    return made


def analyze() -> None:
    """Tell the planner about the new rows; not within a transaction."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _plan(cursor: Any, sizes: Sizes, tenants: Sequence[int], keys: Sequence[int]) -> None:
    """What each task is: temporary tables of the tasks, their stages and their jobs, which all rows are made of."""
    cursor.execute(PLAN, {
        "now": _now(), "tenants": list(tenants), "keys": list(keys), "all": sizes.workflows,
        "approvals": sizes.approvals, "letters": sizes.dead_letters, "subjects": list(SUBJECTS), "long": LONG,
        "addresses": list(ADDRESSES), "failed_at": [failure[0] for failure in FAILURES],
        "classes": [failure[1] for failure in FAILURES], "messages": [failure[2] for failure in FAILURES],
        "kinds": [failure[3] for failure in FAILURES], "fingerprints": _fingerprints(), "decision": DECISION,
        "last": LAST,
    })  # fmt: skip
    cursor.execute(
        "CREATE TEMPORARY TABLE stages AS SELECT p.*, s.position AS at, s.name, s.kind AS stage_kind, s.type, s.parts,"
        " s.queue FROM plan p, unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[])"
        " AS s(position, name, kind, type, parts, queue)",
        [
            list(range(1, LAST + 1)), *([step[index] for step in STEPS] for index in range(4)),
            [QUEUES.get(step[0], "model") for step in STEPS],
        ],
    )  # fmt: skip


def _now() -> Any:
    from agentapp import clock

    return clock.now()


def _fingerprints() -> list[str]:
    from agentapp.policies import fingerprint

    return [fingerprint.of(STEPS[at - 1][2], name, message) for at, name, message, _ in FAILURES]


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


# An id of version 7 of a moment and of what tells it from others of this moment.
def _id(at: str, salt: str) -> str:
    milliseconds = f"lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0')"
    return f"({milliseconds} || '7' || left(md5({salt}), 3) || '8' || right(md5({salt}), 15))::uuid"


PLAN = f"""
CREATE TEMPORARY TABLE plan AS
SELECT {_id("born", "'task' || salt")} AS id, *,
       CASE WHEN waits THEN %(decision)s WHEN dead THEN (%(failed_at)s::int[])[failure]
            WHEN state = 'failed' THEN 3 ELSE %(last)s END AS position
  FROM (
    SELECT n, n || ':' || (%(tenants)s::int[])[1] AS salt, n <= %(approvals)s AS waits,
           n > %(approvals)s AND n <= %(approvals)s + %(letters)s AS dead,
           CASE WHEN n <= %(approvals)s THEN 'awaiting_approval'
                WHEN n <= %(approvals)s + %(letters)s THEN 'needs_attention'
                WHEN n %% 31 = 0 THEN 'failed' WHEN n %% 29 = 0 THEN 'cancelled' ELSE 'completed' END AS state,
           (%(tenants)s::int[])[1 + n %% cardinality(%(tenants)s::int[])] AS tenant,
           (%(keys)s::int[])[1 + n %% cardinality(%(keys)s::int[])] AS key,
           (%(subjects)s::text[])[1 + n %% cardinality(%(subjects)s::text[])] AS subject,
           (%(addresses)s::text[])[1 + n / 3 %% cardinality(%(addresses)s::text[])] AS address,
           CASE WHEN n %% 97 = 0 THEN %(long)s ELSE 'Sample question ' || n || '.' END AS body,
           (ARRAY['low', 'low', 'medium', 'high'])[1 + n %% 4] AS risk,
           1 + n %% cardinality(%(classes)s::text[]) AS failure,
           jsonb_build_object(
             'class', (%(classes)s::text[])[1 + n %% cardinality(%(classes)s::text[])],
             'message', (%(messages)s::text[])[1 + n %% cardinality(%(classes)s::text[])],
             'kind', (%(kinds)s::text[])[1 + n %% cardinality(%(classes)s::text[])],
             'fingerprint', (%(fingerprints)s::text[])[1 + n %% cardinality(%(classes)s::text[])]) AS error,
           %(now)s::timestamptz - interval '10 minutes' - CASE WHEN n <= %(approvals)s THEN n * interval '5 minutes'
             WHEN n <= %(approvals)s + %(letters)s THEN (n - %(approvals)s) * interval '2 minutes'
             ELSE n * interval '3 minutes' END AS born
      FROM generate_series(1, %(all)s) AS numbers(n)) AS sample
"""
JOBS = f"""
CREATE TEMPORARY TABLE jobs AS
SELECT {_id("s.began", "'job' || s.salt || ':' || s.at || ':' || part")} AS job, s.*, part, stage.id AS stage,
       s.at < s.position OR s.state = 'completed' AS done,
       CASE WHEN s.at < s.position OR s.state = 'completed' THEN 'completed'
            WHEN s.at = s.position AND s.dead THEN 'dead_lettered' ELSE 'cancelled' END AS job_state,
       CASE WHEN s.queue = 'model' AND s.type <> 'request_approval' THEN 'sample-model' ELSE '' END AS model,
       CASE WHEN s.at = s.position AND s.dead THEN 5 ELSE 1 END AS attempts
  FROM (SELECT *, born + at * interval '4 seconds' AS began FROM stages) AS s
  JOIN agentapp_stage stage ON stage.workflow_id = s.id AND stage.position = s.at, generate_series(0, s.parts - 1) part
 WHERE s.at <= s.position
"""
WORKFLOW = {
    "id": "id", "tenant_id": "tenant", "api_key_id": "key", "kind": "'support_reply'", "state": "state", "risk": "risk",
    "priority": "1 + n % 3", "input": "jsonb_build_object('subject', subject, 'body', body, 'customer_email', address)",
    "result": "CASE WHEN state = 'completed' THEN jsonb_build_object('outcome', 'sent', 'message', 'sample-' || n) END",
    "error": "CASE WHEN state = 'failed' THEN error END",
    "labels": "jsonb_build_object('sample', 'yes', 'ticket', 'T-' || n)", "position": "position",
    "parts_left": "CASE WHEN waits OR dead THEN 1 ELSE 0 END", "stages_total": str(LAST), "jobs_total": "7",
    "jobs_done": "least(position, 6)", "seq": "20", "tokens": "900 + n % 400", "cost_usd": "0.001 * (n % 90)",
    "created_at": "born", "started_at": "born + interval '1 second'", "updated_at": "born + interval '40 seconds'",
    "finished_at": "CASE WHEN NOT waits AND NOT dead THEN born + interval '40 seconds' END",
}  # fmt: skip
STAGE = {
    "workflow_id": "id", "position": "at", "name": "name", "kind": "stage_kind", "job_type": "type",
    "spec": "'{}'::jsonb",
    "output": "CASE WHEN type = '' AND state = 'completed' THEN jsonb_build_object('outcome', 'approved') END",
}  # fmt: skip
JOB = {
    "id": "job", "workflow_id": "id", "stage_id": "stage", "tenant_id": "tenant", "type": "type", "queue": "queue",
    "model": "model", "state": "job_state", "part": "part", "attempt": "attempts",
    "payload": "jsonb_build_object('subject', subject, 'body', body)",
    "output": "CASE WHEN done THEN jsonb_build_object('text', 'Sample output of ' || name || ' for: ' || subject) END",
    "error": "CASE WHEN job_state = 'dead_lettered' THEN error END", "available_at": "began", "started_at": "began",
    "finished_at": "began + attempts * interval '3 seconds'", "priority": "1 + n % 3", "publishes": "1",
}  # fmt: skip
ATTEMPTS = "jobs, generate_series(1, attempts) AS tries(number)"
ATTEMPT = {
    "id": "md5('attempt' || job || ':' || number)::uuid", "job_id": "job", "number": "number",
    "worker": "'worker_' || queue || '@sample'", "started_at": "began + (number - 1) * interval '3 seconds'",
    "finished_at": "began + number * interval '3 seconds' - interval '100 milliseconds'",
    "outcome": "CASE WHEN done THEN 'completed' WHEN dead THEN 'failed' ELSE 'cancelled' END",
    "error_class": "CASE WHEN NOT done AND dead THEN error ->> 'class' ELSE '' END",
    "error_message": "CASE WHEN NOT done AND dead THEN error ->> 'message' ELSE '' END",
}  # fmt: skip
HISTORIES = """(
  SELECT id, row_number() OVER (PARTITION BY id ORDER BY at_time, what, job, step) AS seq, * FROM (
    SELECT id AS workflow, id, NULL::uuid AS job, born AS at_time, 'workflow' AS what, '' AS before, 'pending' AS after,
           'key:sample' AS who, 0 AS step FROM plan
    UNION ALL SELECT id, id, NULL, born + interval '40 seconds', 'workflow', 'running', state, 'worker:sample', 0
                FROM plan
    UNION ALL SELECT id, id, job, began, 'job', 'pending', 'available', 'worker:sample', 0 FROM jobs
    UNION ALL SELECT id, id, job, began + interval '1 second', 'job', 'available', 'running', 'worker:sample', 1
                FROM jobs
    UNION ALL SELECT id, id, job, began + attempts * interval '3 seconds', 'job', 'running', job_state,
                     'worker:sample', 2
                FROM jobs) AS moves) AS rows"""
HISTORY = {
    "workflow_id": "workflow", "seq": "seq", "at": "at_time", "noun": "what", "job_id": "job", "from_state": "before",
    "to_state": "after", "actor": "who", "reason": "''",
}  # fmt: skip
APPROVAL = {
    "id": _id("born + interval '30 seconds'", "'approval' || salt"), "workflow_id": "id",
    "stage_id": "(SELECT s.id FROM agentapp_stage s WHERE s.workflow_id = plan.id AND s.kind = 'decision')",
    "tenant_id": "tenant", "state": "CASE WHEN waits THEN 'pending' ELSE 'approved' END", "risk": "risk",
    "content": "jsonb_build_object('to', address, 'subject', 'Re: ' || subject, 'body', 'Sample reply. ' || body)",
    "draft": "jsonb_build_object('to', address, 'subject', 'Re: ' || subject, 'body', 'Sample reply. ' || body)",
    "content_sha256": "md5('content' || n) || md5('sha' || n)",
    "evaluation": "jsonb_build_object('score', 0.01 * (n % 100))",
    "approved_sha256": "CASE WHEN waits THEN '' ELSE md5('content' || n) || md5('sha' || n) END",
    "priority": "1 + n % 3", "created_at": "born + interval '30 seconds'",
    "decided_by_key_id": "CASE WHEN NOT waits THEN key END",
    "decided_at": "CASE WHEN NOT waits THEN born + interval '35 seconds' END",
    "expires_at": "CASE WHEN waits THEN born + interval '90 days' END",
}  # fmt: skip
CALL = {
    "id": _id("began + interval '1 second'", "'call' || job"), "tenant_id": "tenant", "workflow_id": "id",
    "job_id": "job", "attempt": "1", "model": "'sample-model'", "asked_model": "'sample-model'",
    "prompt_tokens": "400 + n % 100",
    "completion_tokens": "100 + n % 50", "cost_usd": "0.001", "latency_s": "0.5 + 0.01 * (n % 100)",
    "started_at": "began + interval '1 second'",
}  # fmt: skip
EFFECTS = "jobs WHERE type = 'send_approved_message' AND (done OR error ->> 'class' = 'EffectUnknown')"
EFFECT = {
    "id": _id("began", "'effect' || job"), "tenant_id": "tenant", "key": "'mail:' || id", "type": "'mail'",
    "state": "CASE WHEN done THEN 'confirmed' ELSE 'unknown' END", "workflow_id": "id", "job_id": "job",
    "request_sha256": "md5(job::text) || md5('request')", "sends": "1", "prepared_at": "began", "sent_at": "began",
    "confirmed_at": "CASE WHEN done THEN began + interval '1 second' END",
}  # fmt: skip


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
