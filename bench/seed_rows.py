"""The rows of sample data as SQL: what each column of bench.seed holds. They follow from temporary tables of the tasks,
their stages and their jobs."""

from __future__ import annotations

# The positions of the decision, and of the last stage.
DECISION, LAST = 6, 7
KIND = "support_reply"


# An id of version 7 of a moment and of what tells it from others of this moment.
def _id(at: str, salt: str) -> str:
    milliseconds = f"lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0')"
    return f"({milliseconds} || '7' || left(md5({salt}), 3) || '8' || right(md5({salt}), 15))::uuid"


# As policies/content.py hashes it: keys in order, no spaces.
_SHA256 = """encode(sha256(convert_to('{"body":' || to_json('Sample reply. ' || body) || ',"subject":'
       || to_json('Re: ' || subject) || ',"to":' || to_json(address) || '}', 'UTF8')), 'hex')"""
# How many jobs there are up to each position.
_JOBS_UNTIL = "(ARRAY[1, 3, 4, 5, 6, 6, 7])"
PLAN = f"""
CREATE TEMPORARY TABLE plan AS
SELECT {_id("born", "'task' || salt")} AS id, *,
       {_id("born + interval '30 seconds'", "'approval' || salt")} AS approval,
       jsonb_build_object('to', address, 'subject', 'Re: ' || subject, 'body', 'Sample reply. ' || body) AS content,
       {_SHA256} AS content_sha256,
       jsonb_build_object('score', 0.01 * (n %% 100), 'grounded', true, 'complete', true, 'verdict', 'pass',
                          'critique', 'Every sentence stands in a passage.') AS evaluation,
       %(result_bind)s::jsonb AS result_bind,
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
             WHEN n <= %(approvals)s + %(letters)s + %(lately)s
               THEN (n - %(approvals)s - %(letters)s) * interval '3 minutes' / %(lately)s
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
       CASE WHEN s.at = s.position AND s.dead THEN 5 ELSE 1 END AS attempts,
       md5('draft' || s.salt)::uuid AS draft, md5('passages' || s.salt)::uuid AS passages
  FROM (SELECT *, born + at * interval '4 seconds' AS began FROM stages) AS s
  JOIN agentapp_stage stage ON stage.workflow_id = s.id AND stage.position = s.at, generate_series(0, s.parts - 1) part
 WHERE s.at <= s.position
"""
WORKFLOW = {
    "id": "id", "tenant_id": "tenant", "api_key_id": "key", "kind": f"'{KIND}'", "state": "state", "risk": "risk",
    "priority": "1 + n % 3", "input": "jsonb_build_object('subject', subject, 'body', body, 'customer_email', address)",
    "result": "CASE WHEN state = 'completed' THEN jsonb_build_object('outcome', 'sent', 'message', 'sample-' || n) END",
    "error": "CASE WHEN state = 'failed' THEN error END",
    "result_bind": "result_bind",
    "labels": "jsonb_build_object('sample', 'yes', 'ticket', 'T-' || n)", "position": "position",
    "parts_left": "CASE WHEN waits OR dead THEN 1 ELSE 0 END", "stages_total": str(LAST), "jobs_total": "7",
    "jobs_done": f"CASE WHEN state = 'completed' THEN 7 ELSE coalesce({_JOBS_UNTIL}[position - 1], 0) END",
    # Two rows of the history are of the task, three of each job.
    "seq": f"2 + 3 * {_JOBS_UNTIL}[position]", "tokens": "900 + n % 400", "cost_usd": "0.001 * (n % 90)",
    "created_at": "born", "started_at": "born + interval '1 second'", "updated_at": "born + interval '40 seconds'",
    "finished_at": "CASE WHEN NOT waits AND NOT dead THEN born + interval '40 seconds' END",
}  # fmt: skip
STAGES = """
CREATE TEMPORARY TABLE stages AS
SELECT p.*, s.* FROM plan p, unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[], %s::jsonb[])
                          AS s(at, name, stage_kind, type, parts, queue, spec)"""
STAGE = {
    "workflow_id": "id", "position": "at", "name": "name", "kind": "stage_kind", "job_type": "type",
    "spec": "spec",
    "output": "CASE WHEN type = '' AND position > at THEN jsonb_build_object('approval_id', approval, 'decision',"
    " 'approve') END",
}  # fmt: skip
# What each job type is given, and what it returns.
_QUESTION = "'subject', subject, 'body', body"
PAYLOAD = f"""CASE type
  WHEN 'send_approved_message' THEN jsonb_build_object('approval_id', approval)
  WHEN 'request_approval' THEN jsonb_build_object('to', address, 'subject', subject, 'draft_id', draft, 'risk', risk)
  WHEN 'evaluate_answer' THEN jsonb_build_object({_QUESTION}, 'draft_id', draft, 'passages_id', passages)
  WHEN 'generate_draft' THEN jsonb_build_object({_QUESTION}, 'retrieved', '[]'::jsonb)
  WHEN 'retrieve_context' THEN jsonb_build_object({_QUESTION}, 'source', 'documents')
  ELSE jsonb_build_object({_QUESTION}) END"""
OUTPUT = """CASE type
  WHEN 'send_approved_message' THEN jsonb_build_object('outcome', 'sent', 'reply', content, 'message_id',
                                                       'sample-' || n, 'effect_id', md5('effect' || job)::uuid)
  WHEN 'request_approval' THEN jsonb_build_object('content', content, 'content_sha256', content_sha256, 'sources',
                                                  '[]'::jsonb, 'evaluation', evaluation, 'risk', risk)
  WHEN 'evaluate_answer' THEN evaluation
  WHEN 'generate_draft' THEN jsonb_build_object('draft_id', draft, 'passages_id', passages, 'citations', '[]'::jsonb)
  WHEN 'retrieve_context' THEN jsonb_build_object('source', 'documents', 'passages_id', passages, 'passages',
                                                  '[]'::jsonb)
  ELSE jsonb_build_object('category', 'billing', 'urgency', 'normal', 'risk', risk, 'priority', 2, 'language', 'en',
                          'sources', jsonb_build_array('documents'), 'reason', 'It asks about an invoice.') END"""
JOB = {
    "id": "job", "workflow_id": "id", "stage_id": "stage", "tenant_id": "tenant", "type": "type", "queue": "queue",
    "model": "model", "state": "job_state", "part": "part", "attempt": "attempts",
    "payload": PAYLOAD, "output": f"CASE WHEN done THEN {OUTPUT} END",
    "error": "CASE WHEN job_state = 'dead_lettered' THEN error END", "available_at": "began", "started_at": "began",
    "finished_at": "began + attempts * interval '3 seconds'", "priority": "1 + n % 3", "publishes": "1",
}  # fmt: skip
# What comes after a decision or a dead letter, as a task is planned: without it that would be a dead letter of its own.
PLANNED = """(
  SELECT s.*, stage.id AS stage FROM stages s
    JOIN agentapp_stage stage ON stage.workflow_id = s.id AND stage.position = at
   WHERE (waits OR dead) AND stage_kind = 'job' AND at > s.position) AS planned"""
PLANNED_JOB = {
    "id": _id("born", "'job' || salt || ':' || at"), "workflow_id": "id", "stage_id": "stage", "tenant_id": "tenant",
    "type": "type", "queue": "queue", "state": "'pending'", "priority": "1 + n % 3",
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
    "id": "approval", "workflow_id": "id",
    "stage_id": "(SELECT s.id FROM agentapp_stage s WHERE s.workflow_id = plan.id AND s.kind = 'decision')",
    "tenant_id": "tenant", "state": "CASE WHEN waits THEN 'pending' ELSE 'approved' END", "risk": "risk",
    "content": "content", "draft": "content", "content_sha256": "content_sha256", "evaluation": "evaluation",
    "approved_sha256": "CASE WHEN waits THEN '' ELSE content_sha256 END",
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
    "request_sha256": "content_sha256", "sends": "1", "prepared_at": "began", "sent_at": "began",
    "confirmed_at": "CASE WHEN done THEN began + interval '1 second' END",
}  # fmt: skip
