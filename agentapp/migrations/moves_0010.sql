-- Written by `manage.py write_moves` from agentapp/lifecycle/sql/. Do not edit.
DROP SCHEMA IF EXISTS moves_0010 CASCADE;
CREATE SCHEMA moves_0010;
SET LOCAL check_function_bodies = off;

-- What the functions of this set pass on to each other.

-- A row of history that is not written yet.
CREATE TYPE moves_0010.event AS (noun text, id uuid, from_state text, to_state text, reason text, data jsonb);

-- Who takes jobs. `models` says which model a job type calls by the settings of this worker, `asking` are the job types whose
-- model people may choose; `choice` is what they chose for the job at hand. `done` are the keys of the job that this worker has
-- just ended, `token` a fresh one for the job that it goes on with; `now`: a moment that a test says.
CREATE TYPE moves_0010.taker AS (
  worker text, process bigint, queues text[], models jsonb, asking text[], lease_s float, choice jsonb, done text[],
  token uuid, now timestamptz);

-- A job that is to be claimed. `token` is the claimer's own: a claim whose answer was lost is found under it.
CREATE TYPE moves_0010.claim_request AS (job uuid, token uuid);

-- How an attempt ended. `error`: {class, kind, message, trace, fingerprint}; `effects`: [{id, response}]; `next_token`: take
-- a single next job of one of the taker's queues at once, under this token; `watched`: tell whether others wait for what it
-- held; `asks`: its body asks a person.
CREATE TYPE moves_0010.settle_request AS (
  workflow uuid, job uuid, token uuid, state text, outcome text, output jsonb, error jsonb, retry_in_s float, reason text,
  tokens bigint, cost_usd numeric, effects jsonb, is_counted boolean, next_token uuid, watched boolean, unpriced_calls int,
  asks boolean);

-- An effect that is to be sent. `asked_sends`: the provider was asked about this send, after the time in which it could
-- arrive, and has not seen it. `is_idempotent`: it does nothing twice under one id, so that nothing need be waited for.
-- `late_s`: how long after the end of its call a send may still arrive there.
CREATE TYPE moves_0010.effect_request AS (
  workflow uuid, job uuid, token uuid, tenant bigint, key text, type text, request_sha256 text, asked_sends int,
  is_idempotent boolean, late_s float);

-- A task under its lock, in the course of a move: what moves change of its row; who moves it, and when; what is to be
-- written into its history; and what the move has come to: links of the jobs that it opened, how many more it `held` back
-- for want of room, the job that its worker has `taken`, the `problem` of a stage that could not be opened, the `answer`.
-- `denied`: why its principal may not act, empty where it may, null while nobody has asked.
-- (Fields have the types of plain values: what plpgsql has to cast costs more than the reading.)
CREATE VIEW moves_0010.task AS
SELECT id, tenant_id, api_key_id, user_id, kind::text, root, state::text, priority, risk::text, result, error, result_bind,
       position, parts_left, stages_total, jobs_total, jobs_done, seq, tokens, cost_usd::numeric, unpriced_calls, started_at, finished_at,
       deadline_at, origin::text, parent, callback_url, run_at, continues, traceparent::text, ''::text AS actor, NULL::timestamptz AS now, '{}'::moves_0010.event[] AS log, '[]'::jsonb AS opened,
       0 AS held, NULL::jsonb AS taken, NULL::text AS problem, NULL::text AS denied, NULL::jsonb AS answer
  FROM agentapp_workflow;

-- A task under its lock: read, told about, written back once. Every move begins with moves_0010.lock_task and ends with
-- moves_0010.saved or moves_0010.save.

CREATE OR REPLACE FUNCTION moves_0010.uuid7() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  -- RFC 9562 version 7: 48 bits of milliseconds over a random version 4, whose version nibble becomes 7.
  SELECT encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
              PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
      52, 1), 53, 1), 'hex')::uuid
$$;

-- When a move happens: read it behind the locks, for it may have waited for them. Tests say a moment of their own.
CREATE OR REPLACE FUNCTION moves_0010.moment(p_now timestamptz) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT CASE WHEN session_user = current_user THEN coalesce(p_now, clock_timestamp()) ELSE clock_timestamp() END
$$;

-- Lock a task and read it; its id is null when there is none.
CREATE OR REPLACE FUNCTION moves_0010.lock_task(p_task uuid, p_actor text, p_now timestamptz) RETURNS moves_0010.task
LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task;
BEGIN
  SELECT * INTO t FROM moves_0010.task WHERE id = p_task FOR NO KEY UPDATE;
  t.actor := coalesce(p_actor, '');
  t.now := moves_0010.moment(p_now);
  RETURN t;
END $$;

-- Lock the tasks of a list of requests in the order of their ids, but pass over those that somebody else holds: the
-- others need not wait for them. With p_waits it waits. So does a list that is all of one task, the parts of a fan-out: each
-- of them would wait for that row anyway, one after the other.
CREATE OR REPLACE FUNCTION moves_0010.lock_tasks(p_tasks uuid[], p_actor text, p_waits boolean, p_now timestamptz)
RETURNS moves_0010.task[] LANGUAGE plpgsql AS $$
DECLARE
  tasks moves_0010.task[];
  moment timestamptz;
BEGIN
  IF p_waits OR cardinality(p_tasks) > 1 AND p_tasks[1] = ALL(p_tasks) THEN
    tasks := ARRAY(SELECT t FROM moves_0010.task t WHERE id = ANY(p_tasks) ORDER BY id FOR NO KEY UPDATE);
  ELSE
    tasks := ARRAY(SELECT t FROM moves_0010.task t WHERE id = ANY(p_tasks) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED);
  END IF;
  moment := moves_0010.moment(p_now);
  FOR n IN 1 .. cardinality(tasks) LOOP
    tasks[n].actor := coalesce(p_actor, '');
    tasks[n].now := moment;
  END LOOP;
  RETURN tasks;
END $$;

-- Note a change of state; moves_0010.save writes it into the history.
CREATE OR REPLACE FUNCTION moves_0010.note(
  INOUT t moves_0010.task, p_noun text, p_id uuid, p_from text, p_to text, p_reason text, p_data jsonb DEFAULT NULL
) LANGUAGE plpgsql AS $$
BEGIN
  t.log := t.log || ROW(p_noun, p_id, p_from, p_to, p_reason, p_data)::moves_0010.event;
END $$;

CREATE OR REPLACE FUNCTION moves_0010.set_state(INOUT t moves_0010.task, p_to text, p_reason text) LANGUAGE plpgsql AS $$
BEGIN
  t := moves_0010.note(t, 'workflow', NULL, t.state, p_to, p_reason);
  t.state := p_to;
  t.finished_at := CASE WHEN p_to IN ('completed', 'failed', 'cancelled') THEN t.now END;
  IF t.origin IN ('client', 'schedule') AND p_to IN ('completed', 'failed', 'cancelled', 'needs_attention', 'awaiting_approval') THEN
    PERFORM moves_0010.tell_webhooks(t);
  ELSIF t.origin = 'child' AND t.finished_at IS NOT NULL THEN
    PERFORM moves_0010.wake_parent(t);
  END IF;
END $$;

-- Note what the tenant's webhooks are told of: the latest change of a task. In the move itself, so that no crash loses it.
CREATE OR REPLACE FUNCTION moves_0010.tell_webhooks(t moves_0010.task, p_type text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF t.callback_url <> '' OR EXISTS (SELECT 1 FROM agentapp_webhookendpoint WHERE tenant_id = t.tenant_id AND is_enabled) THEN
    INSERT INTO agentapp_webhookevent (id, tenant_id, workflow_id, seq, type, created_at)
    VALUES (moves_0010.uuid7(), t.tenant_id, t.id, t.seq + cardinality(t.log),
            coalesce(p_type, CASE t.state WHEN 'awaiting_approval' THEN 'approval.requested' ELSE 'task.' || t.state END), t.now);
  END IF;
END $$;

-- Write down what was noted of tasks, and their rows, once per move.
CREATE OR REPLACE FUNCTION moves_0010.save(p_tasks moves_0010.task[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task;
BEGIN
  INSERT INTO agentapp_history (workflow_id, seq, at, noun, job_id, approval_id, from_state, to_state, actor, reason, data)
  SELECT w.id, w.seq + e.ordinality, w.now, e.noun, CASE WHEN e.noun = 'job' THEN e.id END,
         CASE WHEN e.noun = 'approval' THEN e.id END, e.from_state, e.to_state, w.actor, coalesce(e.reason, ''), e.data
    FROM unnest(p_tasks) w, unnest(w.log) WITH ORDINALITY e;
  FOREACH t IN ARRAY p_tasks LOOP
    CONTINUE WHEN t.log = '{}';
    UPDATE agentapp_workflow SET
      state = t.state, priority = t.priority, risk = t.risk, result = t.result, error = t.error, position = t.position,
      parts_left = t.parts_left, stages_total = t.stages_total, jobs_total = t.jobs_total, jobs_done = t.jobs_done,
      seq = t.seq + cardinality(t.log), tokens = t.tokens, cost_usd = t.cost_usd, unpriced_calls = t.unpriced_calls, started_at = t.started_at,
      finished_at = t.finished_at, updated_at = t.now
     WHERE id = t.id;
  END LOOP;
END $$;

-- Write a task back, and answer with what is to be published.
CREATE OR REPLACE FUNCTION moves_0010.saved(t moves_0010.task) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM moves_0010.save(ARRAY[t]);
  RETURN moves_0010.answer(t);
END $$;

CREATE OR REPLACE FUNCTION moves_0010.answer(t moves_0010.task) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN jsonb_build_object(
    'status', 'ok', 'task', t.id, 'state', t.state, 'seq', t.seq + cardinality(t.log), 'opened', t.opened, 'held', t.held,
    'tail', CASE WHEN t.opened = '[]'::jsonb THEN '[]'::jsonb ELSE moves_0010.tail(t.id, t.position) END);
END $$;

-- Answer that a move is not made. Nothing of the task was written.
CREATE OR REPLACE FUNCTION moves_0010.refused(t moves_0010.task) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object('status', 'refused', 'state', coalesce(t.state, 'deleted'))
$$;

-- What remains to be published: the lone pending jobs that follow the open stage, up to the next person, fan-out or stage
-- that may be skipped: a canvas holds nothing that may not run.
-- (In plpgsql, because a function in SQL that is not inlined is planned again at each call.)
CREATE OR REPLACE FUNCTION moves_0010.tail(p_workflow uuid, p_position int) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT coalesce(jsonb_agg(jsonb_build_object('id', j.id, 'type', j.type, 'queue', j.queue, 'priority', j.priority)
                              ORDER BY s.position), '[]')
      FROM agentapp_stage s
      JOIN agentapp_job j ON j.workflow_id = s.workflow_id AND j.stage_id = s.id AND j.state = 'pending'
     WHERE s.workflow_id = p_workflow AND s.position > p_position AND s.kind = 'job'
       AND s.position < coalesce((
         SELECT min(position) FROM agentapp_stage
          WHERE workflow_id = p_workflow AND position > p_position AND (kind <> 'job' OR spec ? 'when')), 32767));
END $$;

-- What a stage reads of the stages before it. A stage before the open one is closed: a plan is gone through in order.

-- Read one source of a binding: the client's input, or the latest stage of that name before p_before. If that one was skipped
-- there is nothing to read, whatever came of it in an earlier round: what was decided then was not decided now.
CREATE OR REPLACE FUNCTION moves_0010.source(p_task uuid, p_from text, p_before int) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_from = 'input' THEN
    RETURN (SELECT input FROM agentapp_workflow WHERE id = p_task);
  END IF;
  RETURN (
    SELECT CASE
             WHEN s.spec ? 'skipped' THEN NULL
             WHEN s.kind = 'decision' THEN s.output
             WHEN s.kind = 'fan_out' THEN (SELECT coalesce(jsonb_agg(j.output ORDER BY j.part), '[]') FROM agentapp_job j
                                   WHERE j.workflow_id = p_task AND j.stage_id = s.id AND j.state = 'completed')
             ELSE (SELECT j.output FROM agentapp_job j WHERE j.workflow_id = p_task AND j.stage_id = s.id LIMIT 1) END
      FROM agentapp_stage s
     WHERE s.workflow_id = p_task AND s.name = p_from AND s.position < p_before AND NOT s.spec ? 'superseded'
     ORDER BY s.position DESC LIMIT 1);
END $$;

-- Resolve {name: {"from", "path", "optional"} | {"const"}} to {name: value}; what leads nowhere is left out, so that
-- the signature's default holds or the check against the signature names what is missing.
CREATE OR REPLACE FUNCTION moves_0010.bind(p_task uuid, p_bind jsonb, p_before int) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
  bound jsonb := '{}';
  item record;
  value jsonb;
BEGIN
  FOR item IN SELECT b.key, b.value AS path FROM jsonb_each(p_bind) b LOOP
    IF item.path ? 'const' THEN
      bound := bound || jsonb_build_object(item.key, item.path -> 'const');
      CONTINUE;
    END IF;
    value := moves_0010.source(p_task, item.path ->> 'from', p_before);
    IF jsonb_array_length(item.path -> 'path') > 0 THEN
      value := value #> ARRAY(SELECT jsonb_array_elements_text(item.path -> 'path'));
    END IF;
    IF value IS NOT NULL AND NOT (value = 'null'::jsonb AND (item.path ->> 'optional')::boolean) THEN
      bound := bound || jsonb_build_object(item.key, value);
    END IF;
  END LOOP;
  RETURN bound;
END $$;

-- What a fan-out goes over; whatever is there, list or not.
CREATE OR REPLACE FUNCTION moves_0010.elements(p_task uuid, s agentapp_stage) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN moves_0010.bind(p_task, jsonb_build_object('over', s.spec -> 'over'), s.position) -> 'over';
END $$;

-- Whether a condition {"path", "equals"} is met by what lies before p_before; what leads nowhere is null.
CREATE OR REPLACE FUNCTION moves_0010.is_met(p_task uuid, p_when jsonb, p_before int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce(moves_0010.bind(p_task, jsonb_build_object('x', p_when -> 'path'), p_before) -> 'x', 'null') = p_when -> 'equals';
END $$;

-- What a path leads to once a stage is done. The lone job of a stage has the output p_output, which is not stored yet.
CREATE OR REPLACE FUNCTION moves_0010.value_after(p_task uuid, s agentapp_stage, p_path jsonb, p_output jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF s.kind = 'job' AND p_path ->> 'from' = s.name THEN
    RETURN p_output #> ARRAY(SELECT jsonb_array_elements_text(p_path -> 'path'));
  END IF;
  RETURN moves_0010.bind(p_task, jsonb_build_object('x', p_path), s.position + (s.kind <> 'job')::int) -> 'x';
END $$;

-- A binding as its author wrote it.
CREATE OR REPLACE FUNCTION moves_0010.path_name(p_path jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_path ? 'from' THEN
                concat_ws('.', p_path ->> 'from', (SELECT string_agg(key, '.') FROM jsonb_array_elements_text(p_path -> 'path') key))
              ELSE coalesce('the constant ' || left(p_path ->> 'const', 40), 'nothing') END
$$;

-- What a task that ends early has come to: as much of its result as there is.
CREATE OR REPLACE FUNCTION moves_0010.partial_result(t moves_0010.task) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN nullif(moves_0010.bind(t.id, t.result_bind, t.position + (t.parts_left = 0)::int), '{}'::jsonb);
END $$;

-- Whether the principal of a task may act: as it is now, not as it was at submission. [INV6] [H3]

CREATE OR REPLACE FUNCTION moves_0010.denied(t moves_0010.task) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN moves_0010.denial(t.tenant_id, t.api_key_id, t.user_id, t.now);
END $$;

-- Why this principal may not act for a tenant; empty: it may. Who submits a task holds tasks:write. A member without a role, which
-- the release before wrote, may do what Django's permissions say: those are asked where a body needs a scope.
CREATE OR REPLACE FUNCTION moves_0010.denial(p_tenant bigint, p_api_key bigint, p_user int, p_now timestamptz) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce((
    SELECT CASE
             WHEN n.suspended_at <= p_now THEN 'the tenant is suspended'
             WHEN k.revoked_at <= p_now THEN 'the API key of the task was revoked'
             WHEN k.expires_at <= p_now THEN 'the API key of the task has expired'
             WHEN NOT 'tasks:write' = ANY(k.scopes) THEN 'the API key of the task does not hold tasks:write any more'
             WHEN NOT u.is_active THEN 'the person who submitted the task is no longer active'
             WHEN u.is_superuser THEN NULL
             WHEN u.id IS NOT NULL AND m.id IS NULL
               THEN 'the person who submitted the task is no longer a member of the tenant'
             WHEN m.role NOT IN ('', 'operator', 'administrator')
               THEN format('the person who submitted the task is %s now, which does not hold tasks:write', m.role)
           END
      FROM agentapp_tenant n
      LEFT JOIN agentapp_apikey k ON k.id = p_api_key
      LEFT JOIN auth_user u ON u.id = p_user
      LEFT JOIN agentapp_membership m ON m.user_id = p_user AND m.tenant_id = p_tenant
     WHERE n.id = p_tenant), '');
END $$;

-- The same of a task at this moment, without its lock.
CREATE OR REPLACE FUNCTION moves_0010.denied_now(p_workflow uuid, p_now timestamptz) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT moves_0010.denial(tenant_id, api_key_id, user_id, p_now) FROM agentapp_workflow WHERE id = p_workflow);
END $$;

-- What is known of an effect whose task may not act any more. Nothing more is sent: what was not, or has proven not to be, stays so.
CREATE OR REPLACE FUNCTION moves_0010.denied_effect(r moves_0010.effect_request, p_why text, p_now timestamptz) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
  -- What this attempt began before, and may not know, is its own to end.
  IF EXISTS (SELECT 1 FROM agentapp_effect WHERE tenant_id = r.tenant AND key = r.key
                                             AND (state = 'confirmed' OR sender = r.token)) THEN
    RETURN moves_0010.begin_again(r, p_now);
  END IF;
  RETURN jsonb_build_object('status', 'denied', 'why', p_why);
END $$;

-- A job moves: from one row to the next.

-- A job as a message names it; `held`: it waits as a row until the dispatcher publishes it.
CREATE OR REPLACE FUNCTION moves_0010.link(j agentapp_job) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object('id', j.id, 'type', j.type, 'queue', j.queue, 'priority', j.priority,
                            'held', j.state = 'available' AND j.published_at IS NULL)
$$;

-- A job as it is when it has entered a state: nobody holds it, it waits for nothing, no message of it counts. What is
-- more to be said of that state the caller says.
CREATE OR REPLACE FUNCTION moves_0010.entering(INOUT j agentapp_job, p_state text, p_now timestamptz) LANGUAGE plpgsql AS $$
BEGIN
  j.state := p_state;
  j.lease_token := NULL;
  j.lease_expires_at := NULL;
  j.scheduled_at := NULL;
  j.blocked_by := NULL;
  j.published_at := NULL;
  j.publishes := 0;
  j.finished_at := CASE WHEN p_state IN ('completed', 'dead_lettered', 'cancelled') THEN p_now END;
  IF p_state = 'available' THEN
    j.available_at := p_now;
  END IF;
END $$;

-- Write a job as it is now (`k`), if it still is what it was (`j`): the only statement that changes the state of one job.
-- (moves_0010.end_jobs cancels many.) Its checkpoint is the attempt's own to write, and goes with the last of them.
CREATE OR REPLACE FUNCTION moves_0010.move_job(
  INOUT t moves_0010.task, j agentapp_job, k agentapp_job, p_reason text, p_data jsonb DEFAULT NULL
) LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_job SET
    state = k.state, payload = k.payload, output = k.output, error = k.error, priority = k.priority, model = k.model,
    attempt = k.attempt, replay = k.replay, scheduled_at = k.scheduled_at, blocked_by = k.blocked_by, lease_token = k.lease_token,
    lease_expires_at = k.lease_expires_at, worker = k.worker, process = k.process, published_at = k.published_at,
    publishes = k.publishes, available_at = k.available_at, started_at = k.started_at, finished_at = k.finished_at,
    checkpoint = CASE WHEN k.state <> 'completed' THEN checkpoint END
   WHERE id = j.id AND state = j.state AND lease_token IS NOT DISTINCT FROM j.lease_token;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the job % is not % any more', j.id, j.state USING ERRCODE = '40001';
  END IF;
  t := moves_0010.note(t, 'job', j.id, j.state, k.state, p_reason, p_data);
END $$;

-- Write down how the attempt of a running job ended. Its id is the token of its lease.
CREATE OR REPLACE FUNCTION moves_0010.end_attempt(j agentapp_job, p_outcome text, p_error jsonb, p_now timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_attempt (id, job_id, number, replay, worker, in_place, started_at, finished_at, outcome, error_class,
                                error_message, trace)
  VALUES (j.lease_token, j.id, j.attempt, j.replay, j.worker, j.publishes = 0, j.started_at, p_now, p_outcome,
          coalesce(p_error ->> 'class', ''), coalesce(p_error ->> 'message', ''), coalesce(p_error ->> 'trace', ''));
END $$;

-- A job as its worker gets it. What is too large for the buffers of a socket is left out (`apart`) and read without
-- locks: a client that does not read its answer would hold the gates until it does. `choice`: see moves_0010.choice_of;
-- `budgeted`: its tenant has a budget of the day, which its calls of models must ask.
CREATE OR REPLACE FUNCTION moves_0010.claimed(t moves_0010.task, j agentapp_job, p_choice jsonb DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
  answer jsonb;
BEGIN
  answer := jsonb_build_object(
    'id', j.id, 'workflow', t.id, 'root', coalesce(t.root, t.id), 'tenant', t.tenant_id, 'kind', t.kind, 'type', j.type,
    'queue', j.queue, 'model', j.model, 'tool', j.tool, 'token', j.lease_token, 'attempt', j.attempt, 'replay', j.replay, 'max_attempts', j.max_attempts,
    'timeout_s', j.timeout_s, 'payload', j.payload, 'checkpoint', j.checkpoint, 'choice', p_choice,
    'budgeted', CASE WHEN j.model <> '' THEN moves_0010.is_budgeted(t.tenant_id) END,
    'traceparent', nullif(t.traceparent, ''), 'links', CASE WHEN coalesce(t.root, t.continues) IS NOT NULL THEN moves_0010.linked_traces(t) END);
  RETURN CASE WHEN pg_column_size(answer) <= 65536 THEN answer ELSE moves_0010.apart(answer) END;
END $$;

-- What everything of a task hangs below in its trace; policies.traceparent says the same.
CREATE OR REPLACE FUNCTION moves_0010.traceparent(p_task uuid, p_given text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_given <> '' THEN p_given
         ELSE format('00-%s-%s-01', replace(p_task::text, '-', ''), right(replace(p_task::text, '-', ''), 16)) END
$$;

-- The traces of the first task of a line of forks, and of the one whose conversation a task goes on with.
CREATE OR REPLACE FUNCTION moves_0010.linked_traces(t moves_0010.task) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_agg(moves_0010.traceparent(w.id, w.traceparent) ORDER BY w.id) FROM agentapp_workflow w
   WHERE w.id IN (t.root, t.continues)
$$;

CREATE OR REPLACE FUNCTION moves_0010.apart(p_claimed jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT p_claimed - '{payload,checkpoint}'::text[] || '{"apart": true}'
$$;

-- The answers of a list, as many as fit into the buffers of a socket: of the largest, payloads are left out.
CREATE OR REPLACE FUNCTION moves_0010.within_buffers(p_answers jsonb[]) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF pg_column_size(p_answers) <= 65536 THEN
    RETURN to_jsonb(p_answers);
  END IF;
  RETURN (
    SELECT jsonb_agg(CASE
             WHEN pg_column_size(a) <= 65536 / cardinality(p_answers) THEN a
             WHEN a ? 'payload' THEN moves_0010.apart(a)
             WHEN a -> 'taken' ? 'payload' THEN jsonb_set(a, '{taken}', moves_0010.apart(a -> 'taken'))
             ELSE a END ORDER BY n)
      FROM unnest(p_answers) WITH ORDINALITY AS u(a, n));
END $$;

-- The payload and the checkpoint of a job, for the owner of its lease.
CREATE OR REPLACE FUNCTION moves_0010.payload(p_job uuid, p_token uuid, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  PERFORM moves_0010.check_class(p_job);
  RETURN coalesce((
    SELECT jsonb_build_object('payload', payload, 'checkpoint', checkpoint) FROM agentapp_job
     WHERE id = p_job AND lease_token = p_token AND state = 'running'), '{"status": "lost"}');
END $$;

-- Plan the jobs of stages that have exactly one, as pending: a canvas can then name them before they are due.
CREATE OR REPLACE FUNCTION moves_0010.plan_jobs(INOUT t moves_0010.task, p_first int, p_last int) LANGUAGE plpgsql AS $$
DECLARE
  n int;
BEGIN
  INSERT INTO agentapp_job (id, workflow_id, stage_id, tenant_id, type, queue, model, tool, state, part, priority,
                            attempt, max_attempts, timeout_s, worker, publishes)
  SELECT moves_0010.uuid7(), t.id, s.id, t.tenant_id, s.job_type, s.spec ->> 'queue', coalesce(s.spec ->> 'model', ''),
         coalesce(s.spec ->> 'tool', ''), 'pending', 0, t.priority, 0, (s.spec ->> 'max_attempts')::int,
         (s.spec ->> 'timeout_s')::int, '', 0
    FROM agentapp_stage s
   WHERE s.workflow_id = t.id AND s.kind = 'job' AND s.position BETWEEN p_first AND p_last
   ORDER BY s.position;
  GET DIAGNOSTICS n = ROW_COUNT;
  t.jobs_total := t.jobs_total + n;
END $$;

-- What is wrong with a plan as it goes, as data: no move raises for a stage that it cannot open, nor for an output.

-- Why a stage cannot be opened with what is bound to it: null, or a sentence for a person. The limits were frozen with
-- the plan.
CREATE OR REPLACE FUNCTION moves_0010.stage_problem(s agentapp_stage, p_bound jsonb, elements jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  size_bytes bigint := pg_column_size(p_bound);
  most_bytes bigint := coalesce((s.spec ->> 'max_payload_bytes')::bigint, 1048576);
  most_parts int;
BEGIN
  IF s.kind = 'decision' THEN
    RETURN moves_0010.decision_problem(s, p_bound);
  ELSIF s.kind = 'fan_out' THEN
    most_parts := coalesce((s.spec ->> 'max_parts')::int, 10000);
    IF elements IS NULL OR jsonb_typeof(elements) <> 'array' THEN
      RETURN format('%s fans out over %s, which must be a list but is %s', s.name, moves_0010.path_name(s.spec -> 'over'),
                    coalesce(jsonb_typeof(elements), 'missing'));
    ELSIF jsonb_array_length(elements) > most_parts THEN
      RETURN format('%s fans out into %s parts; at most %s may be (AGENTAPP_FAN_OUT_MAX_PARTS)', s.name,
                    jsonb_array_length(elements), most_parts);
    END IF;
    size_bytes := size_bytes + coalesce((SELECT max(pg_column_size(value)) FROM jsonb_array_elements(elements)), 0);
    IF s.spec ?| '{queue_from,tool_from}' AND moves_0010.part_problem(s, elements) IS NOT NULL THEN
      RETURN moves_0010.part_problem(s, elements);
    END IF;
  END IF;
  IF size_bytes > most_bytes THEN
    RETURN format('the payload of %s has %s bytes; at most %s may be (AGENTAPP_MAX_PAYLOAD_BYTES). Bind less, or pass '
                  'long texts as artifacts', s.name, size_bytes, most_bytes);
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION moves_0010.decision_problem(s agentapp_stage, p_bound jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  expires jsonb := nullif(p_bound -> 'expires_in_s', 'null');
BEGIN
  IF coalesce(jsonb_typeof(p_bound -> 'content'), '') <> 'object' THEN
    RETURN format('%s has no content to decide on: %s is no object', s.name, moves_0010.path_name(s.spec -> 'bind' -> 'content'));
  ELSIF coalesce(jsonb_typeof(p_bound -> 'content_sha256'), '') <> 'string' OR length(p_bound ->> 'content_sha256') > 64 THEN
    RETURN format('%s has no hash of its content: %s', s.name, moves_0010.path_name(s.spec -> 'bind' -> 'content_sha256'));
  ELSIF coalesce(p_bound ->> 'risk', 'low') NOT IN ('low', 'medium', 'high') THEN
    RETURN format('%s has the risk %s; it must be low, medium or high', s.name, left(p_bound ->> 'risk', 40));
  ELSIF expires IS NOT NULL AND (jsonb_typeof(expires) <> 'number'
                                 OR NOT expires::numeric BETWEEN 0 AND 10 * 365 * 86400) THEN
    RETURN format('%s expires in %s seconds; it must be a number, at most ten years', s.name, left(expires #>> '{}', 40));
  END IF;
  RETURN NULL;
END $$;

-- What the output of a stage's job changes of its task: {"priority", "risk"}, as far as it says something.
CREATE OR REPLACE FUNCTION moves_0010.values_set(p_task uuid, s agentapp_stage, p_output jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT coalesce(jsonb_object_agg(b.key, found.value) FILTER (WHERE found.value <> 'null'), '{}')
      FROM jsonb_each(s.spec -> 'sets') b
      CROSS JOIN LATERAL (SELECT moves_0010.value_after(p_task, s, b.value, p_output) AS value) found);
END $$;

-- Why the output of a stage's job cannot be used: null, or a sentence. Asked before the job counts as completed. Only the
-- lone job of a stage changes its task or goes back.
CREATE OR REPLACE FUNCTION moves_0010.output_problem(p_task uuid, s agentapp_stage, p_output jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  found jsonb;
BEGIN
  IF s.kind <> 'job' THEN
    RETURN NULL;
  ELSIF s.spec ? 'sets' THEN
    found := moves_0010.values_set(p_task, s, p_output);
    IF found ? 'priority' AND NOT found -> 'priority' IN ('0', '1', '2', '3') THEN
      RETURN format('%s sets the priority to %s; it must be a number from 0 (urgent) to 3 (low)', s.name,
                    left(found ->> 'priority', 40));
    ELSIF found ? 'risk' AND NOT found -> 'risk' IN ('"low"', '"medium"', '"high"') THEN
      RETURN format('%s sets the risk to %s; it must be low, medium or high', s.name, left(found ->> 'risk', 40));
    END IF;
  END IF;
  IF moves_0010.goes_back(p_task, s, p_output) AND NOT moves_0010.can_go_back(p_task, s.position, s.spec -> 'repeat' ->> 'back_to') THEN
    RETURN format('%s goes back to %s, which is no stage before it', s.name, s.spec -> 'repeat' ->> 'back_to');
  END IF;
  RETURN NULL;
END $$;

-- Whether a stage that is done asks for one more round. (The release before writes the field of its output alone.)
CREATE OR REPLACE FUNCTION moves_0010.goes_back(p_task uuid, s agentapp_stage, p_output jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
  again jsonb := s.spec -> 'repeat';
BEGIN
  IF again IS NULL OR s.round >= (again ->> 'at_most')::int THEN
    RETURN false;
  ELSIF NOT again ? 'when' THEN
    RETURN coalesce(p_output -> (again ->> 'field') = again -> 'equals', false);
  END IF;
  RETURN coalesce(moves_0010.value_after(p_task, s, again -> 'when' -> 'path', p_output), 'null') = again -> 'when' -> 'equals';
END $$;

-- Whether there is such a stage before p_after, and room for one more round.
CREATE OR REPLACE FUNCTION moves_0010.can_go_back(p_workflow uuid, p_after int, p_back_to text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN p_after < 32000 AND moves_0010.latest(p_workflow, p_back_to, p_after) IS NOT NULL;
END $$;

-- What the role of a session may do for which jobs. The moves run with the rights of the owner of the tables, not of who calls
-- them; `session_user` is who that is.

-- The worker classes whose jobs the role of this session may act for; null: all. A role that is not known here, but may write
-- jobs itself, was made by hand and is trusted; any other may act for none.
CREATE OR REPLACE FUNCTION moves_0010.own_classes() RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
  found_queues text[];
BEGIN
  SELECT queues INTO found_queues FROM agentapp_databaserole WHERE name = session_user::text;
  IF FOUND OR has_table_privilege(session_user, 'agentapp_job', 'UPDATE') THEN
    RETURN found_queues;
  END IF;
  RETURN '{}';
END $$;

-- The queues of which a worker may take jobs: those that it says it serves, if its role may.
CREATE OR REPLACE FUNCTION moves_0010.served(p_queues text[]) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
  own text[];
BEGIN
  IF session_user = current_user THEN
    RETURN p_queues;
  END IF;
  own := moves_0010.own_classes();
  RETURN CASE WHEN own IS NULL THEN p_queues ELSE ARRAY(SELECT q FROM unnest(p_queues) q WHERE q = ANY(own)) END;
END $$;

-- Refuse to act for a job of another worker class, whatever token is shown: who may read jobs sees the tokens of all.
CREATE OR REPLACE FUNCTION moves_0010.check_class(p_job uuid) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF session_user <> current_user THEN
    PERFORM moves_0010.check_queue((SELECT queue FROM agentapp_job WHERE id = p_job));
  END IF;
END $$;

CREATE OR REPLACE FUNCTION moves_0010.check_queue(p_queue text) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_queue IS NOT NULL AND NOT coalesce(p_queue = ANY(moves_0010.own_classes()), true) THEN
    RAISE EXCEPTION 'the role % may not act for jobs of the worker class %', session_user, p_queue USING ERRCODE = '42501';
  END IF;
END $$;

-- Refuse to say what became of a send of another worker class. One whose job is gone is nobody's any more.
CREATE OR REPLACE FUNCTION moves_0010.check_effect(e agentapp_effect) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF session_user <> current_user AND e.id IS NOT NULL THEN
    PERFORM moves_0010.check_queue(coalesce((SELECT queue FROM agentapp_job WHERE id = e.job_id), ''));
  END IF;
END $$;

-- Refuse a worker to end a task that none of its jobs runs: people, clients and the dispatcher may end all.
CREATE OR REPLACE FUNCTION moves_0010.check_part(p_parent uuid) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
  own text[];
BEGIN
  IF session_user = current_user THEN
    RETURN;
  END IF;
  own := moves_0010.own_classes();
  IF own <> '{}' AND NOT EXISTS (SELECT 1 FROM agentapp_job WHERE workflow_id = p_parent AND queue = ANY(own)) THEN
    RAISE EXCEPTION 'the role % may not end a task that none of its jobs runs', session_user USING ERRCODE = '42501';
  END IF;
END $$;

-- Go on in a plan: close a part of the open stage, and with its last part open the next one, or end the task.
--
-- p_taker is the worker that asks, or null. A single next job of one of its queues is taken at once: `taken`; or it follows:
-- {"follows": true}, its worker claims it at once, behind the locks of its gates. Of what is opened, only what there is room
-- for is published now.

-- A part of a stage is done with: its job is completed, or is a dead letter that counts as done. What is late, because its
-- join was met without it, changes nothing any more.
CREATE OR REPLACE FUNCTION moves_0010.close_part(INOUT t moves_0010.task, s agentapp_stage, p_output jsonb, p_taker moves_0010.taker DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
  found jsonb;
BEGIN
  IF s.position <> t.position OR t.parts_left = 0 THEN
    RETURN;
  END IF;
  t.parts_left := t.parts_left - 1;
  IF t.parts_left > 0 THEN
    RETURN;
  END IF;
  IF t.state = 'needs_attention' THEN
    t := moves_0010.set_state(t, 'running', 'its join is met');
  END IF;
  IF s.spec ? 'sets' THEN
    found := moves_0010.values_set(t.id, s, p_output);
    -- A finding may make a task more urgent than the client asked for, never less.
    t.priority := least(t.priority, coalesce((found ->> 'priority')::numeric, t.priority));
    t.risk := coalesce(found ->> 'risk', t.risk);
  END IF;
  t := moves_0010.repeat(t, s, p_output);
  t := moves_0010.advance(t, p_taker);
END $$;

-- Go round again where a stage that is done asks for it. Of a lone job it is known by now that it can; a fan-out or a decision
-- that names no stage before it goes on.
CREATE OR REPLACE FUNCTION moves_0010.repeat(INOUT t moves_0010.task, s agentapp_stage, p_output jsonb) LANGUAGE plpgsql AS $$
BEGIN
  IF s.spec ? 'repeat' AND moves_0010.goes_back(t.id, s, p_output)
     AND moves_0010.can_go_back(t.id, s.position, s.spec -> 'repeat' ->> 'back_to') THEN
    t := moves_0010.go_back(t, s.position, s.spec -> 'repeat' ->> 'back_to', s.round + 1);
  END IF;
END $$;

-- Open whatever comes next, or end the task. A stage that cannot be opened is no error of the move that came to it: the
-- task needs attention, and `problem` says why. What is skipped or empty is closed at once.
CREATE OR REPLACE FUNCTION moves_0010.advance(INOUT t moves_0010.task, p_taker moves_0010.taker DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
  why text;
BEGIN
  LOOP
    BEGIN
      t := moves_0010.open_next(t, p_taker);
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR plpgsql_error THEN
      -- What nobody has foreseen. What was written since the BEGIN is undone; a deadlock or an outage is no such case.
      GET STACKED DIAGNOSTICS why = MESSAGE_TEXT;
      t := moves_0010.block_stage(t, why, NULL);
    END;
    EXIT WHEN t.parts_left > 0 OR t.finished_at IS NOT NULL;
  END LOOP;
END $$;

-- The next stage. A stage opens once, because the position of a task only grows, under its lock.
CREATE OR REPLACE FUNCTION moves_0010.open_next(INOUT t moves_0010.task, p_taker moves_0010.taker) LANGUAGE plpgsql AS $$
DECLARE
  s agentapp_stage;
  next record;
  bound jsonb;
  elements jsonb;
  why text;
BEGIN
  SELECT stage, job INTO next FROM agentapp_stage stage
    LEFT JOIN agentapp_job job ON job.workflow_id = t.id AND job.stage_id = stage.id AND job.state = 'pending'
   WHERE stage.workflow_id = t.id AND stage.position > t.position ORDER BY stage.position LIMIT 1;
  IF NOT FOUND THEN
    t := moves_0010.finish(t);
    RETURN;
  END IF;
  s := next.stage;
  IF s.spec ? 'when' AND NOT moves_0010.is_met(t.id, s.spec -> 'when', s.position) THEN
    t := moves_0010.skip(t, s, next.job);
    RETURN;
  END IF;
  bound := moves_0010.bind(t.id, s.spec -> 'bind', s.position);
  elements := CASE WHEN s.kind = 'fan_out' THEN moves_0010.elements(t.id, s) END;
  why := moves_0010.stage_problem(s, bound, elements);
  IF why IS NOT NULL THEN
    t := moves_0010.block_stage(t, why, bound);
    RETURN;
  END IF;
  t.position := s.position;
  IF s.kind = 'job' THEN
    t := moves_0010.open_job(t, s, next.job, bound, p_taker);
  ELSIF s.kind = 'decision' THEN
    t := moves_0010.open_decision(t, s, bound);
  ELSE
    t := moves_0010.open_fan_out(t, s, bound, elements);
    IF t.parts_left = 0 THEN
      t := moves_0010.repeat(t, s, NULL);
    END IF;
  END IF;
END $$;

-- The last stage is done. A conversation goes round again for a message that came too late for its last turn.
CREATE OR REPLACE FUNCTION moves_0010.finish(INOUT t moves_0010.task) LANGUAGE plpgsql AS $$
DECLARE
  hears jsonb;
BEGIN
  IF EXISTS (SELECT 1 FROM agentapp_message WHERE workflow_id = t.id) THEN
    hears := moves_0010.hears(t.id);
    IF moves_0010.unread(t.id, hears) > 0 AND moves_0010.can_go_back(t.id, t.position, hears ->> 'back_to') THEN
      t := moves_0010.go_back(t, t.position, hears ->> 'back_to', 0);
      RETURN;
    END IF;
  END IF;
  t.result := moves_0010.bind(t.id, t.result_bind, 32767);
  IF t.jobs_done < t.jobs_total THEN
    -- Parts that a join did not wait for: nobody needs them any more.
    t := moves_0010.end_jobs(t, NULL, 'dead_lettered', 'its task is done without it');
    t := moves_0010.drop_questions(t, 'its task is done without it');
  END IF;
  t := moves_0010.set_state(t, 'completed', 'its last stage is done');
END $$;

-- A job has become a dead letter: where its join counts it as done the task goes on, else it needs attention if nothing
-- else can close the stage.
CREATE OR REPLACE FUNCTION moves_0010.bury(INOUT t moves_0010.task, s agentapp_stage, p_why text) LANGUAGE plpgsql AS $$
BEGIN
  IF s.spec -> 'join' ->> 'rule' = 'settled' THEN
    t := moves_0010.close_part(t, s, NULL);
  ELSIF t.state IN ('pending', 'running') AND moves_0010.is_blocked(t) THEN
    t := moves_0010.set_state(t, 'needs_attention', p_why);
  END IF;
END $$;

-- Tell whether a dead letter stands in the way: the open stage cannot close without it.
CREATE OR REPLACE FUNCTION moves_0010.is_blocked(t moves_0010.task) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN t.parts_left > 0 AND EXISTS (
    SELECT 1 FROM agentapp_stage s
      JOIN agentapp_job j ON j.workflow_id = s.workflow_id AND j.stage_id = s.id AND j.state = 'dead_lettered'
     WHERE s.workflow_id = t.id AND s.position = t.position
       AND (s.kind <> 'fan_out' OR s.spec ? 'unopened' OR s.spec -> 'join' ->> 'rule' = 'all'
            OR s.spec -> 'join' ->> 'rule' = 'at_least' AND t.parts_left > (
                 SELECT count(*) FROM agentapp_job r WHERE r.workflow_id = t.id AND r.stage_id = s.id
                    AND r.state NOT IN ('completed', 'dead_lettered', 'cancelled'))));
END $$;

-- The next stage of a plan cannot be opened: a dead letter stands for it, and its task needs attention. A person replays
-- an earlier stage, or where the stage has a job of its own that job with another payload, resolves it, or cancels.
--
-- A fan-out and a decision have no job yet: one is made for them, the only part of its stage. `unopened` in the spec says that even a join that waits for no success is blocked.
CREATE OR REPLACE FUNCTION moves_0010.block_stage(INOUT t moves_0010.task, p_problem text, p_bound jsonb) LANGUAGE plpgsql AS $$
DECLARE
  s agentapp_stage;
  letter uuid;
  before text;
  why jsonb := jsonb_build_object('class', 'StageNotOpened', 'kind', 'permanent', 'message', p_problem);
  kept jsonb := CASE WHEN pg_column_size(p_bound) <= 65536 THEN p_bound END;
BEGIN
  SELECT * INTO s FROM agentapp_stage WHERE workflow_id = t.id AND position > t.position ORDER BY position LIMIT 1;
  IF NOT FOUND THEN
    RAISE EXCEPTION '%', p_problem;
  END IF;
  UPDATE agentapp_stage SET spec = spec || '{"unopened": true}' WHERE id = s.id;
  UPDATE agentapp_job SET state = 'dead_lettered', payload = kept, error = why, finished_at = t.now
   WHERE workflow_id = t.id AND stage_id = s.id AND state = 'pending'
  RETURNING id, 'pending' INTO letter, before;
  IF NOT FOUND THEN
    before := '';
    letter := moves_0010.stand_in(t, s, 'dead_lettered', kept, why);
    t.jobs_total := t.jobs_total + 1;
  END IF;
  t.position := s.position;
  t.parts_left := 1;
  t.problem := p_problem;
  t := moves_0010.note(t, 'job', letter, before, 'dead_lettered', p_problem);
  IF t.state IN ('pending', 'running') THEN
    t := moves_0010.set_state(t, 'needs_attention', p_problem);
  END IF;
END $$;

-- Open one stage: a job, a decision, or the parts of a fan-out. moves_0010.stage_problem has found nothing against it.

CREATE OR REPLACE FUNCTION moves_0010.open_job(
  INOUT t moves_0010.task, s agentapp_stage, j agentapp_job, p_bound jsonb, p_taker moves_0010.taker
) LANGUAGE plpgsql AS $$
DECLARE
  k agentapp_job := j;
  follows boolean := coalesce(j.queue = ANY(p_taker.queues), false);
  room int := 1;
BEGIN
  IF j.id IS NULL THEN
    RAISE EXCEPTION 'the stage % has no job', s.name USING ERRCODE = 'no_data_found';
  END IF;
  t.parts_left := 1;
  k.payload := p_bound;
  k.priority := t.priority;
  IF follows THEN
    p_taker.choice := moves_0010.choice_of(t.tenant_id, j.type, p_taker.asking);
    k.model := moves_0010.model_of(j, p_taker, t.now);
    t.denied := coalesce(t.denied, moves_0010.denied(t));
    IF t.denied = '' AND moves_0010.may_follow(p_taker.done, k, t.now) THEN
      t := moves_0010.start_job(t, j, k, p_taker);
      RETURN;
    END IF;
  ELSE
    room := moves_0010.room_for_stage(t, s, 1);
  END IF;
  k := moves_0010.entering(k, 'available', t.now);
  k.publishes := room;
  k.published_at := CASE WHEN room > 0 THEN t.now END;
  t := moves_0010.move_job(t, j, k, '');
  t.opened := jsonb_build_array(moves_0010.link(k) || jsonb_build_object('follows', follows));
END $$;

-- A person is asked, unless the policy that asks lets this one pass.
CREATE OR REPLACE FUNCTION moves_0010.open_decision(INOUT t moves_0010.task, s agentapp_stage, p_bound jsonb) LANGUAGE plpgsql AS $$
DECLARE
  p agentapp_approvalpolicy := moves_0010.policy_for(t, p_bound -> 'content');
  passes boolean := moves_0010.passes_unasked(t, p, p_bound);
  a agentapp_approval;
BEGIN
  a.stage_id := s.id;
  a.content := p_bound -> 'content';
  a.content_sha256 := p_bound ->> 'content_sha256';
  a.draft := a.content;
  a.sources := coalesce(p_bound -> 'sources', '[]');
  a.evaluation := p_bound -> 'evaluation';
  a.risk := coalesce(p_bound ->> 'risk', t.risk);
  a.expires_at := t.now + make_interval(secs => coalesce(p.deadline_s, (p_bound ->> 'expires_in_s')::float));
  a.policy := CASE WHEN p.id IS NOT NULL THEN to_jsonb(p) - '{tenant_id,note,updated_at}'::text[] END;
  a := moves_0010.ask(t, a);
  t := moves_0010.note(t, 'approval', a.id, '', 'pending', '');
  IF passes THEN
    t := moves_0010.record_decision(t, a, 'approved', NULL, NULL, 'not in the sample of the policy ' || p.name, false);
    t.parts_left := 0;
    t := moves_0010.repeat(t, s, NULL);
  ELSE
    t.parts_left := 1;
    t := moves_0010.set_state(t, 'awaiting_approval', 'a person must decide');
  END IF;
END $$;

-- One job for each element, in one statement: a loop took quadratic time (10,000 parts: 15 s). `published`: which of them, where
-- their elements name queues and tools of their own; else the first ones.
CREATE OR REPLACE FUNCTION moves_0010.open_fan_out(INOUT t moves_0010.task, s agentapp_stage, p_bound jsonb, p_elements jsonb)
LANGUAGE plpgsql AS $$
DECLARE
  n int := jsonb_array_length(p_elements);
  published boolean[] := CASE WHEN s.spec ?| '{queue_from,tool_from}' THEN moves_0010.published_parts(t, s, p_elements) END;
  room int := CASE WHEN published IS NULL THEN moves_0010.room_for_stage(t, s, n)
                   ELSE cardinality(array_positions(published, true)) END;
  fresh moves_0010.event[];
BEGIN
  t.parts_left := CASE WHEN s.spec -> 'join' ->> 'rule' = 'at_least' THEN least((s.spec -> 'join' ->> 'n')::int, n) ELSE n END;
  t.held := greatest(0, n - room);
  t.jobs_total := t.jobs_total + n;
  WITH made AS (
    INSERT INTO agentapp_job AS j (
      id, workflow_id, stage_id, tenant_id, type, queue, model, tool, state, part, payload, priority, attempt,
      max_attempts, timeout_s, worker, publishes, available_at, published_at)
    SELECT moves_0010.uuid7(), t.id, s.id, t.tenant_id, s.job_type, moves_0010.queue_of(s, e.value), coalesce(s.spec ->> 'model', ''),
           moves_0010.tool_of(s, e.value), 'available', e.n - 1, p_bound || jsonb_build_object(s.spec ->> 'each', e.value),
           t.priority, 0, (s.spec ->> 'max_attempts')::int, (s.spec ->> 'timeout_s')::int, '', p.now::int, t.now,
           CASE WHEN p.now THEN t.now END
      FROM jsonb_array_elements(p_elements) WITH ORDINALITY e(value, n)
     CROSS JOIN LATERAL (SELECT CASE WHEN published IS NULL THEN e.n <= room ELSE published[e.n::int] END AS now) p
    RETURNING j.id, j.part, CASE WHEN j.published_at IS NOT NULL THEN moves_0010.link(j) END AS link)
  SELECT array_agg(ROW('job', id, '', 'available', '', NULL)::moves_0010.event ORDER BY part),
         coalesce(jsonb_agg(link ORDER BY part) FILTER (WHERE link IS NOT NULL), '[]')
    INTO fresh, t.opened FROM made;
  t.log := t.log || fresh;
END $$;

-- How many of n jobs of a stage are published at once.
CREATE OR REPLACE FUNCTION moves_0010.room_for_stage(t moves_0010.task, s agentapp_stage, p_n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RETURN moves_0010.room(s.spec ->> 'queue', s.job_type, t.tenant_id, coalesce(s.spec ->> 'model', ''),
                    coalesce(s.spec ->> 'tool', ''), p_n, t.state <> 'pending', t.now);
END $$;

-- Parts of a fan-out whose elements name their queue or their tool.

CREATE OR REPLACE FUNCTION moves_0010.queue_of(s agentapp_stage, p_element jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN s.spec ? 'queue_from' THEN p_element ->> (s.spec ->> 'queue_from') ELSE s.spec ->> 'queue' END
$$;

CREATE OR REPLACE FUNCTION moves_0010.tool_of(s agentapp_stage, p_element jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN s.spec ? 'tool_from' THEN p_element ->> (s.spec ->> 'tool_from') ELSE coalesce(s.spec ->> 'tool', '') END
$$;

-- What is wrong with the queue or the tool that an element names: null, or a sentence. The queues that a part may have were
-- frozen with the plan: those whose workers hold what the job type needs.
CREATE OR REPLACE FUNCTION moves_0010.part_problem(s agentapp_stage, p_elements jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  bad record;
BEGIN
  SELECT e.n, e.value -> (s.spec ->> 'queue_from') AS queue, e.value -> (s.spec ->> 'tool_from') AS tool, wrong.* INTO bad
    FROM jsonb_array_elements(p_elements) WITH ORDINALITY e(value, n) CROSS JOIN LATERAL (
      SELECT s.spec ? 'queue_from' AND NOT coalesce(s.spec -> 'queues' ? (e.value ->> (s.spec ->> 'queue_from')), false)
               AS is_queue_wrong,
             s.spec ? 'tool_from' AND NOT (coalesce(jsonb_typeof(e.value -> (s.spec ->> 'tool_from')), '') = 'string'
               AND length(e.value ->> (s.spec ->> 'tool_from')) BETWEEN 1 AND 100) AS is_tool_wrong) wrong
   WHERE is_queue_wrong OR is_tool_wrong ORDER BY e.n LIMIT 1;
  IF NOT FOUND THEN
    RETURN NULL;
  ELSIF bad.is_queue_wrong THEN
    RETURN format('part %s of %s names the queue %s; it must be one of %s', bad.n, s.name,
                  coalesce(left(bad.queue #>> '{}', 40), 'nothing'),
                  (SELECT string_agg(name, ', ') FROM jsonb_array_elements_text(s.spec -> 'queues') name));
  END IF;
  RETURN format('part %s of %s names the tool %s; it must be a text of 1 to 100 characters', bad.n, s.name,
                coalesce(left(bad.tool #>> '{}', 40), 'nothing'));
END $$;

-- Give a part another payload. Its queue and its tool are what that says; a checkpoint belongs to the payload that it was made
-- of.
CREATE OR REPLACE FUNCTION moves_0010.edit_payload(INOUT j agentapp_job, p_payload jsonb) LANGUAGE plpgsql AS $$
DECLARE
  s agentapp_stage;
  why text;
BEGIN
  SELECT * INTO s FROM agentapp_stage WHERE id = j.stage_id;
  j.payload := p_payload;
  IF s.spec ?| '{queue_from,tool_from}' THEN
    why := moves_0010.part_problem(s, jsonb_build_array(p_payload -> (s.spec ->> 'each')));
    IF why IS NOT NULL THEN
      RAISE EXCEPTION '%', why USING ERRCODE = '22023';
    END IF;
    j.queue := moves_0010.queue_of(s, p_payload -> (s.spec ->> 'each'));
    j.tool := moves_0010.tool_of(s, p_payload -> (s.spec ->> 'each'));
  END IF;
  UPDATE agentapp_job SET checkpoint = NULL, queue = j.queue, tool = j.tool WHERE id = j.id;
END $$;

-- Which parts are published at once: as many as there is room for by the queue of each, by its tool, and by what all of them
-- share.
CREATE OR REPLACE FUNCTION moves_0010.published_parts(t moves_0010.task, s agentapp_stage, p_elements jsonb) RETURNS boolean[]
LANGUAGE plpgsql AS $$
DECLARE
  model text := coalesce(s.spec ->> 'model', '');
  shared text[] := ARRAY['global', 'job_type:' || s.job_type, 'tenant:' || t.tenant_id]
                   || CASE WHEN model <> '' THEN ARRAY['model:' || model] ELSE '{}' END;
  most int := moves_0010.room_of(shared, s.job_type, t.tenant_id, model, '', jsonb_array_length(p_elements), t.state <> 'pending', t.now);
BEGIN
  RETURN ARRAY(
    WITH part AS MATERIALIZED (
      SELECT n, moves_0010.queue_of(s, value) AS queue, moves_0010.tool_of(s, value) AS tool
        FROM jsonb_array_elements(p_elements) WITH ORDINALITY e(value, n)
    ), by_queue AS MATERIALIZED (
      SELECT queue, moves_0010.room_of(ARRAY['queue:' || queue], s.job_type, t.tenant_id, model, '', count(*)::int,
                                  t.state <> 'pending', t.now) AS room FROM part GROUP BY queue
    ), by_tool AS MATERIALIZED (
      SELECT tool, CASE WHEN tool = '' THEN count(*) ELSE
               moves_0010.room_of(ARRAY['tool:' || tool], s.job_type, t.tenant_id, model, tool, count(*)::int, t.state <> 'pending',
                             t.now) END AS room FROM part GROUP BY tool
    ), fitting AS (
      SELECT part.n, row_number() OVER (PARTITION BY part.queue ORDER BY part.n) <= by_queue.room
                 AND row_number() OVER (PARTITION BY part.tool ORDER BY part.n) <= by_tool.room AS fits
        FROM part JOIN by_queue USING (queue) JOIN by_tool USING (tool))
    SELECT fits AND count(*) FILTER (WHERE fits) OVER (ORDER BY n) <= most FROM fitting ORDER BY n);
END $$;

-- Stages that are not opened.

-- The condition of a stage is not met. Its job is cancelled, and is no work of the task any more; for a fan-out and a
-- decision, which have none, one is made: so the history tells of every stage that was skipped.
CREATE OR REPLACE FUNCTION moves_0010.skip(INOUT t moves_0010.task, s agentapp_stage, j agentapp_job) LANGUAGE plpgsql AS $$
DECLARE
  why text := 'its condition is not met';
BEGIN
  UPDATE agentapp_stage SET spec = spec || '{"skipped": true}' WHERE id = s.id;
  t.position := s.position;
  t.parts_left := 0;
  IF j.id IS NULL THEN
    t := moves_0010.note(t, 'job', moves_0010.stand_in(t, s, 'cancelled', NULL, NULL), '', 'cancelled', why);
  ELSE
    t := moves_0010.move_job(t, j, moves_0010.entering(j, 'cancelled', t.now), why);
    t.jobs_total := t.jobs_total - 1;
  END IF;
END $$;

-- Make a job that stands for a stage which has none. Nobody can run the one of a decision: it has no queue.
CREATE OR REPLACE FUNCTION moves_0010.stand_in(t moves_0010.task, s agentapp_stage, p_state text, p_payload jsonb, p_error jsonb)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  fresh uuid := moves_0010.uuid7();
BEGIN
  INSERT INTO agentapp_job (id, workflow_id, stage_id, tenant_id, type, queue, model, tool, state, part, payload, error,
                            priority, attempt, max_attempts, timeout_s, worker, publishes, finished_at)
  VALUES (fresh, t.id, s.id, t.tenant_id, coalesce(nullif(s.job_type, ''), s.name), coalesce(s.spec ->> 'queue', ''),
          coalesce(s.spec ->> 'model', ''), coalesce(s.spec ->> 'tool', ''), p_state, 0, p_payload, p_error, t.priority, 0,
          coalesce((s.spec ->> 'max_attempts')::int, 1), coalesce((s.spec ->> 'timeout_s')::int, 60), '', 0, t.now);
  RETURN fresh;
END $$;

-- Tasks that a stage of another task stands for.

-- Write down a task for the job that runs it, as its owner: for the same principal, as urgent as its parent. Once for each
-- job and replay: p_id is made of them. [B3]
--
-- The job is locked before anything is written: either it has been cancelled before, and there is nothing to do, or who cancels
-- it finds this task.
CREATE OR REPLACE FUNCTION moves_0010.submit_child(
  p_id uuid, p_job uuid, p_token uuid, p_actor text, p_kind text, p_version int, p_input jsonb, p_stages jsonb, p_result_bind jsonb,
  p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  p agentapp_workflow;
BEGIN
  PERFORM moves_0010.check_class(p_job);
  PERFORM 1 FROM agentapp_job WHERE id = p_job AND lease_token = p_token AND state = 'running' FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost', 'state', (SELECT state FROM agentapp_job WHERE id = p_job));
  ELSIF EXISTS (SELECT 1 FROM agentapp_workflow WHERE id = p_id) THEN
    RETURN '{"status": "known"}';
  END IF;
  SELECT w.* INTO p FROM agentapp_workflow w JOIN agentapp_job j ON j.workflow_id = w.id WHERE j.id = p_job;
  RETURN moves_0010.submit(p_id, p.tenant_id, p.api_key_id, p.user_id, p_actor, p_kind, p_version, p.priority, p_input, p.labels,
                      p_stages, p_result_bind, NULL, 1, 1, 1, NULL, '', 'child', p.id, NULL, NULL,
                      moves_0010.traceparent(p.id, p.traceparent), p_now);
END $$;

-- A task that another one waits for is over: the job that runs it need not wait until it looks again. Its row alone, without the
-- lock of its task: what is busy now looks again by itself.
CREATE OR REPLACE FUNCTION moves_0010.wake_parent(t moves_0010.task) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  WITH waiting AS (
    SELECT id FROM agentapp_job
     WHERE workflow_id = t.parent AND type = 'run_task' AND state = 'retryable' AND scheduled_at > t.now
       FOR NO KEY UPDATE SKIP LOCKED)
  UPDATE agentapp_job j SET scheduled_at = t.now FROM waiting WHERE j.id = waiting.id;
END $$;

-- Tasks that are not to begin before a moment.

-- Why the first stage of a task could not be opened, null where it could: opened, and undone.
CREATE OR REPLACE FUNCTION moves_0010.first_problem(t moves_0010.task) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  opened moves_0010.task;
BEGIN
  BEGIN
    opened := moves_0010.advance(t);
    RAISE EXCEPTION 'undone' USING ERRCODE = 'AA000';
  EXCEPTION WHEN SQLSTATE 'AA000' THEN
    RETURN opened.problem;
  END;
END $$;

-- scheduled -> pending: its time has come, and its first stage opens.
CREATE OR REPLACE FUNCTION moves_0010.begin_scheduled(p_workflow uuid, p_actor text, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
BEGIN
  IF t.id IS NULL OR t.state <> 'scheduled' OR t.run_at > t.now THEN
    RETURN moves_0010.refused(t);
  END IF;
  t := moves_0010.set_state(t, 'pending', 'its time has come');
  t := moves_0010.advance(t);
  RETURN moves_0010.saved(t);
END $$;

-- Whether one more task is taken: it may be known already, or too many may wait. Answers how many wait, with `refused`, or
-- with the task that is `known`. Where neither is so, the name of the request is noted.
CREATE OR REPLACE FUNCTION moves_0010.entrance(
  p_tenant bigint, p_tenant_mark int, p_hard_mark int, p_soft_mark int, p_workflow uuid, p_key text, p_sha256 text,
  p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  known jsonb := moves_0010.known_request(p_tenant, p_key, p_sha256);
  pressure jsonb;
BEGIN
  IF known IS NOT NULL THEN
    RETURN known;
  END IF;
  pressure := moves_0010.queue_pressure(p_tenant, p_tenant_mark, p_hard_mark, p_soft_mark);
  IF p_key IS NULL OR pressure ? 'refused' THEN
    RETURN pressure;
  END IF;
  -- Of equal requests that come at the same moment the first is done. The others wait for its end here, and learn its task.
  INSERT INTO agentapp_idempotencykey (tenant_id, key, request_sha256, workflow_id, created_at)
  VALUES (p_tenant, p_key, p_sha256, p_workflow, p_now) ON CONFLICT (tenant_id, key) DO NOTHING;
  RETURN CASE WHEN FOUND THEN pressure ELSE moves_0010.known_request(p_tenant, p_key, p_sha256) END;
END $$;

-- What a client calls its request: the task that it has made already, and whether that was the `same` request. Null: none.
CREATE OR REPLACE FUNCTION moves_0010.known_request(p_tenant bigint, p_key text, p_sha256 text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT jsonb_build_object('known', workflow_id, 'same', request_sha256 = p_sha256)
            FROM agentapp_idempotencykey WHERE tenant_id = p_tenant AND key = p_key);
END $$;

-- How many tasks of clients wait, of a tenant and in the platform, against what may wait.
-- A gate holds from the first task of a tenant on, whose limit is not known yet.
-- A count of a second ago tells, except where so few may wait that it would be wrong by as many.
CREATE OR REPLACE FUNCTION moves_0010.queue_pressure(
  p_tenant bigint, p_tenant_mark int, p_hard_mark int, p_soft_mark int
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t agentapp_limit;
  g agentapp_limit;
  most int;
  platform int;
BEGIN
  SELECT * INTO t FROM agentapp_limit WHERE key = 'tenant:' || p_tenant;
  SELECT * INTO g FROM agentapp_limit WHERE key = 'global';
  IF t.key IS NULL OR g.key IS NULL THEN
    PERFORM moves_0010.ensure_limits(ARRAY['global', 'tenant:' || p_tenant]);
    SELECT * INTO t FROM agentapp_limit WHERE key = 'tenant:' || p_tenant;
    SELECT * INTO g FROM agentapp_limit WHERE key = 'global';
  END IF;
  most := coalesce(t.max_waiting, p_tenant_mark);
  platform := coalesce(g.max_waiting, p_hard_mark);
  IF most <= 1000 THEN
    t.waiting := (SELECT count(*) FROM (SELECT 1 FROM agentapp_workflow 
                   WHERE tenant_id = p_tenant AND state = 'pending' AND origin IN ('client', 'schedule') LIMIT most) x);
  END IF;
  RETURN jsonb_strip_nulls(jsonb_build_object(
    'refused', CASE WHEN coalesce(t.waiting, 0) >= most THEN 'tenant' WHEN coalesce(g.waiting, 0) >= platform THEN 'platform' END,
    'waiting', coalesce(t.waiting, 0), 'most', most, 'platform_waiting', coalesce(g.waiting, 0), 'platform_most', platform,
    'per_s', coalesce(t.per_s, 0), 'platform_per_s', coalesce(g.per_s, 0),
    'tenants', CASE WHEN greatest(t.waiting, g.waiting) >= p_soft_mark
                    THEN (SELECT count(*) FROM agentapp_limit WHERE scope = 'tenant' AND waiting > 0 AND key <> t.key) END));
END $$;

-- Write down a new run and open its first stage: one round trip, one short transaction. [A1]
-- Refused before anything is written when too many tasks wait already: of the tenant first, then of the platform. [A8]
CREATE OR REPLACE FUNCTION moves_0010.submit(
  p_id uuid, p_tenant bigint, p_api_key bigint, p_user bigint, p_actor text, p_kind text, p_version int, p_priority int,
  p_input jsonb, p_labels jsonb, p_stages jsonb, p_result_bind jsonb, p_deadline_s float, p_tenant_mark int,
  p_hard_mark int, p_soft_mark int, p_run_at timestamptz DEFAULT NULL, p_callback_url text DEFAULT '',
  p_origin text DEFAULT 'client', p_parent uuid DEFAULT NULL, p_request_key text DEFAULT NULL,
  p_request_sha256 text DEFAULT NULL, p_traceparent text DEFAULT '', p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task;
  moment timestamptz := moves_0010.moment(p_now);
  deadline timestamptz := greatest(moment, p_run_at) + make_interval(secs => p_deadline_s);
  entrance jsonb := moves_0010.entrance(p_tenant, p_tenant_mark, p_hard_mark, p_soft_mark, p_id, p_request_key, p_request_sha256,
                                   moment);
BEGIN
  IF entrance ? 'known' OR entrance ? 'refused' AND p_origin IN ('client', 'schedule') THEN
    RETURN entrance;
  END IF;
  INSERT INTO agentapp_workflow (id, tenant_id, api_key_id, user_id, kind, version, state, priority, risk, input, labels,
                                 result_bind, position, parts_left, stages_total, jobs_total, jobs_done, seq, tokens,
                                 cost_usd, created_at, deadline_at, run_at, callback_url, origin, parent, traceparent)
  VALUES (p_id, p_tenant, p_api_key, p_user, p_kind, p_version, CASE WHEN p_run_at > moment THEN 'scheduled' ELSE 'pending' END,
          p_priority, 'low', p_input, p_labels, p_result_bind, 0, 0, 0, 0, 0, 0, 0, 0, moment, deadline, p_run_at,
          p_callback_url, p_origin, p_parent, p_traceparent);
  t := moves_0010.lock_task(p_id, p_actor, p_now);
  t.now := moment;
  t := moves_0010.note(t, 'workflow', NULL, '', t.state, 'submitted', CASE WHEN t.state = 'scheduled' THEN
    jsonb_build_object('run_at', p_run_at) END);
  t := moves_0010.start_plan(t, p_stages);
  RETURN moves_0010.saved(t) || jsonb_build_object(
    'created_at', moment, 'deadline_at', deadline, 'position', t.position, 'stages_total', t.stages_total,
    'jobs_total', t.jobs_total, 'pressure', entrance);
END $$;

-- Put these stages behind those that there are, plan their jobs and open the first, now or when its time comes. What
-- cannot be opened is refused (22023), and nothing is stored.
CREATE OR REPLACE FUNCTION moves_0010.start_plan(INOUT t moves_0010.task, p_stages jsonb) LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_stage (workflow_id, position, name, kind, job_type, round, spec)
  SELECT t.id, t.stages_total + n, value ->> 'name', value ->> 'kind', value ->> 'job_type', 0, value -> 'spec'
    FROM jsonb_array_elements(p_stages) WITH ORDINALITY AS e(value, n);
  t := moves_0010.plan_jobs(t, t.stages_total + 1, 32767);
  t.stages_total := t.stages_total + coalesce(jsonb_array_length(p_stages), 0);
  IF t.state = 'scheduled' THEN
    t.problem := moves_0010.first_problem(t);
  ELSE
    t := moves_0010.advance(t);
  END IF;
  IF t.problem IS NOT NULL THEN
    RAISE EXCEPTION '%', t.problem USING ERRCODE = '22023';
  END IF;
END $$;

-- Claim jobs: available -> running, with a lease that only its token proves.

-- Claim the jobs that messages name. A message can be late, repeated or forged: then it is refused in a word.
--
-- p_items: a moves_0010.claim_request each; p_taker: a moves_0010.taker. Answers in the order of the items; null: not
-- decided here, claim it alone, because somebody else holds its task, or its job is in the list already.
CREATE OR REPLACE FUNCTION moves_0010.claim(
  p_items jsonb, p_taker jsonb, p_actor text, p_waits boolean, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  answers jsonb[] := array_fill(NULL::jsonb, ARRAY[jsonb_array_length(p_items)]);
  taker moves_0010.taker := jsonb_populate_record(NULL::moves_0010.taker, p_taker);
  requests moves_0010.claim_request[] := ARRAY(SELECT r FROM jsonb_populate_recordset(NULL::moves_0010.claim_request, p_items) r);
  tasks moves_0010.task[];
  jobs agentapp_job[];
  choices jsonb[];
  free bigint;
  item record;
  seen uuid[] := '{}';
BEGIN
  PERFORM moves_0010.check_isolation();
  -- A claim that a crash of Postgres forgets is only a lost lease: it need not wait for the disk.
  PERFORM set_config('synchronous_commit', 'off', true);
  taker.now := p_now;
  taker.queues := moves_0010.served(taker.queues);
  -- Only what never changes is read before the locks: two messages of one job, or a cancellation, may be faster.
  tasks := moves_0010.lock_tasks(ARRAY(SELECT (SELECT workflow_id FROM agentapp_job WHERE id = r.job) FROM unnest(requests) r),
                            p_actor, p_waits, p_now);
  jobs := moves_0010.lock_jobs(ARRAY(SELECT job FROM unnest(requests)), ARRAY(SELECT id FROM unnest(tasks)));
  choices := ARRAY(SELECT moves_0010.choice_of(j.tenant_id, j.type, taker.asking) FROM unnest(jobs) j);
  free := moves_0010.lock_gates(jobs, choices, taker);
  FOR item IN SELECT * FROM moves_0010.in_order(requests, jobs, tasks) LOOP
    IF item.task IS NOT NULL AND item.job <> ALL(seen) THEN
      taker.choice := choices[item.place];
      tasks[item.task] := moves_0010.claim_one(tasks[item.task], jobs[item.place], requests[item.n].token, taker, free);
      free := free - 1;
      answers[item.n] := tasks[item.task].taken;
    ELSIF item.task IS NULL AND NOT EXISTS (SELECT 1 FROM agentapp_job WHERE id = item.job) THEN
      answers[item.n] := jsonb_build_object('refused', 'unknown');
    END IF;
    seen := seen || item.job;
  END LOOP;
  PERFORM moves_0010.save(tasks);
  RETURN moves_0010.within_buffers(answers);
END $$;

CREATE OR REPLACE FUNCTION moves_0010.check_isolation() RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'a claim counts behind locks and needs READ COMMITTED' USING ERRCODE = '0A000',
      HINT = 'ALTER DATABASE ... SET default_transaction_isolation TO ''read committed''';
  END IF;
END $$;

-- Lock jobs of these tasks by their ids, and read them.
CREATE OR REPLACE FUNCTION moves_0010.lock_jobs(p_jobs uuid[], p_tasks uuid[]) RETURNS agentapp_job[] LANGUAGE plpgsql AS $$
BEGIN
  -- By their ids: by its task, one look would read all parts of a wide fan-out.
  RETURN ARRAY(SELECT j FROM agentapp_job j WHERE id = ANY(p_jobs) AND array_position(p_tasks, workflow_id) IS NOT NULL
                ORDER BY id FOR NO KEY UPDATE);
END $$;

-- Requests in the order of their tasks, with the places of the job and its task among those that are locked.
CREATE OR REPLACE FUNCTION moves_0010.in_order(
  p_requests moves_0010.claim_request[], p_jobs agentapp_job[], p_tasks moves_0010.task[], OUT n int, OUT job uuid, OUT place int,
  OUT task int
) RETURNS SETOF record LANGUAGE plpgsql STABLE AS $$
DECLARE
  jobs uuid[] := ARRAY(SELECT j.id FROM unnest(p_jobs) j);
  tasks uuid[] := ARRAY(SELECT t.id FROM unnest(p_tasks) t);
BEGIN
  RETURN QUERY
  SELECT r.ordinality::int, r.job, array_position(jobs, r.job),
         array_position(tasks, p_jobs[array_position(jobs, r.job)].workflow_id) AS t
    FROM unnest(p_requests) WITH ORDINALITY r ORDER BY t, r.ordinality;
END $$;

-- Claim one job of a task; what it comes to is `taken`. p_free: how many jobs pass their gates unasked; null: they have none.
CREATE OR REPLACE FUNCTION moves_0010.claim_one(
  INOUT t moves_0010.task, j agentapp_job, p_token uuid, p_taker moves_0010.taker, p_free bigint
) LANGUAGE plpgsql AS $$
BEGIN
  IF j.state = 'running' AND j.lease_token = p_token THEN
    t.taken := moves_0010.claimed(t, j, p_taker.choice);
  ELSIF j.state <> 'available' THEN
    t.taken := jsonb_build_object('refused', j.state);
  ELSIF t.finished_at IS NOT NULL THEN
    t.taken := jsonb_build_object('refused', 'not available');
  ELSIF NOT coalesce(j.queue = ANY(p_taker.queues), false) THEN
    t.taken := jsonb_build_object('refused', 'not of this worker class');
  ELSE
    IF j.started_at IS NULL OR NOT EXISTS (SELECT 1 FROM agentapp_attempt WHERE id = p_token) THEN
      p_taker.token := p_token;
    ELSE
      -- A claim whose answer was lost is made again after its attempt was lost too: this is another attempt.
      p_taker.token := moves_0010.uuid7();
    END IF;
    t := moves_0010.take(t, j, p_taker, p_free);
  END IF;
END $$;

-- What happens to one available job that a worker wants.

-- Take an available job: permission, gates, then its lease. `taken` is the claimed job, or {"refused": reason}. A job that a
-- gate stops is parked: it holds nothing, and its attempt is not counted.
CREATE OR REPLACE FUNCTION moves_0010.take(INOUT t moves_0010.task, j agentapp_job, p_taker moves_0010.taker, p_free bigint)
LANGUAGE plpgsql AS $$
DECLARE
  k agentapp_job := j;
  began boolean := t.state = 'pending';
  why text := coalesce(t.denied, moves_0010.denied(t));
  passed record;
  charged int := 0;
BEGIN
  t.denied := why;
  IF why <> '' THEN
    k := moves_0010.entering(k, 'dead_lettered', t.now);
    k.error := jsonb_build_object('class', 'PermissionDenied', 'kind', 'permission', 'message', why);
    t := moves_0010.move_job(t, j, k, why);
    -- What it opens is not published from here: the dispatcher finds it.
    t := moves_0010.bury(t, (SELECT s FROM agentapp_stage s WHERE s.id = j.stage_id), why);
    t.taken := jsonb_build_object('refused', 'permission', 'task', t.id);
    RETURN;
  END IF;
  -- As it is chosen now, and not as the plan froze it.
  k.model := moves_0010.model_of(j, p_taker, t.now);
  IF p_free IS NOT NULL THEN
    -- It may have waited for the locks of its gates: it is charged, and begins, at one moment behind them.
    t.now := moves_0010.moment(p_taker.now);
  END IF;
  IF p_free <= 0 THEN
    passed := moves_0010.pass_gates(k, t.priority, NOT began, true, t.now);
    IF passed.blockers IS NOT NULL THEN
      t := moves_0010.park(t, j, k, passed.blockers);
      t.taken := jsonb_build_object('refused', 'parked', 'task', t.id);
      RETURN;
    END IF;
    charged := coalesce(passed.tokens, 0);
  END IF;
  t := moves_0010.start_job(t, j, k, p_taker);
  t.taken := t.taken || jsonb_build_object('tokens', charged, 'began', began);
END $$;

-- A job runs from now on: token, lease, attempt + 1. From `pending` it has been opened on the way.
CREATE OR REPLACE FUNCTION moves_0010.start_job(INOUT t moves_0010.task, j agentapp_job, k agentapp_job, p_taker moves_0010.taker)
LANGUAGE plpgsql AS $$
BEGIN
  k := moves_0010.entering(k, 'running', t.now);
  -- Whether it had a message of its own is told by its attempt.
  k.publishes := CASE WHEN j.state = 'available' THEN greatest(1, j.publishes) ELSE 0 END;
  k.priority := t.priority;
  k.attempt := j.attempt + 1;
  k.worker := coalesce(p_taker.worker, '');
  k.process := p_taker.process;
  k.lease_token := coalesce(p_taker.token, moves_0010.uuid7());
  k.lease_expires_at := t.now + make_interval(secs => coalesce(p_taker.lease_s, 15));
  k.available_at := coalesce(j.available_at, t.now);
  k.started_at := t.now;
  IF t.state = 'pending' THEN
    t.started_at := t.now;
    t := moves_0010.set_state(t, 'running', 'its first job was claimed');
  END IF;
  t := moves_0010.move_job(t, j, k, '', jsonb_build_object('attempt', k.attempt));
  t.taken := moves_0010.claimed(t, k, p_taker.choice);
END $$;

-- available -> scheduled: a gate is in the way. New jobs of its keys wait behind it, and the dispatcher publishes it when
-- there is room.
CREATE OR REPLACE FUNCTION moves_0010.park(INOUT t moves_0010.task, j agentapp_job, k agentapp_job, p_blockers jsonb) LANGUAGE plpgsql AS $$
BEGIN
  k := moves_0010.entering(k, 'scheduled', t.now);
  k.scheduled_at := coalesce((SELECT max((b ->> 'until')::timestamptz) FROM jsonb_array_elements(p_blockers) b), t.now);
  k.blocked_by := p_blockers;
  t := moves_0010.move_job(t, j, k, 'a gate is in the way', jsonb_build_object('blocked_by', p_blockers));
  UPDATE agentapp_limit SET holds = true
   WHERE key = ANY(moves_0010.keys(k.queue, k.type, k.tenant_id, k.model, k.tool)) AND NOT holds
     AND EXISTS (SELECT 1 FROM jsonb_array_elements(p_blockers) b WHERE b ->> 'scope' = scope AND b ->> 'name' = name);
END $$;

-- End the attempt of a worker that is gone. p_ending: a moves_0010.settle_request; its token is the lease of the attempt that was
-- decided about: where another attempt has begun since, the decision is out of date. The lease must have run out, or be the
-- one that the process held when it was seen last (a process that is gone renews nothing), or it is certain that the process
-- has ended.
CREATE OR REPLACE FUNCTION moves_0010.lose(
  p_ending jsonb, p_actor text, p_is_certain boolean, p_process bigint, p_seen timestamptz,
  p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r moves_0010.settle_request := jsonb_populate_record(NULL::moves_0010.settle_request, p_ending);
  t moves_0010.task := moves_0010.lock_task(r.workflow, p_actor, p_now);
  j agentapp_job;
BEGIN
  SELECT * INTO j FROM agentapp_job
   WHERE id = r.job AND workflow_id = t.id AND state = 'running' AND lease_token = r.token
     AND (lease_expires_at < t.now OR p_is_certain OR process = p_process AND lease_expires_at = p_seen)
     FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost');
  END IF;
  t := moves_0010.settle_one(t, j, (SELECT s FROM agentapp_stage s WHERE s.id = j.stage_id), r, NULL);
  PERFORM moves_0010.save(ARRAY[t]);
  RETURN t.answer;
END $$;

-- Record how attempts ended, and what follows, in one round trip.

-- p_items: a moves_0010.settle_request each; p_taker: a moves_0010.taker. Answers as in moves_0010.claim.
CREATE OR REPLACE FUNCTION moves_0010.settle(
  p_items jsonb, p_actor text, p_waits boolean, p_taker jsonb DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  answers jsonb[] := array_fill(NULL::jsonb, ARRAY[jsonb_array_length(p_items)]);
  taker moves_0010.taker := jsonb_populate_record(NULL::moves_0010.taker, p_taker);
  requests moves_0010.settle_request[] := ARRAY(SELECT r FROM jsonb_populate_recordset(NULL::moves_0010.settle_request, p_items) r);
  tasks moves_0010.task[] := moves_0010.lock_tasks(
    ARRAY(SELECT workflow FROM unnest(requests)), p_actor, p_waits, p_now);
  ids uuid[] := ARRAY(SELECT id FROM unnest(tasks));
  item record;
  seen uuid[] := '{}';
BEGIN
  taker.queues := moves_0010.served(taker.queues);
  FOR item IN
    SELECT r.ordinality AS n, r.workflow, r.job AS id, array_position(ids, r.workflow) AS place, j AS job, s AS stage
      FROM unnest(requests) WITH ORDINALITY r
      LEFT JOIN agentapp_job j ON j.id = r.job AND j.workflow_id = r.workflow LEFT JOIN agentapp_stage s ON s.id = j.stage_id ORDER BY place, n
  LOOP
    IF item.place IS NOT NULL AND item.id <> ALL(seen) THEN
      tasks[item.place] := moves_0010.settle_one(tasks[item.place], item.job, item.stage, requests[item.n], taker);
      answers[item.n] := tasks[item.place].answer;
    ELSIF item.place IS NULL AND NOT EXISTS (SELECT 1 FROM agentapp_workflow WHERE id = item.workflow) THEN
      answers[item.n] := jsonb_build_object('status', 'lost');
    END IF;
    seen := seen || item.id;
  END LOOP;
  PERFORM moves_0010.save(tasks);
  RETURN moves_0010.within_buffers(answers);
END $$;

-- Record how one attempt ended; what it comes to is the `answer`. Job and stage were read behind the lock of the task.
CREATE OR REPLACE FUNCTION moves_0010.settle_one(
  INOUT t moves_0010.task, j agentapp_job, s agentapp_stage, r moves_0010.settle_request, p_taker moves_0010.taker
) LANGUAGE plpgsql AS $$
DECLARE
  unusable text;
BEGIN
  IF session_user <> current_user THEN
    PERFORM moves_0010.check_queue(j.queue);
  END IF;
  IF t.finished_at IS NOT NULL THEN
    -- One before it in the list may have ended the task since, and this job with it.
    SELECT * INTO j FROM agentapp_job WHERE id = r.job AND workflow_id = t.id;
  END IF;
  IF r.effects <> '[]'::jsonb THEN
    PERFORM moves_0010.record_effects(r.job, r.effects, t.now);
  END IF;
  IF j.state IS DISTINCT FROM 'running' OR j.lease_token IS DISTINCT FROM r.token THEN
    t.answer := moves_0010.settled_before(t, r, p_taker);
    RETURN;
  END IF;
  IF r.state = 'completed' THEN
    unusable := moves_0010.output_problem(t.id, s, r.output);
    IF unusable IS NOT NULL THEN
      r.state := 'dead_lettered';
      r.outcome := 'failed';
      r.reason := unusable;
      r.error := jsonb_build_object('class', 'OutputNotUsable', 'kind', 'permanent', 'message', unusable);
    END IF;
  END IF;
  PERFORM moves_0010.end_attempt(j, r.outcome, r.error, t.now);
  t.opened := '[]';
  t.held := 0;
  t.taken := NULL;
  t := moves_0010.end_run(t, j, s, r, p_taker);
  t.answer := moves_0010.answer(t) || jsonb_build_object(
    'taken', t.taken, 'unusable', unusable, 'awaited', r.watched AND moves_0010.is_awaited(j));
END $$;

-- A job that runs leaves that state, and its task goes on. A job that is handed back has not used up an attempt.
CREATE OR REPLACE FUNCTION moves_0010.end_run(
  INOUT t moves_0010.task, j agentapp_job, s agentapp_stage, r moves_0010.settle_request, p_taker moves_0010.taker
) LANGUAGE plpgsql AS $$
DECLARE
  k agentapp_job := moves_0010.entering(j, r.state, t.now);
BEGIN
  t.tokens := t.tokens + coalesce(r.tokens, 0);
  t.cost_usd := t.cost_usd + coalesce(r.cost_usd, 0);
  t.unpriced_calls := t.unpriced_calls + coalesce(r.unpriced_calls, 0);
  IF k.state = 'completed' THEN
    k.output := r.output;
    t := moves_0010.move_job(t, j, k, r.reason);
    t.jobs_done := t.jobs_done + 1;
    -- Continue in place: this worker goes on with the only next job, without a trip through the broker.
    p_taker.done := moves_0010.keys(j.queue, j.type, j.tenant_id, j.model, j.tool);
    p_taker.token := r.next_token;
    t := moves_0010.close_part(t, s, k.output, CASE WHEN r.next_token IS NOT NULL THEN p_taker END);
    RETURN;
  END IF;
  k.error := coalesce(r.error - 'trace', j.error);
  IF r.outcome = 'handed_back' OR NOT coalesce(r.is_counted, true) THEN
    k.attempt := j.attempt - 1;
  END IF;
  IF k.state = 'retryable' THEN
    k.scheduled_at := t.now + make_interval(secs => r.retry_in_s);
  ELSIF k.state = 'available' THEN
    k.published_at := t.now;
    k.publishes := 1;
    t.opened := jsonb_build_array(moves_0010.link(k));
  END IF;
  t := moves_0010.move_job(t, j, k, r.reason, jsonb_strip_nulls(jsonb_build_object(
    'attempt', k.attempt, 'error', k.error - 'message', 'retry_at', k.scheduled_at, 'asks', r.asks)));
  IF k.state = 'dead_lettered' THEN
    t := moves_0010.bury(t, s, j.type || ': ' || r.reason);
  END IF;
END $$;

-- Find out what an earlier settle of mine did, whose answer was lost on its way: my attempt has then ended, and what it
-- opened carries the same moment. A job that was taken must not wait for its lease to run out.
CREATE OR REPLACE FUNCTION moves_0010.settled_before(t moves_0010.task, r moves_0010.settle_request, p_taker moves_0010.taker) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
  done timestamptz;
  unusable text;
BEGIN
  SELECT finished_at, CASE WHEN error_class = 'OutputNotUsable' THEN error_message END INTO done, unusable
    FROM agentapp_attempt
   WHERE id = r.token AND (outcome = r.outcome OR r.state = 'completed' AND error_class = 'OutputNotUsable');
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost');
  END IF;
  SELECT coalesce(jsonb_agg(moves_0010.link(k) ORDER BY k.part) FILTER (WHERE k.published_at IS NOT NULL), '[]'),
         count(*) FILTER (WHERE k.published_at IS NULL)
    INTO t.opened, t.held FROM agentapp_job k
   WHERE k.workflow_id = t.id AND k.state = 'available' AND k.available_at = done;
  RETURN moves_0010.answer(t) || jsonb_build_object('status', 'done before', 'unusable', unusable, 'taken', (
    SELECT moves_0010.claimed(t, k, moves_0010.choice_of(k.tenant_id, k.type, p_taker.asking)) FROM agentapp_job k
     WHERE k.workflow_id = t.id AND k.state = 'running' AND k.lease_token = r.next_token));
END $$;

-- What becomes of the question of a job: it is decided, its time is over, or its answer is taken back. [G2]

-- retryable -> available: what the job has asked is decided. It is published if there is room.
CREATE OR REPLACE FUNCTION moves_0010.wake_asker(INOUT t moves_0010.task, a agentapp_approval, p_reason text) LANGUAGE plpgsql AS $$
DECLARE
  j agentapp_job;
  k agentapp_job;
BEGIN
  SELECT * INTO STRICT j FROM agentapp_job WHERE id = a.job_id AND workflow_id = t.id FOR NO KEY UPDATE;
  k := moves_0010.entering(j, 'available', t.now);
  k.publishes := moves_0010.room(j.queue, j.type, j.tenant_id, j.model, j.tool, 1, t.state <> 'pending', t.now);
  k.published_at := CASE WHEN k.publishes > 0 THEN t.now END;
  t := moves_0010.move_job(t, j, k, p_reason);
  t.opened := t.opened || moves_0010.link(k);
END $$;

-- Nobody has decided in time: by its policy a question is rejected, else it has expired. Its job goes on and is told so.
CREATE OR REPLACE FUNCTION moves_0010.expire_questions(INOUT t moves_0010.task) LANGUAGE plpgsql AS $$
DECLARE
  a agentapp_approval;
  told text;
BEGIN
  FOR a IN SELECT * FROM agentapp_approval
            WHERE workflow_id = t.id AND state = 'pending' AND job_id IS NOT NULL AND expires_at <= t.now
            ORDER BY id LIMIT 500 FOR NO KEY UPDATE LOOP
    IF moves_0010.is_asked(t, a) THEN
      told := CASE WHEN a.policy ->> 'on_expiry' = 'reject' THEN 'rejected' ELSE 'expired' END;
      t := moves_0010.record_decision(t, a, told, NULL, NULL, 'nobody decided in time', false);
      t := moves_0010.wake_asker(t, a, 'nobody decided in time');
    ELSE
      -- Left behind by a release that knows of no questions.
      t := moves_0010.note(t, 'approval', a.id, 'pending', 'cancelled', 'its job does not wait for it');
      UPDATE agentapp_approval SET state = 'cancelled', decided_at = t.now WHERE id = a.id AND state = 'pending';
    END IF;
  END LOOP;
END $$;

-- Withdraw what was approved for a job that has not begun again since: it waits, and the same is asked once more.
CREATE OR REPLACE FUNCTION moves_0010.withdraw_answer(t moves_0010.task, a agentapp_approval, p_reason text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  j agentapp_job;
  before uuid := a.id;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = a.job_id AND workflow_id = t.id FOR NO KEY UPDATE;
  IF t.finished_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'over', 'state', t.state);
  ELSIF j.state IS NULL OR j.state NOT IN ('available', 'scheduled') OR j.started_at > a.decided_at
        OR EXISTS (SELECT 1 FROM agentapp_approval WHERE job_id = j.id AND id > a.id) THEN
    RETURN jsonb_build_object('status', 'gone on');
  END IF;
  t := moves_0010.move_job(t, j, moves_0010.entering(j, 'retryable', t.now), p_reason);
  UPDATE agentapp_approval SET state = 'reopened', answered_at = NULL WHERE id = a.id AND state = 'approved';
  t := moves_0010.note(t, 'approval', a.id, 'approved', 'reopened', p_reason);
  a.expires_at := t.now + (a.expires_at - a.created_at);
  a := moves_0010.ask(t, a);
  PERFORM moves_0010.remember_editors(a, before, t.now);
  t := moves_0010.note(t, 'approval', a.id, '', 'pending', p_reason);
  PERFORM moves_0010.wait_for(j.id, a);
  PERFORM moves_0010.tell_of_approval(t, 'approval.requested');
  RETURN moves_0010.saved(t) || jsonb_build_object('approval', a.id);
END $$;

-- The latest approval that asks once more what an earlier one had asked, or null.
CREATE OR REPLACE FUNCTION moves_0010.asked_after(a agentapp_approval) RETURNS uuid LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT b.id FROM agentapp_approval b JOIN agentapp_stage s ON s.id = b.stage_id
     WHERE b.workflow_id = a.workflow_id AND b.id > a.id AND b.state <> 'reopened'
       AND s.name = (SELECT name FROM agentapp_stage WHERE id = a.stage_id)
       AND b.job_id IS NOT DISTINCT FROM a.job_id AND b.ask_key = a.ask_key
     ORDER BY b.id LIMIT 1);
END $$;

-- Who has claimed an approval, and until when it is snoozed. Advice for people: it decides nothing, and stops nobody.

-- p_what: claim (for p_for_s; by another person whom p_user assigns it to: p_person; what somebody else holds only with p_takes_over), release, or snooze (until p_until; null: no
-- longer); the first and the last only by who may decide. Each is noted once: who claims again what is their own only prolongs it.
CREATE OR REPLACE FUNCTION moves_0010.assign(
  p_workflow uuid, p_approval uuid, p_actor text, p_user int, p_api_key bigint, p_what text, p_for_s float DEFAULT NULL,
  p_until timestamptz DEFAULT NULL, p_takes_over boolean DEFAULT false, p_person int DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
  a agentapp_approval;
  holder int := coalesce(p_person, p_user);
  key bigint := CASE WHEN p_person IS NULL THEN p_api_key END;
  is_mine boolean;
  refusal jsonb;
BEGIN
  SELECT * INTO a FROM agentapp_approval WHERE id = p_approval AND workflow_id = t.id FOR NO KEY UPDATE;
  IF a.state IS DISTINCT FROM 'pending' THEN
    RETURN jsonb_build_object('status', 'decided', 'state', coalesce(a.state, 'deleted'));
  END IF;
  refusal := moves_0010.assign_refused(t, a, p_user, p_api_key, p_what, p_person);
  IF refusal IS NOT NULL THEN
    RETURN refusal;
  END IF;
  is_mine := coalesce(a.claimed_by_user_id = holder OR a.claimed_by_key_id = key, false);
  IF p_what = 'claim' AND a.claimed_until > t.now AND NOT is_mine AND NOT p_takes_over THEN
    RETURN jsonb_build_object('status', 'claimed', 'until', a.claimed_until);
  ELSIF p_what = 'snooze' AND (p_until <= t.now OR p_until >= a.expires_at) THEN
    RETURN jsonb_build_object('status', 'not then', 'until', a.expires_at);
  END IF;
  IF moves_0010.is_news(a, p_what, is_mine, p_until, t.now) THEN
    t := moves_0010.note(t, 'approval', a.id, 'pending', 'pending', moves_0010.assigned(p_what, p_until, p_person));
  END IF;
  UPDATE agentapp_approval
     SET claimed_by_user_id = CASE p_what WHEN 'claim' THEN holder WHEN 'snooze' THEN claimed_by_user_id END,
         claimed_by_key_id = CASE p_what WHEN 'claim' THEN key WHEN 'snooze' THEN claimed_by_key_id END,
         claimed_at = CASE p_what WHEN 'claim' THEN t.now WHEN 'snooze' THEN claimed_at END,
         claimed_until = CASE p_what WHEN 'claim' THEN t.now + make_interval(secs => p_for_s)
                                     WHEN 'snooze' THEN claimed_until END,
         snoozed_until = CASE p_what WHEN 'snooze' THEN p_until WHEN 'claim' THEN NULL ELSE snoozed_until END
   WHERE id = a.id AND state = 'pending';
  RETURN moves_0010.saved(t);
END $$;

-- The answer to who may not do that, or not for this person; null: they may. Releasing is open to all.
CREATE OR REPLACE FUNCTION moves_0010.assign_refused(
  t moves_0010.task, a agentapp_approval, p_user int, p_api_key bigint, p_what text, p_person int
) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce(
    CASE WHEN p_what <> 'release' THEN moves_0010.outsider(t, a, p_user, p_api_key) END,
    CASE WHEN p_person IS NOT NULL THEN moves_0010.outsider(t, a, p_person, NULL) || '{"of": "person"}' END);
END $$;

CREATE OR REPLACE FUNCTION moves_0010.is_news(a agentapp_approval, p_what text, p_is_mine boolean, p_until timestamptz, p_now timestamptz)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_what WHEN 'claim' THEN NOT p_is_mine OR a.claimed_until <= p_now
                     WHEN 'release' THEN a.claimed_until IS NOT NULL
                     ELSE a.snoozed_until IS DISTINCT FROM p_until END
$$;

-- What a history says of it.
CREATE OR REPLACE FUNCTION moves_0010.assigned(p_what text, p_until timestamptz, p_person int) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE p_what WHEN 'claim' THEN coalesce('assigned to ' || (SELECT username FROM auth_user WHERE id = p_person), 'claimed')
                     WHEN 'release' THEN 'released'
                     ELSE coalesce('snoozed until ' || to_char(p_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'),
                                   'no longer snoozed') END
$$;

-- Moves that people and the dispatcher make on jobs that do not run.

-- Cancel every job of a task, or of one of its stages, that is not done, but not those in the state p_spare. Attempts
-- that run lose their lease and can no longer store anything.
CREATE OR REPLACE FUNCTION moves_0010.end_jobs(INOUT t moves_0010.task, p_stage bigint, p_spare text, p_reason text)
LANGUAGE plpgsql AS $$
DECLARE
  fresh moves_0010.event[];
BEGIN
  PERFORM 1 FROM agentapp_job
    WHERE workflow_id = t.id AND state NOT IN ('completed', 'cancelled', p_spare) AND (p_stage IS NULL OR stage_id = p_stage)
    ORDER BY id FOR NO KEY UPDATE;
  PERFORM moves_0010.end_attempt(j, 'cancelled', NULL, t.now) FROM agentapp_job j
    WHERE workflow_id = t.id AND state = 'running' AND (p_stage IS NULL OR stage_id = p_stage);
  WITH found AS (
    SELECT j.id, j.state, (s.spec ->> 'cleans_up')::boolean AS cleans_up FROM agentapp_job j JOIN agentapp_stage s ON s.id = j.stage_id
     WHERE j.workflow_id = t.id AND j.state NOT IN ('completed', 'cancelled', p_spare)
       AND (p_stage IS NULL OR j.stage_id = p_stage)
  ), ended AS (
    -- The worker that runs it cleans up when it hears of this; if it is dead, the dispatcher has it done after the lease.
    UPDATE agentapp_job j
       SET state = 'cancelled', lease_token = NULL, lease_expires_at = NULL, finished_at = t.now,
           clean_up_at = CASE WHEN j.started_at IS NOT NULL AND found.cleans_up THEN coalesce(j.lease_expires_at, t.now) END
      FROM found WHERE j.id = found.id AND j.state = found.state
  )
  SELECT coalesce(array_agg(ROW('job', id, state, 'cancelled', p_reason, NULL)::moves_0010.event ORDER BY id), '{}')
    INTO fresh FROM found;
  t.log := t.log || fresh;
END $$;

-- Close the open questions of a task that is over.
CREATE OR REPLACE FUNCTION moves_0010.close_approvals(INOUT t moves_0010.task, p_to text, p_reason text) LANGUAGE plpgsql AS $$
DECLARE
  item record;
BEGIN
  FOR item IN UPDATE agentapp_approval SET state = p_to, decided_at = t.now
               WHERE workflow_id = t.id AND state = 'pending' RETURNING id LOOP
    t := moves_0010.note(t, 'approval', item.id, 'pending', p_to, p_reason);
  END LOOP;
END $$;

-- End a task before its last stage: its jobs, its open questions, and what it has come to.
CREATE OR REPLACE FUNCTION moves_0010.end_task(
  INOUT t moves_0010.task, p_to text, p_class text, p_reason text, p_approvals text DEFAULT 'cancelled'
) LANGUAGE plpgsql AS $$
BEGIN
  t := moves_0010.end_jobs(t, NULL, '', p_reason);
  t := moves_0010.drop_questions(t, p_reason);
  t := moves_0010.close_approvals(t, p_approvals, p_reason);
  t.error := jsonb_build_object('class', p_class, 'message', p_reason);
  t.result := moves_0010.partial_result(t);
  t := moves_0010.set_state(t, p_to, p_reason);
END $$;

CREATE OR REPLACE FUNCTION moves_0010.cancel(p_workflow uuid, p_actor text, p_reason text, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
BEGIN
  PERFORM moves_0010.check_part(t.parent);
  IF t.id IS NULL OR t.finished_at IS NOT NULL THEN
    RETURN moves_0010.refused(t);
  END IF;
  t := moves_0010.end_task(t, 'cancelled', 'Cancelled', p_reason);
  RETURN moves_0010.saved(t);
END $$;

-- End a task by a rule: its deadline has passed, or nobody decided in time, unless a policy says that this is a rejection, as
-- by a person. Refused when neither is so. [D9]
CREATE OR REPLACE FUNCTION moves_0010.expire(p_workflow uuid, p_actor text, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
  a agentapp_approval;
  why text := 'deadline passed';
BEGIN
  SELECT * INTO a FROM agentapp_approval
   WHERE workflow_id = t.id AND state = 'pending' AND job_id IS NULL AND expires_at <= t.now ORDER BY id LIMIT 1 FOR NO KEY UPDATE;
  IF t.finished_at IS NULL AND t.deadline_at <= t.now THEN
    t := moves_0010.end_task(t, 'failed', 'DeadlineExceeded', why);
  ELSIF t.finished_at IS NULL AND a.policy ->> 'on_expiry' = 'reject' AND t.state = 'awaiting_approval' THEN
    why := 'nobody decided in time';
    t := moves_0010.record_decision(t, a, 'rejected', NULL, NULL, why, false);
    t := moves_0010.follow_decision(t, (SELECT s FROM agentapp_stage s WHERE s.id = a.stage_id), 'rejected', why);
  ELSIF t.finished_at IS NULL AND a.id IS NOT NULL THEN
    why := 'approval expired';
    t := moves_0010.end_task(t, 'failed', 'ApprovalExpired', why, 'expired');
  ELSE
    why := 'questions';
    t := moves_0010.expire_questions(t);
  END IF;
  IF t.id IS NULL OR t.log = '{}' THEN
    RETURN moves_0010.refused(t);
  END IF;
  RETURN moves_0010.saved(t) || jsonb_build_object('reason', why);
END $$;

-- A job whose time has come becomes available: its back-off is over, or what its gate said when it was parked. It is
-- published if there is room.
CREATE OR REPLACE FUNCTION moves_0010.make_due(p_workflow uuid, p_job uuid, p_actor text, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
  k agentapp_job;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = p_job FOR NO KEY UPDATE;
  IF NOT FOUND OR j.state NOT IN ('retryable', 'scheduled') OR coalesce(j.scheduled_at > t.now, true) THEN
    RETURN moves_0010.refused(t);
  END IF;
  k := moves_0010.entering(j, 'available', t.now);
  IF j.state = 'scheduled' THEN
    -- It keeps its place in the queue.
    k.available_at := j.available_at;
  END IF;
  k.publishes := moves_0010.room(j.queue, j.type, j.tenant_id, j.model, j.tool, 1, t.state <> 'pending', t.now);
  k.published_at := CASE WHEN k.publishes > 0 THEN t.now END;
  t := moves_0010.move_job(t, j, k, 'due');
  t.opened := jsonb_build_array(moves_0010.link(k));
  RETURN moves_0010.saved(t);
END $$;

-- What remains to be published for one available job.
CREATE OR REPLACE FUNCTION moves_0010.remaining(p_job uuid, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'state', w.state, 'tail', moves_0010.tail(w.id, w.position),
    'opened', jsonb_build_array(moves_0010.link(j)))
    FROM agentapp_job j JOIN agentapp_workflow w ON w.id = j.workflow_id WHERE j.id = p_job
$$;

-- A person's decision. It binds the hash of what the page showed; the second one to decide is told so. [G3]
CREATE OR REPLACE FUNCTION moves_0010.decide(
  p_workflow uuid, p_approval uuid, p_actor text, p_user int, p_api_key bigint, p_to text, p_content_sha256 text, p_reason text,
  p_content jsonb DEFAULT NULL, p_new_sha256 text DEFAULT NULL, p_hold_s float DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
  a agentapp_approval;
  s agentapp_stage;
  refusal jsonb;
BEGIN
  SELECT * INTO a FROM agentapp_approval WHERE id = p_approval AND workflow_id = t.id FOR NO KEY UPDATE;
  IF coalesce(p_new_sha256, p_content_sha256) = p_content_sha256
     AND moves_0010.has_voted(a, p_to, p_content_sha256, p_user, p_api_key) THEN
    RETURN moves_0010.answer(t);
  END IF;
  SELECT * INTO s FROM agentapp_stage WHERE id = a.stage_id;
  refusal := moves_0010.decision_refused(t, a, s, p_to, p_content_sha256, coalesce(p_new_sha256, p_content_sha256), p_user, p_api_key);
  IF refusal IS NOT NULL THEN
    RETURN refusal;
  END IF;
  a := moves_0010.vote(t, a, p_to, p_user, p_api_key, p_reason, p_content, p_new_sha256);
  IF p_to = 'approved' AND a.votes_missing > 0 THEN
    t := moves_0010.note(t, 'approval', a.id, 'pending', 'pending', moves_0010.voted(a, p_content_sha256),
                    jsonb_build_object('content_sha256', a.content_sha256, 'edited', a.content_sha256 <> p_content_sha256));
    RETURN moves_0010.saved(t);
  END IF;
  t := moves_0010.record_decision(t, a, p_to, p_user, p_api_key, p_reason, p_content IS NOT NULL);
  IF a.job_id IS NOT NULL THEN
    t := moves_0010.wake_asker(t, a, 'what it asked is ' || p_to);
  ELSE
    t := moves_0010.follow_decision(t, s, p_to, p_reason);
  END IF;
  IF p_to <> 'changes_requested' THEN
    t := moves_0010.hold(t, a, p_hold_s);
  END IF;
  RETURN moves_0010.saved(t);
END $$;

-- Write down what was decided. What the bytes are, an edit has written before.
CREATE OR REPLACE FUNCTION moves_0010.record_decision(
  INOUT t moves_0010.task, a agentapp_approval, p_to text, p_user int, p_api_key bigint, p_reason text, p_edited boolean
) LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_approval
     SET state = p_to, decided_at = t.now, decided_by_user_id = p_user, decided_by_key_id = p_api_key,
         reason = coalesce(p_reason, ''), votes_missing = 0,
         approved_sha256 = CASE WHEN p_to = 'approved' THEN content_sha256 ELSE '' END,
         answered_at = CASE WHEN job_id IS NOT NULL THEN t.now END
   WHERE id = a.id AND state = 'pending'
  RETURNING * INTO STRICT a;
  t := moves_0010.note(t, 'approval', a.id, 'pending', p_to, p_reason,
                  jsonb_build_object('content_sha256', a.content_sha256, 'edited', p_edited));
  PERFORM moves_0010.tell_of_approval(t, 'approval.decided');
  UPDATE agentapp_stage
     SET output = jsonb_build_object('approval_id', a.id, 'decision', p_to, 'content_sha256', a.approved_sha256,
                                     'remark', CASE WHEN p_to <> 'approved' THEN p_reason END)
   WHERE id = a.stage_id AND a.job_id IS NULL;
END $$;

-- Go on behind a decision: end the task, go back, or open what comes next.
CREATE OR REPLACE FUNCTION moves_0010.follow_decision(INOUT t moves_0010.task, s agentapp_stage, p_to text, p_reason text)
LANGUAGE plpgsql AS $$
BEGIN
  IF p_to = 'rejected' AND s.spec ->> 'on_reject' IS DISTINCT FROM 'continue' THEN
    t := moves_0010.end_jobs(t, NULL, '', 'rejected');
    t := moves_0010.drop_questions(t, 'rejected');
    t.result := jsonb_build_object('outcome', 'rejected', 'reason', p_reason);
    t := moves_0010.set_state(t, 'completed', 'rejected');
    RETURN;
  END IF;
  t := moves_0010.set_state(t, 'running', replace(p_to, '_', ' '));
  IF p_to = 'changes_requested' THEN
    t.parts_left := 0;
    t := moves_0010.go_back(t, s.position, s.spec ->> 'back_to', 0);
    t := moves_0010.advance(t);
  ELSE
    t := moves_0010.close_part(t, s, NULL);
  END IF;
END $$;

-- Open an approved decision again, because what would be sent (p_content, as it is now) is not what was approved.
CREATE OR REPLACE FUNCTION moves_0010.reopen(
  p_workflow uuid, p_job uuid, p_token uuid, p_actor text, p_reason text, p_approval uuid, p_content jsonb,
  p_new_sha256 text, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
  k agentapp_job;
  a agentapp_approval;
BEGIN
  PERFORM moves_0010.check_class(p_job);
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND workflow_id = t.id AND state = 'running' AND lease_token = p_token FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost');
  END IF;
  PERFORM moves_0010.end_attempt(j, 'failed', jsonb_build_object('class', 'ContentChanged', 'message', p_reason), t.now);
  k := moves_0010.entering(j, 'pending', t.now);
  k.payload := NULL;
  t := moves_0010.move_job(t, j, k, p_reason);
  UPDATE agentapp_approval SET state = 'reopened'
   WHERE id = p_approval AND workflow_id = t.id AND state = 'approved' AND job_id IS NULL
  RETURNING * INTO STRICT a;
  t := moves_0010.note(t, 'approval', a.id, 'approved', 'reopened', p_reason);
  t := moves_0010.ask_again(t, a, (SELECT position FROM agentapp_stage WHERE id = j.stage_id), p_content, p_new_sha256, p_reason);
  RETURN moves_0010.saved(t);
END $$;

-- Put the same decision before the stage at p_position, with the content as it is now, and open it. What lies between the
-- first decision and there is done, and stays so.
CREATE OR REPLACE FUNCTION moves_0010.ask_again(
  INOUT t moves_0010.task, a agentapp_approval, p_position int, p_content jsonb, p_new_sha256 text, p_reason text
) LANGUAGE plpgsql AS $$
DECLARE
  before uuid := a.id;
  stage bigint;
BEGIN
  UPDATE agentapp_stage SET position = position + 1 WHERE workflow_id = t.id AND position >= p_position;
  INSERT INTO agentapp_stage (workflow_id, position, name, kind, job_type, round, spec)
  SELECT t.id, p_position, name, kind, job_type, round, spec FROM agentapp_stage WHERE id = a.stage_id
  RETURNING id INTO STRICT stage;
  a.stage_id := stage;
  a.content := p_content;
  a.content_sha256 := p_new_sha256;
  a.expires_at := t.now + (a.expires_at - a.created_at);
  a := moves_0010.ask(t, a);
  PERFORM moves_0010.remember_editors(a, before, t.now);
  t := moves_0010.note(t, 'approval', a.id, '', 'pending', p_reason);
  t.stages_total := t.stages_total + 1;
  t.position := p_position;
  t.parts_left := 1;
  t := moves_0010.set_state(t, 'awaiting_approval', p_reason);
END $$;

-- Who decides in whose place. [G2]

-- Whether a person is in one of these groups, or has a role in a tenant that is named like one.
CREATE OR REPLACE FUNCTION moves_0010.is_in(p_user int, p_tenant bigint, p_groups jsonb) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT 1 FROM auth_user_groups m JOIN auth_group g ON g.id = m.group_id
                  WHERE m.user_id = p_user AND p_groups ? g.name)
      OR EXISTS (SELECT 1 FROM agentapp_membership m
                  WHERE m.user_id = p_user AND m.tenant_id = p_tenant AND p_groups ? m.role)
$$;

CREATE OR REPLACE FUNCTION moves_0010.has_edited(a agentapp_approval, p_user int) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT 1 FROM agentapp_approvalvote WHERE approval_id = a.id AND has_edited AND user_id = p_user)
$$;

-- In whose place a person decides who is in none of the deciding groups: one who is, and has delegated to them until later. Null:
-- nobody's, or in their own. Who has left the tenant, only looks on there or signs in no longer delegates nothing. Who asked for the
-- task or has edited the text comes last: under four eyes nobody approves it in their place.
CREATE OR REPLACE FUNCTION moves_0010.instead_of(t moves_0010.task, a agentapp_approval, p_user int) RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE
  groups jsonb := moves_0010.deciding_groups(a);
BEGIN
  IF p_user IS NULL OR groups IS NULL OR moves_0010.is_in(p_user, t.tenant_id, groups) THEN
    RETURN NULL;
  END IF;
  RETURN (
    SELECT d.user_id FROM agentapp_delegation d JOIN auth_user u ON u.id = d.user_id AND u.is_active
     WHERE d.delegate_id = p_user AND d.tenant_id = t.tenant_id AND d.until > t.now AND moves_0010.is_in(d.user_id, t.tenant_id, groups)
       AND (u.is_superuser OR EXISTS (SELECT 1 FROM agentapp_membership m
              WHERE m.user_id = d.user_id AND m.tenant_id = d.tenant_id AND m.role <> 'viewer'))
     ORDER BY moves_0010.asked_for(t, d.user_id) OR moves_0010.has_edited(a, d.user_id), d.id LIMIT 1);
END $$;

-- Moves of effects. Each send has a number and belongs to the attempt that began it. A send ends when it is answered,
-- proven not sent, or decided by a person; until then the effect is in doubt. [D7]

-- Until when the sender of an effect holds its job, or null: nobody sends it now. p_job is who asks. An expired lease can
-- still be renewed, until the rescuer ends it. A worker of the previous release writes no sender; the job that it sends for
-- is then taken for it.
CREATE OR REPLACE FUNCTION moves_0010.sent_until(e agentapp_effect, p_job uuid) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT j.lease_expires_at FROM agentapp_job j
     WHERE e.state = 'sent' AND j.id = e.job_id AND j.id IS DISTINCT FROM p_job AND j.state = 'running'
       AND (e.sender_sends IS DISTINCT FROM e.sends OR j.lease_token = e.sender));
END $$;

-- Until when the latest send may still arrive, whatever has become of its job: its call may hang for the timeout of the
-- job, and a provider may be late. Null: there is none that could.
CREATE OR REPLACE FUNCTION moves_0010.arrives_until(e agentapp_effect, p_late_s float DEFAULT NULL) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN make_interval(secs => coalesce(p_late_s, 30)) + CASE
    WHEN e.state NOT IN ('sent', 'unknown') THEN NULL
    WHEN e.returned_sends = e.sends THEN e.returned_at
    ELSE e.sent_at + make_interval(secs => coalesce((SELECT timeout_s FROM agentapp_job WHERE id = e.job_id), 0))
  END;
END $$;

-- Whether the call of the latest send, or of an earlier one that an idempotent provider had no need to wait for, may be out yet.
CREATE OR REPLACE FUNCTION moves_0010.may_hang(e agentapp_effect, p_now timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce(e.returned_sends IS DISTINCT FROM e.sends AND moves_0010.arrives_until(e) > p_now, false)
      OR coalesce(e.unfinished IS NOT NULL AND e.earlier_until > p_now, false)
$$;

-- Whether the latest send was proven to have changed nothing, while an earlier one is in doubt.
CREATE OR REPLACE FUNCTION moves_0010.is_withdrawn(e agentapp_effect) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT e.sender IS NULL AND coalesce(e.sender_sends = e.sends, false)
$$;

-- Begin effects. p_items: a moves_0010.effect_request each. Answers in the order of the items; jobs are locked by id.
CREATE OR REPLACE FUNCTION moves_0010.begin_effects(p_items jsonb, p_now timestamptz DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  answers jsonb[] := array_fill(NULL::jsonb, ARRAY[jsonb_array_length(p_items)]);
  requests moves_0010.effect_request[] := ARRAY(SELECT r FROM jsonb_populate_recordset(NULL::moves_0010.effect_request, p_items) r);
  place bigint;
BEGIN
  FOR place IN SELECT ordinality FROM unnest(requests) WITH ORDINALITY ORDER BY job, ordinality LOOP
    answers[place] := moves_0010.begin_effect(requests[place], p_now);
  END LOOP;
  RETURN to_jsonb(answers);
END $$;

-- Begin an effect under its key: written down before the provider is called. Only the owner of the lease may begin.
CREATE OR REPLACE FUNCTION moves_0010.begin_effect(r moves_0010.effect_request, p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  restored timestamptz := moves_0010.restored_since(r.workflow);
  origin text;
  e agentapp_effect;
  why text;
BEGIN
  PERFORM moves_0010.check_class(r.job);
  -- Without the lock of the task, which its other jobs need: a move that ends a task locks its jobs first.
  PERFORM 1 FROM agentapp_job j WHERE j.id = r.job AND j.lease_token = r.token AND j.state = 'running'
     AND j.workflow_id = r.workflow AND j.tenant_id = r.tenant FOR NO KEY UPDATE;
  IF NOT FOUND OR EXISTS (SELECT 1 FROM agentapp_workflow w WHERE w.id = r.workflow AND w.finished_at IS NOT NULL) THEN
    RETURN jsonb_build_object('status', 'lost');
  END IF;
  moment := moves_0010.moment(p_now);
  origin := moves_0010.origin();
  IF origin <> 'same' THEN
    -- Restored and not taken in, or not noted by a dispatcher yet: nothing is sent until then.
    RETURN jsonb_build_object('status', origin, 'sends', 0,
                              'id', moves_0010.effect_id(r.tenant, r.key), 'until', moment + interval '30 seconds');
  END IF;
  why := moves_0010.denied_now(r.workflow, moment);
  IF why <> '' THEN
    RETURN moves_0010.denied_effect(r, why, p_now);
  END IF;
  IF restored IS NOT NULL THEN
    PERFORM moves_0010.doubt_effect(r, restored, moment);
  END IF;
  -- The first send is one write.
  INSERT INTO agentapp_effect (id, tenant_id, key, type, state, workflow_id, job_id, request_sha256, sends, sender,
                               sender_sends, prepared_at, sent_at)
  VALUES (moves_0010.effect_id(r.tenant, r.key), r.tenant, r.key, r.type, 'sent', r.workflow, r.job, r.request_sha256, 1, r.token, 1, moment, moment)
  ON CONFLICT (tenant_id, key) DO NOTHING
  RETURNING * INTO e;
  IF NOT FOUND THEN
    RETURN moves_0010.begin_again(r, p_now);
  END IF;
  RETURN jsonb_build_object('status', 'begun', 'id', e.id, 'sends', e.sends);
END $$;

-- Begin an effect that is in the ledger already, or say what is known of it. The caller has checked its lease.
--
-- `repeated`: this attempt began the send itself, and may not know it, because the answer was lost. `until` goes with
-- `sending` (another sender holds its lease), `in flight` (the send may still arrive) and `repeated`.
CREATE OR REPLACE FUNCTION moves_0010.begin_again(r moves_0010.effect_request, p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  held_until timestamptz;
  flies_until timestamptz;
  e agentapp_effect;
  found text;
BEGIN
  SELECT * INTO STRICT e FROM agentapp_effect x WHERE x.tenant_id = r.tenant AND x.key = r.key FOR NO KEY UPDATE;
  -- What another class has begun is not this one's to send again, nor to call sent.
  PERFORM moves_0010.check_class(e.job_id);
  moment := moves_0010.moment(p_now);
  held_until := moves_0010.sent_until(e, r.job);
  flies_until := moves_0010.arrives_until(e, r.late_s);
  found := CASE
    WHEN e.state IN ('prepared', 'confirmed') THEN e.state
    WHEN held_until IS NOT NULL THEN 'sending'
    WHEN e.state = 'sent' AND e.sender = r.token AND e.sender_sends = e.sends
         AND e.returned_sends IS DISTINCT FROM e.sends THEN 'repeated'
    WHEN flies_until > moment AND NOT coalesce(r.is_idempotent, false) THEN 'in flight'
    ELSE e.state END;
  -- Prepared means: whatever was begun has certainly sent nothing.
  IF found = 'prepared' OR found IN ('sent', 'unknown') AND e.sends = r.asked_sends THEN
    e := moves_0010.begin_next(e, r, moment);
    RETURN jsonb_build_object('status', 'begun', 'id', e.id, 'sends', e.sends);
  END IF;
  RETURN jsonb_build_object('status', found, 'id', e.id, 'sends', e.sends, 'until', coalesce(held_until, flies_until),
                            'request_sha256', e.request_sha256, 'response', e.response,
                            'is_restored', e.restored_at IS NOT NULL);
END $$;

-- The next send, which may be that of another task of a line of forks: the effect belongs to its sender. The send before stays in
-- doubt unless it has ended: its call may still come back and say what it did.
CREATE OR REPLACE FUNCTION moves_0010.begin_next(INOUT e agentapp_effect, r moves_0010.effect_request, p_now timestamptz) LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_effect
     SET state = 'sent', sends = sends + 1, sent_at = p_now, workflow_id = r.workflow, job_id = r.job, sender = r.token,
         sender_sends = sends + 1, request_sha256 = r.request_sha256, restored_at = NULL,
         earlier_until = greatest(earlier_until, moves_0010.arrives_until(e, r.late_s)),
         unfinished = CASE WHEN e.state = 'prepared' OR moves_0010.is_withdrawn(e) THEN unfinished
                           ELSE coalesce(unfinished, '{}') || jsonb_build_object(
                             sends, CASE WHEN sender_sends = sends THEN sender END) END
   WHERE id = e.id AND state = e.state
  RETURNING * INTO STRICT e;
END $$;

-- Policies of approvals: which one asks, and who may decide. [G2]

-- What an approval is about, as policies/content.py says it: what has a recipient is a mail.
CREATE OR REPLACE FUNCTION moves_0010.content_kind(p_content jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_content ? 'calls' THEN 'tool_arguments' WHEN p_content ? 'budget' THEN 'budget'
              WHEN p_content ? 'to' THEN 'mail' ELSE 'other' END
$$;

-- The most specific policy that fits, or null. An underscore of a pattern stands for itself, a star for any text.
CREATE OR REPLACE FUNCTION moves_0010.policy_for(t moves_0010.task, p_content jsonb) RETURNS agentapp_approvalpolicy
LANGUAGE plpgsql STABLE AS $$
DECLARE
  found agentapp_approvalpolicy;
BEGIN
  SELECT * INTO found FROM agentapp_approvalpolicy
   WHERE (tenant_id IS NULL OR tenant_id = t.tenant_id)
     AND (kind = '' OR t.kind LIKE replace(replace(kind, '_', '\_'), '*', '%'))
     AND content_kind IN ('', moves_0010.content_kind(p_content))
   ORDER BY tenant_id IS NULL, kind = '', strpos(kind, '*') > 0, length(replace(kind, '*', '')) DESC, content_kind = '', id
   LIMIT 1;
  RETURN found;
END $$;

-- Put a question to people, by the rules of the policy that it carries. Returns it as it stands in its row.
CREATE OR REPLACE FUNCTION moves_0010.ask(t moves_0010.task, a agentapp_approval) RETURNS agentapp_approval LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_approval (
    id, workflow_id, stage_id, tenant_id, state, content, content_sha256, draft, sources, evaluation, risk, approved_sha256,
    reason, created_at, expires_at, policy, revision, votes_missing, remind_at, escalate_at,
    priority, mail_at, job_id, ask_key, asked_sha256, asked_replay, summary)
  VALUES (
    moves_0010.uuid7(), t.id, a.stage_id, t.tenant_id, 'pending', a.content, a.content_sha256, a.draft, a.sources, a.evaluation,
    a.risk, '', '', t.now, a.expires_at, a.policy, 0, coalesce((a.policy ->> 'quorum')::int, 0),
    t.now + make_interval(secs => (a.policy ->> 'remind_after_s')::float),
    t.now + make_interval(secs => (a.policy ->> 'escalate_after_s')::float), t.priority,
    CASE WHEN (a.policy -> 'mails_approvers')::boolean THEN t.now END,
    a.job_id, coalesce(a.ask_key, ''), coalesce(a.asked_sha256, ''), coalesce(a.asked_replay, 0), coalesce(a.summary, ''))
  RETURNING * INTO STRICT a;
  RETURN a;
END $$;

-- Tell whether a policy lets a request pass that its sample leaves out. Only a mail whose stage says that its risk is low and that
-- its evaluation passed, and about whose task nobody was asked before: what is not said is not known, and a fork is a second
-- question. The same task is decided equally each time. p_job: the job that asks, which is then asked about by itself.
CREATE OR REPLACE FUNCTION moves_0010.passes_unasked(
  t moves_0010.task, policy agentapp_approvalpolicy, p_bound jsonb, p_job uuid DEFAULT NULL
) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce(
    policy.sample_percent < 100 AND moves_0010.content_kind(p_bound -> 'content') = 'mail'
    AND p_bound ->> 'risk' = 'low' AND coalesce(nullif(t.risk, ''), 'low') = 'low'
    AND p_bound #>> '{evaluation,verdict}' = 'pass'
    AND t.root IS NULL
    AND NOT EXISTS (SELECT 1 FROM agentapp_approval WHERE workflow_id = t.id AND (p_job IS NULL OR job_id = p_job))
    AND ('x' || left(md5(coalesce(p_job, t.id)::text), 8))::bit(32)::bigint % 100 >= policy.sample_percent, false);
END $$;

-- Whether somebody asked for a task, or for one that it is a fork or a part of.
CREATE OR REPLACE FUNCTION moves_0010.asked_for(t moves_0010.task, p_user int) RETURNS boolean LANGUAGE sql STABLE AS $$
  WITH RECURSIVE line AS (
    SELECT w.user_id, w.forked_from, w.parent FROM agentapp_workflow w WHERE w.id = t.id
    UNION
    SELECT w.user_id, w.forked_from, w.parent FROM line l JOIN agentapp_workflow w ON w.id = ANY (ARRAY[l.forked_from, l.parent]))
  SELECT EXISTS (SELECT 1 FROM line WHERE user_id = p_user)
$$;

-- Why a person, or a key, may not decide so: empty, or `group`, `key`, `creator`, `editor` or `lent`. Rules are those of the question.
CREATE OR REPLACE FUNCTION moves_0010.may_not_decide(
  t moves_0010.task, a agentapp_approval, p_to text, p_edits boolean, p_user int, p_api_key bigint
) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  groups jsonb := moves_0010.deciding_groups(a);
  four_eyes boolean := coalesce((a.policy -> 'four_eyes')::boolean, false);
  instead_of int := moves_0010.instead_of(t, a, p_user);
BEGIN
  IF groups IS NOT NULL AND NOT moves_0010.is_in(p_user, t.tenant_id, groups) AND instead_of IS NULL THEN
    RETURN 'group';
  ELSIF p_to <> 'approved' THEN
    RETURN '';
  -- One person may hold several keys.
  ELSIF p_api_key IS NOT NULL AND (four_eyes OR (a.policy ->> 'quorum')::int > 1) THEN
    RETURN 'key';
  ELSIF p_edits OR NOT four_eyes THEN
    RETURN '';
  ELSIF moves_0010.asked_for(t, p_user) THEN
    RETURN 'creator';
  ELSIF moves_0010.has_edited(a, p_user) THEN
    RETURN 'editor';
  ELSIF moves_0010.asked_for(t, instead_of) OR moves_0010.has_edited(a, instead_of) THEN
    RETURN 'lent';
  END IF;
  RETURN '';
END $$;

-- The roles and groups whose members decide an approval, or null: all who have the right to.
CREATE OR REPLACE FUNCTION moves_0010.deciding_groups(a agentapp_approval) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN a.policy -> 'approvers' <> '[]' THEN a.policy -> 'approvers'
           || CASE WHEN a.escalated_at IS NULL THEN '[]' ELSE a.policy -> 'escalate_to' END END
$$;

-- The answer to somebody who may decide nothing about an approval, or null: they may.
CREATE OR REPLACE FUNCTION moves_0010.outsider(t moves_0010.task, a agentapp_approval, p_user int, p_api_key bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
  rule text := moves_0010.may_not_decide(t, a, 'rejected', false, p_user, p_api_key);
BEGIN
  RETURN CASE WHEN rule <> '' THEN jsonb_build_object('status', 'not allowed', 'rule', rule) END;
END $$;

-- Why a decision is not taken: null, or the answer that says so.
CREATE OR REPLACE FUNCTION moves_0010.decision_refused(
  t moves_0010.task, a agentapp_approval, s agentapp_stage, p_to text, p_content_sha256 text, p_new_sha256 text, p_user int,
  p_api_key bigint
) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  rule text;
BEGIN
  IF a.id IS NULL THEN
    RETURN jsonb_build_object('status', 'decided', 'state', 'deleted');
  ELSIF NOT moves_0010.is_asked(t, a) THEN
    RETURN jsonb_build_object('status', CASE a.state WHEN 'pending' THEN 'not asked' ELSE 'decided' END, 'state', a.state);
  ELSIF a.expires_at <= t.now THEN
    RETURN jsonb_build_object('status', 'expired', 'state', a.state);
  ELSIF a.content_sha256 <> p_content_sha256 THEN
    RETURN jsonb_build_object('status', 'changed', 'state', a.state);
  END IF;
  rule := moves_0010.may_not_decide(t, a, p_to, p_new_sha256 <> p_content_sha256, p_user, p_api_key);
  IF rule <> '' THEN
    RETURN jsonb_build_object('status', 'not allowed', 'state', a.state, 'rule', rule);
  ELSIF p_to = 'changes_requested' AND a.job_id IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'no way back', 'state', a.state);
  ELSIF p_to = 'changes_requested' AND NOT moves_0010.can_go_back(t.id, s.position, s.spec ->> 'back_to') THEN
    RETURN jsonb_build_object('status', 'no way back', 'state', a.state, 'stage', s.spec ->> 'back_to');
  END IF;
  RETURN NULL;
END $$;

-- Questions of jobs: an approval that a job waits for in the middle of its body. It decides nothing about the plan: the job
-- runs again, and reads what was decided. [G2]

-- Whether a job waits for this approval, as a row, without a worker. To the release before it is a job whose back-off never ends.
CREATE OR REPLACE FUNCTION moves_0010.waits_for(j agentapp_job, p_approval uuid) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(j.state = 'retryable' AND j.blocked_by -> 0 ->> 'type' = 'approval'
                  AND j.blocked_by -> 0 ->> 'id' = p_approval::text, false)
$$;

-- Whether an approval can still be decided: the task stands at its decision, or its job waits for it.
CREATE OR REPLACE FUNCTION moves_0010.is_asked(t moves_0010.task, a agentapp_approval) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF a.job_id IS NULL THEN
    RETURN a.state = 'pending' AND t.state = 'awaiting_approval';
  END IF;
  RETURN a.state = 'pending' AND t.finished_at IS NULL
     AND EXISTS (SELECT 1 FROM agentapp_job j WHERE j.id = a.job_id AND moves_0010.waits_for(j, a.id));
END $$;

-- running -> retryable, by a body that asks a person; without an attempt that counts. Attempt and question end and begin in one
-- commit. Where the same is asked already the job waits for that; what else it has asked and nobody has decided is withdrawn.
-- p_ending: a moves_0010.settle_request; p_question: {key, content, content_sha256, summary, risk, sources, evaluation, expires_in_s}.
CREATE OR REPLACE FUNCTION moves_0010.ask_person(p_ending jsonb, p_question jsonb, p_actor text, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r moves_0010.settle_request := jsonb_populate_record(NULL::moves_0010.settle_request, p_ending);
  t moves_0010.task := moves_0010.lock_task(r.workflow, p_actor, p_now);
  j agentapp_job;
  a agentapp_approval;
  p agentapp_approvalpolicy;
BEGIN
  PERFORM moves_0010.check_class(r.job);
  SELECT * INTO j FROM agentapp_job
   WHERE id = r.job AND workflow_id = t.id AND state = 'running' AND lease_token = r.token FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', CASE WHEN EXISTS (
      SELECT 1 FROM agentapp_attempt WHERE id = r.token AND outcome = r.outcome) THEN 'done before' ELSE 'lost' END);
  END IF;
  SELECT * INTO a FROM agentapp_approval
   WHERE job_id = j.id AND state = 'pending' AND ask_key = p_question ->> 'key'
     AND asked_sha256 = p_question ->> 'content_sha256' FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    p := moves_0010.policy_for(t, p_question -> 'content');
    r.state := CASE WHEN moves_0010.passes_unasked(t, p, p_question, j.id) THEN 'available' ELSE r.state END;
    t := moves_0010.drop_questions(t, 'its job asks something else', j.id);
  END IF;
  t := moves_0010.settle_one(t, j, (SELECT s FROM agentapp_stage s WHERE s.id = j.stage_id), r, NULL);
  IF a.id IS NULL THEN
    a := moves_0010.question(t, j, p, p_question);
    t := moves_0010.announce(t, a, p, r.state = 'available');
  END IF;
  IF r.state = 'retryable' THEN
    PERFORM moves_0010.wait_for(j.id, a);
  END IF;
  RETURN moves_0010.saved(t) || jsonb_build_object('awaited', t.answer -> 'awaited', 'approval', a.id);
END $$;

-- The row of a new question.
CREATE OR REPLACE FUNCTION moves_0010.question(t moves_0010.task, j agentapp_job, policy agentapp_approvalpolicy, p_question jsonb)
RETURNS agentapp_approval LANGUAGE plpgsql AS $$
DECLARE
  a agentapp_approval;
BEGIN
  a.stage_id := j.stage_id;
  a.job_id := j.id;
  a.ask_key := p_question ->> 'key';
  a.asked_sha256 := p_question ->> 'content_sha256';
  a.asked_replay := j.replay;
  a.summary := p_question ->> 'summary';
  a.content := p_question -> 'content';
  a.content_sha256 := a.asked_sha256;
  a.draft := a.content;
  a.sources := coalesce(p_question -> 'sources', '[]');
  a.evaluation := nullif(p_question -> 'evaluation', 'null');
  a.risk := coalesce(p_question ->> 'risk', t.risk);
  a.expires_at := t.now + make_interval(secs => coalesce(policy.deadline_s, (p_question ->> 'expires_in_s')::float));
  a.policy := CASE WHEN policy.id IS NOT NULL THEN to_jsonb(policy) - '{tenant_id,note,updated_at}'::text[] END;
  RETURN moves_0010.ask(t, a);
END $$;

-- Tell of a new question; or that by its policy nobody need be asked. What was approved of it before, and is no longer what was
-- approved, is opened again.
CREATE OR REPLACE FUNCTION moves_0010.announce(INOUT t moves_0010.task, a agentapp_approval, policy agentapp_approvalpolicy, p_passes boolean)
LANGUAGE plpgsql AS $$
DECLARE
  item record;
BEGIN
  FOR item IN UPDATE agentapp_approval SET state = 'reopened', answered_at = NULL
               WHERE job_id = a.job_id AND state = 'approved' AND ask_key = a.ask_key AND asked_sha256 = a.asked_sha256
              RETURNING id LOOP
    t := moves_0010.note(t, 'approval', item.id, 'approved', 'reopened', 'its job asks the same again');
  END LOOP;
  t := moves_0010.note(t, 'approval', a.id, '', 'pending', a.ask_key);
  IF p_passes THEN
    t := moves_0010.record_decision(t, a, 'approved', NULL, NULL, 'not in the sample of the policy ' || policy.name, false);
  ELSE
    PERFORM moves_0010.tell_of_approval(t, 'approval.requested');
  END IF;
END $$;

-- Say what a job that has just begun to wait waits for. Nothing makes it due: it has no moment.
CREATE OR REPLACE FUNCTION moves_0010.wait_for(p_job uuid, a agentapp_approval) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_job SET scheduled_at = NULL, blocked_by = jsonb_build_array(jsonb_build_object(
           'type', 'approval', 'id', a.id, 'expires_at', a.expires_at))
   WHERE id = p_job AND state = 'retryable';
END $$;

-- Withdraw the open questions of a job; without one, of all jobs of a task that wait for nobody any more.
CREATE OR REPLACE FUNCTION moves_0010.drop_questions(INOUT t moves_0010.task, p_reason text, p_job uuid DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
  item record;
BEGIN
  FOR item IN UPDATE agentapp_approval a SET state = 'cancelled', decided_at = t.now FROM agentapp_job j
               WHERE a.workflow_id = t.id AND a.state = 'pending' AND j.id = a.job_id
                 AND CASE WHEN p_job IS NULL THEN j.state <> 'retryable' ELSE j.id = p_job END
              RETURNING a.id LOOP
    t := moves_0010.note(t, 'approval', item.id, 'pending', 'cancelled', p_reason);
  END LOOP;
END $$;

-- Reminders and escalations of approvals that wait. [G2]

-- Remind of an approval, or escalate it: from then on more groups decide. Each once, however many dispatchers ask; of both at
-- once the escalation alone. Lists show it again, whatever was snoozed. Refused where neither is due.
CREATE OR REPLACE FUNCTION moves_0010.remind(p_workflow uuid, p_approval uuid, p_actor text, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
  a agentapp_approval;
  said text;
BEGIN
  SELECT * INTO a FROM agentapp_approval WHERE id = p_approval AND workflow_id = t.id FOR NO KEY UPDATE;
  IF a.id IS NULL OR a.expires_at <= t.now OR NOT moves_0010.is_asked(t, a) THEN
    RETURN moves_0010.refused(t);
  ELSIF a.escalate_at <= t.now THEN
    said := 'escalated';
  ELSIF a.remind_at <= t.now THEN
    said := 'reminded';
  ELSE
    RETURN moves_0010.refused(t);
  END IF;
  UPDATE agentapp_approval
     SET snoozed_until = NULL,
         remind_at = CASE WHEN remind_at > t.now THEN remind_at END,
         escalate_at = CASE WHEN escalate_at > t.now THEN escalate_at END,
         mail_at = CASE WHEN (a.policy -> 'mails_approvers')::boolean THEN t.now ELSE mail_at END,
         escalated_at = CASE WHEN said = 'escalated' THEN t.now ELSE escalated_at END
   WHERE id = a.id AND state = 'pending';
  t := moves_0010.note(t, 'approval', a.id, 'pending', 'pending', said);
  PERFORM moves_0010.tell_of_approval(t, 'approval.' || said);
  RETURN moves_0010.saved(t) || jsonb_build_object('said', said);
END $$;

-- Note for webhooks what happened to an approval of a task that a client knows.
CREATE OR REPLACE FUNCTION moves_0010.tell_of_approval(t moves_0010.task, p_type text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF t.origin IN ('client', 'schedule') THEN
    PERFORM moves_0010.tell_webhooks(t, p_type);
  END IF;
END $$;

-- A database that was restored from a backup, and a replica that was promoted: how they are found, and what they cannot know.

-- The number of the server, or nothing where it may not be read.
CREATE OR REPLACE FUNCTION moves_0010.cluster() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN CASE WHEN has_function_privilege('pg_control_system()', 'execute')
              THEN (SELECT system_identifier::text FROM pg_control_system()) ELSE '' END;
END $$;

-- The timeline that this server writes, or nothing where it does not tell. A replica that is promoted begins another one. The
-- log says so at once; what pg_control_checkpoint() tells is that of the last checkpoint.
CREATE OR REPLACE FUNCTION moves_0010.timeline() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END;
EXCEPTION WHEN OTHERS THEN
  -- A service that has no such log, and replicas that share one store: they lack nothing.
  RETURN '';
END $$;

-- Say which database this is; p_restore: the restore that is taken in by it, or none: it is set up.
CREATE OR REPLACE FUNCTION moves_0010.know_database(p_restore bigint DEFAULT NULL, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_restore SET cluster = moves_0010.cluster(), table_number = 'agentapp_restore'::regclass::oid::bigint,
                              timeline = moves_0010.timeline()
   WHERE id = p_restore;
  -- A row of the release before knows no timeline.
  UPDATE agentapp_restore SET timeline = moves_0010.timeline()
   WHERE timeline = '' AND table_number <> 0 AND id = (SELECT max(id) FROM agentapp_restore);
  INSERT INTO agentapp_restore (cluster, table_number, timeline, actor, report)
  SELECT moves_0010.cluster(), 'agentapp_restore'::regclass::oid::bigint, moves_0010.timeline(), '', '{}'
   WHERE NOT EXISTS (SELECT 1 FROM agentapp_restore);
  RETURN jsonb_build_object('status', 'ok');
END $$;

-- What this database is beside the one that its latest row names: a `copy`, that one `promoted` from a replica, of which
-- nobody has noted yet what it lacks, or `same`. A dump makes tables anew, which get other numbers; on another server they
-- may get the same ones.
CREATE OR REPLACE FUNCTION moves_0010.origin() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  known agentapp_restore;
BEGIN
  SELECT * INTO known FROM agentapp_restore ORDER BY id DESC LIMIT 1;
  IF known.table_number <> 'agentapp_restore'::regclass::oid::bigint
     OR known.cluster <> '' AND moves_0010.cluster() NOT IN ('', known.cluster) THEN
    RETURN 'copy';
  END IF;
  RETURN CASE WHEN known.timeline <> '' AND moves_0010.timeline() NOT IN ('', known.timeline) THEN 'promoted' ELSE 'same' END;
END $$;

-- Note that a replica became this database, once: tasks from before may have sent what it lacks.
CREATE OR REPLACE FUNCTION moves_0010.note_promotion(p_lacks_nothing boolean, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('agentapp promotion'));
  IF moves_0010.origin() <> 'promoted' THEN
    RETURN false;
  END IF;
  -- The clock of the server before may have been ahead of this one's: it is read from what its leader wrote last.
  INSERT INTO agentapp_restore (at, cluster, table_number, timeline, actor, report)
  SELECT CASE WHEN NOT p_lacks_nothing
              THEN greatest(p_now, (SELECT max(renewed_at) FROM agentapp_dispatcherlease) + interval '5 seconds') END,
         moves_0010.cluster(), 'agentapp_restore'::regclass::oid::bigint, moves_0010.timeline(), 'promotion', '{}';
  RETURN true;
END $$;

-- The id of an effect sorts by time, and ends alike for one key of one tenant: so what was sent under a key is found in the
-- log of a provider, also where the ledger has lost the id.
CREATE OR REPLACE FUNCTION moves_0010.effect_id(p_tenant bigint, p_key text) RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT encode(set_byte(set_byte(named, 6, get_byte(named, 6) & 15 | 112), 8, get_byte(named, 8) & 63 | 128), 'hex')::uuid
    FROM (SELECT overlay(
            substring(sha256(convert_to(p_tenant || ' ' || p_key, 'UTF8')) FROM 1 FOR 16)
            PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6) AS named) n
$$;

-- When a backup was restored since a task was begun, or one that it was forked from or is a part of: what it sends may have
-- been sent before. A task of a schedule began at the time that it stands for. Null: never.
CREATE OR REPLACE FUNCTION moves_0010.restored_since(p_workflow uuid) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM agentapp_restore WHERE at IS NOT NULL) THEN
    RETURN NULL;
  END IF;
  RETURN (
    WITH RECURSIVE line AS (
      SELECT w.id, w.parent, w.root, w.forked_from, w.created_at FROM agentapp_workflow w WHERE w.id = p_workflow
      UNION
      SELECT w.id, w.parent, w.root, w.forked_from, w.created_at FROM line
        JOIN agentapp_workflow w ON w.id IN (line.parent, line.root, line.forked_from))
    SELECT max(r.at) FROM agentapp_restore r WHERE r.at > (
      SELECT min(least(l.created_at, (SELECT s.due_at FROM agentapp_schedulerun s WHERE s.id = l.id))) FROM line l));
END $$;

-- Begin an effect that the ledger lacks, of a task from before a backup was restored: it counts as sent until its provider,
-- or a person, says that it was not. So does one that was not sent by then, as far as the ledger knows; restored_at says that
-- it was doubted already.
CREATE OR REPLACE FUNCTION moves_0010.doubt_effect(r moves_0010.effect_request, p_restored timestamptz, p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO agentapp_effect AS e (id, tenant_id, key, type, state, workflow_id, job_id, request_sha256, sends, returned_sends,
                               returned_at, restored_at, prepared_at, sent_at)
  VALUES (moves_0010.effect_id(r.tenant, r.key), r.tenant, r.key, r.type, 'sent', r.workflow, r.job, r.request_sha256, 1, 1,
          p_restored, p_restored, p_now, p_restored)
  ON CONFLICT (tenant_id, key) DO UPDATE
     SET state = 'sent', sends = greatest(e.sends, 1), returned_sends = greatest(e.sends, 1), returned_at = p_restored,
         restored_at = p_restored, sender = NULL
   WHERE e.state = 'prepared' AND e.sent_at < p_restored AND coalesce(e.restored_at < p_restored, true)
$$;

-- How sends end: answered, proven not sent, or in doubt; and what a person may know about them.

-- What a send has come to, short of an answer: `prepared`, it has certainly changed nothing; `unknown`, nobody can tell;
-- `sent`, its call has come back and does not tell, so that the provider must be asked.
--
-- Given p_token by the sender, or p_job and p_late_s by somebody who found an earlier send. Nobody but its sender says
-- anything about a send that may still arrive.
CREATE OR REPLACE FUNCTION moves_0010.end_send(
  p_effect uuid, p_sends int, p_to text, p_token uuid DEFAULT NULL, p_job uuid DEFAULT NULL,
  p_late_s float DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  is_proven boolean := p_to = 'prepared';
  e agentapp_effect;
BEGIN
  SELECT * INTO e FROM agentapp_effect WHERE id = p_effect FOR NO KEY UPDATE;
  PERFORM moves_0010.check_effect(e);
  moment := moves_0010.moment(p_now);
  IF e.id IS NULL OR e.state NOT IN ('sent', 'unknown') OR e.state = 'unknown' AND NOT is_proven THEN
    RETURN jsonb_build_object('status', 'refused', 'state', e.state);
  ELSIF p_token IS NOT NULL AND is_proven AND e.unfinished ->> p_sends::text = p_token::text THEN
    RETURN moves_0010.end_earlier_send(e, p_sends::text);
  ELSIF e.sends <> p_sends OR p_token IS NOT NULL AND e.sender IS DISTINCT FROM p_token
     OR p_token IS NULL AND (moves_0010.sent_until(e, p_job) IS NOT NULL OR moves_0010.arrives_until(e, p_late_s) > moment) THEN
    RETURN jsonb_build_object('status', 'refused', 'state', e.state);
  END IF;
  UPDATE agentapp_effect
     SET state = CASE WHEN is_proven AND unfinished IS NOT NULL THEN 'sent' ELSE p_to END,
         sender = CASE WHEN NOT is_proven THEN sender END,
         returned_sends = CASE WHEN p_token IS NOT NULL THEN sends ELSE returned_sends END,
         returned_at = CASE WHEN is_proven THEN NULL WHEN p_token IS NOT NULL THEN moment ELSE returned_at END
   WHERE id = e.id AND state IN ('sent', 'unknown')
  RETURNING * INTO STRICT e;
  RETURN jsonb_build_object('status', 'ok', 'state', e.state);
END $$;

-- An earlier send has certainly changed nothing. With the last of those in doubt the doubt ends.
CREATE OR REPLACE FUNCTION moves_0010.end_earlier_send(e agentapp_effect, p_send text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_effect
     SET unfinished = nullif(unfinished - p_send, '{}'),
         state = CASE WHEN unfinished - p_send = '{}' AND moves_0010.is_withdrawn(e) THEN 'prepared' ELSE state END
   WHERE id = e.id AND state = e.state
  RETURNING * INTO STRICT e;
  RETURN jsonb_build_object('status', 'ok', 'state', e.state);
END $$;

-- What providers have answered to an attempt. An effect that happened is recorded even if the lease is lost by now.
CREATE OR REPLACE FUNCTION moves_0010.record_effects(p_job uuid, p_effects jsonb, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  r record;
BEGIN
  -- The job before its effects, as who begins one locks them.
  PERFORM 1 FROM agentapp_job WHERE id = p_job FOR NO KEY UPDATE;
  -- One by one: the plan of a join would be kept from when the table was empty, and read all effects.
  FOR r IN SELECT * FROM jsonb_to_recordset(p_effects) AS c(id uuid, response jsonb) LOOP
    IF session_user <> current_user THEN
      PERFORM moves_0010.check_effect(e) FROM agentapp_effect e WHERE id = r.id;
    END IF;
    UPDATE agentapp_effect SET state = 'confirmed', confirmed_at = p_now, response = r.response
     WHERE id = r.id AND state <> 'confirmed';
  END LOOP;
END $$;

-- The same for an attempt that ends without a settle, because its job is no longer its own.
-- p_effects: [{id, response}].
CREATE OR REPLACE FUNCTION moves_0010.confirm_effects(
  p_job uuid, p_token uuid, p_effects jsonb, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM moves_0010.check_class(p_job);
  IF NOT EXISTS (SELECT 1 FROM agentapp_attempt WHERE id = p_token AND job_id = p_job)
     AND NOT EXISTS (SELECT 1 FROM agentapp_job WHERE id = p_job AND lease_token = p_token) THEN
    RETURN jsonb_build_object('status', 'refused');
  END IF;
  PERFORM moves_0010.record_effects(p_job, p_effects, moves_0010.moment(p_now));
  RETURN jsonb_build_object('status', 'ok');
END $$;

-- The effects that a dead letter began and nobody knows the end of. `error.effect` names one that another job began.
CREATE OR REPLACE FUNCTION moves_0010.uncertain_effects(j agentapp_job) RETURNS SETOF agentapp_effect LANGUAGE sql STABLE AS $$
  SELECT * FROM agentapp_effect e
   WHERE e.id = ANY(ARRAY(SELECT id FROM moves_0010.effects_of(j) UNION ALL SELECT (j.error ->> 'effect')::uuid))
     AND e.state IN ('sent', 'unknown') AND e.tenant_id = j.tenant_id
$$;

-- The effects that a job began last. The release before leaves them with the task of the line of forks that began them first.
CREATE OR REPLACE FUNCTION moves_0010.effects_of(j agentapp_job) RETURNS SETOF agentapp_effect LANGUAGE sql STABLE AS $$
  SELECT * FROM agentapp_effect e
   WHERE e.job_id = j.id AND e.workflow_id = ANY(ARRAY(
     WITH RECURSIVE line AS (
       SELECT coalesce(root, id) AS id FROM agentapp_workflow WHERE id = j.workflow_id
       UNION SELECT w.id FROM line JOIN agentapp_workflow w ON w.forked_from = line.id)
     SELECT id FROM line UNION SELECT j.workflow_id))
$$;

-- Why a person cannot know yet what became of a dead letter's effects: null, or which of them are being sent, or may be.
-- From here on the caller holds their rows.
CREATE OR REPLACE FUNCTION moves_0010.send_blocker(j agentapp_job, p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  keys jsonb;
  until timestamptz;
  is_held boolean;
BEGIN
  PERFORM 1 FROM agentapp_effect WHERE id IN (SELECT id FROM moves_0010.uncertain_effects(j)) ORDER BY id FOR NO KEY UPDATE;
  moment := moves_0010.moment(p_now);
  SELECT jsonb_agg(e.key ORDER BY e.key), max(greatest(moves_0010.arrives_until(e), e.earlier_until)),
         bool_or(moves_0010.sent_until(e, j.id) IS NOT NULL)
    INTO keys, until, is_held FROM moves_0010.uncertain_effects(j) e
   WHERE moves_0010.sent_until(e, j.id) IS NOT NULL OR moves_0010.may_hang(e, moment);
  RETURN CASE WHEN keys IS NOT NULL THEN jsonb_build_object(
    'status', CASE WHEN is_held THEN 'being sent' ELSE 'in flight' END, 'effects', keys, 'until', until) END;
END $$;

-- Drafts that wait for a person while the sources that they cite have changed. [C10]

-- Which sources of a draft are no longer as it cites them: [{"n", "title", "was"}], or null: all are, as far as is known. A
-- citation says by `id` what it quotes; of a passage also by `document` and `sha256`, because each new text of a document has
-- new passages. The first hundred are looked at: a kind of one's own may let clients say them.
CREATE OR REPLACE FUNCTION moves_0010.stale_sources(p_tenant bigint, p_sources jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT jsonb_agg(jsonb_build_object('n', c.said -> 'n', 'title', left(c.said ->> 'title', 100), 'was', c.was) ORDER BY c.place)
      FROM (SELECT u.said, u.place, CASE u.said ->> 'source'
                     WHEN 'documents' THEN moves_0010.passage_was(p_tenant, moves_0010.as_uuid(u.said ->> 'id'),
                                                             moves_0010.as_uuid(u.said ->> 'document'), u.said ->> 'sha256')
                     WHEN 'memories' THEN moves_0010.fact_was(p_tenant, moves_0010.as_uuid(u.said ->> 'id')) END AS was
              FROM jsonb_array_elements(CASE jsonb_typeof(p_sources) WHEN 'array' THEN p_sources ELSE '[]' END)
                   WITH ORDINALITY AS u(said, place)
             WHERE u.place <= 100) c
     WHERE c.was IS NOT NULL);
END $$;

-- People may have written it: what is no id is none.
CREATE OR REPLACE FUNCTION moves_0010.as_uuid(p_text text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_text ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN p_text::uuid END
$$;

-- What has become of a passage: deleted with its document, or changed; null: the document still says the same.
CREATE OR REPLACE FUNCTION moves_0010.passage_was(p_tenant bigint, p_id uuid, p_document uuid, p_sha256 text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_id IS NULL OR EXISTS (SELECT 1 FROM agentapp_chunk WHERE id = p_id AND tenant_id = p_tenant) THEN
    RETURN NULL;
  ELSIF p_document IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM agentapp_document WHERE id = p_document AND tenant_id = p_tenant) THEN
    RETURN 'deleted';
  ELSIF EXISTS (
    SELECT 1 FROM agentapp_chunk WHERE document_id = p_document AND tenant_id = p_tenant
       AND encode(sha256(convert_to(text, 'UTF8')), 'hex') = p_sha256) THEN
    RETURN NULL;
  END IF;
  RETURN 'changed';
END $$;

-- What has become of a fact: erased, or superseded by one that says something else.
CREATE OR REPLACE FUNCTION moves_0010.fact_was(p_tenant bigint, p_id uuid) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  m agentapp_memory;
BEGIN
  IF p_id IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT * INTO m FROM agentapp_memory WHERE id = p_id AND tenant_id = p_tenant;
  IF NOT FOUND THEN
    RETURN 'erased';
  ELSIF m.valid_until IS NULL OR EXISTS (
    SELECT 1 FROM agentapp_memory WHERE fact_id = m.fact_id AND valid_until IS NULL AND text_sha256 = m.text_sha256) THEN
    RETURN NULL;
  END IF;
  RETURN 'superseded';
END $$;

-- The drafts of a tenant that wait for a person and cite what has changed, among the next p_limit approvals behind p_after;
-- `last` is where to go on, null: there are no more.
CREATE OR REPLACE FUNCTION moves_0010.stale_drafts(
  p_tenant bigint, p_after uuid, p_limit int, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves_0010.moment(p_now);
BEGIN
  RETURN (
    SELECT jsonb_build_object(
             'looked', count(*), 'last', CASE WHEN count(*) = p_limit THEN (array_agg(c.id ORDER BY c.id DESC))[1] END,
             'stale', coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'task', c.workflow_id, 'content_sha256', c.content_sha256)
                                         ORDER BY c.id) FILTER (WHERE c.is_stale), '[]'))
      FROM (SELECT a.id, a.workflow_id, a.content_sha256,
                   s.spec ? 'refresh_from' AND coalesce(a.expires_at > moment, true)
                   AND moves_0010.stale_sources(p_tenant, a.sources) IS NOT NULL AS is_stale
              FROM agentapp_approval a JOIN agentapp_stage s ON s.id = a.stage_id
             WHERE a.tenant_id = p_tenant AND a.state = 'pending' AND a.id > p_after
             ORDER BY a.id LIMIT p_limit) c);
END $$;

-- A job asks for a draft to be written again, because sources that it cites have changed. People come first: what somebody has
-- decided, edited, voted for or claimed is left alone. Once more, after its answer was lost, it is done already.
CREATE OR REPLACE FUNCTION moves_0010.refresh_draft(
  p_workflow uuid, p_approval uuid, p_actor text, p_job uuid, p_token uuid, p_content_sha256 text, p_most int,
  p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
  a agentapp_approval;
  s agentapp_stage;
  stale jsonb;
  refused text;
BEGIN
  PERFORM moves_0010.check_class(p_job);
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND state = 'running' AND lease_token = p_token FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost', 'state', (SELECT state FROM agentapp_job WHERE id = p_job));
  END IF;
  SELECT * INTO a FROM agentapp_approval
   WHERE id = p_approval AND workflow_id = t.id AND tenant_id = j.tenant_id FOR NO KEY UPDATE;
  IF a.refreshed_by = j.workflow_id THEN
    RETURN moves_0010.answer(t);
  END IF;
  SELECT * INTO s FROM agentapp_stage WHERE id = a.stage_id;
  stale := moves_0010.stale_sources(t.tenant_id, a.sources);
  refused := CASE WHEN j.type <> 'refresh_drafts' THEN 'not allowed' WHEN a.id IS NULL THEN 'gone'
                  ELSE coalesce(moves_0010.touched(t, a, p_content_sha256), moves_0010.not_refreshed(t, a, s, stale, p_most)) END;
  IF refused IS NOT NULL THEN
    RETURN jsonb_build_object('status', refused);
  END IF;
  t := moves_0010.write_again(t, a, s, stale, j.workflow_id);
  RETURN moves_0010.saved(t);
END $$;

-- Who was there before: null, or what a person, or time, has done with an approval since it was read.
CREATE OR REPLACE FUNCTION moves_0010.touched(t moves_0010.task, a agentapp_approval, p_content_sha256 text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN CASE
    WHEN a.state <> 'pending' OR t.state <> 'awaiting_approval' THEN 'decided'
    WHEN a.expires_at <= t.now THEN 'expired'
    WHEN a.content_sha256 <> p_content_sha256 OR a.revision > 0 THEN 'edited'
    WHEN EXISTS (SELECT 1 FROM agentapp_approvalvote WHERE approval_id = a.id) THEN 'voted for'
    WHEN a.claimed_until > t.now THEN 'claimed' END;
END $$;

-- Votes: what each person has said of one revision of an approval. As many equal ones as its policy asks for approve it. [G2]

-- Tell whether somebody has voted so before: a second click changes nothing, also where theirs was the last vote that was
-- missing. Only where several must vote: else every second decision is refused.
CREATE OR REPLACE FUNCTION moves_0010.has_voted(a agentapp_approval, p_to text, p_sha256 text, p_user int, p_api_key bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN p_to = 'approved' AND coalesce((a.policy ->> 'quorum')::int, 1) > 1 AND a.state IN ('pending', 'approved')
     AND EXISTS (SELECT 1 FROM agentapp_approvalvote v
                  WHERE v.approval_id = a.id AND v.revision = a.revision AND v.decision = 'approved'
                    AND v.content_sha256 = p_sha256 AND a.content_sha256 = p_sha256
                    AND (v.user_id = p_user OR v.api_key_id = p_api_key));
END $$;

-- Count a vote, and return the approval as it is then. An edit makes the next revision, of which nobody has said anything
-- yet; under four eyes its author does not approve it.
CREATE OR REPLACE FUNCTION moves_0010.vote(
  t moves_0010.task, a agentapp_approval, p_to text, p_user int, p_api_key bigint, p_reason text, p_content jsonb, p_new_sha256 text
) RETURNS agentapp_approval LANGUAGE plpgsql AS $$
DECLARE
  edits boolean := coalesce(p_new_sha256 <> a.content_sha256, false);
  instead_of int := moves_0010.instead_of(t, a, p_user);
  said text := CASE WHEN edits AND coalesce((a.policy -> 'four_eyes')::boolean, false) THEN 'edited' ELSE p_to END;
BEGIN
  IF edits THEN
    UPDATE agentapp_approval SET content = p_content, content_sha256 = p_new_sha256, revision = revision + 1
     WHERE id = a.id AND state = 'pending' RETURNING * INTO STRICT a;
  END IF;
  INSERT INTO agentapp_approvalvote (
    approval_id, revision, user_id, for_user_id, api_key_id, decision, content_sha256, has_edited, reason, at)
  VALUES (a.id, a.revision, p_user, instead_of, p_api_key, said, a.content_sha256, edits, coalesce(p_reason, ''), t.now)
  ON CONFLICT ON CONSTRAINT approval_vote_once
  DO UPDATE SET decision = said, for_user_id = instead_of, reason = EXCLUDED.reason, at = EXCLUDED.at;
  UPDATE agentapp_approval
     SET votes_missing = greatest(0, coalesce((a.policy ->> 'quorum')::int, 1) - moves_0010.votes_that_count(a))
   WHERE id = a.id AND state = 'pending' RETURNING * INTO STRICT a;
  RETURN a;
END $$;

-- How many have approved this revision. Who decides in the place of another is one with them: a person who delegates gives no
-- second vote. Those whose account is no longer active, or that of whom they stood for, do not count.
CREATE OR REPLACE FUNCTION moves_0010.votes_that_count(a agentapp_approval) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT count(DISTINCT (coalesce(v.for_user_id, v.user_id), v.api_key_id)) FROM agentapp_approvalvote v
     WHERE v.approval_id = a.id AND v.revision = a.revision AND v.decision = 'approved'
       AND NOT EXISTS (SELECT 1 FROM auth_user u WHERE u.id IN (v.user_id, v.for_user_id) AND NOT u.is_active));
END $$;

-- What a history says of a vote that has not decided.
CREATE OR REPLACE FUNCTION moves_0010.voted(a agentapp_approval, p_sha256 text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN a.content_sha256 <> p_sha256 THEN 'edited; ' ELSE 'approved by one person; ' END
         || 'still missing: ' || a.votes_missing
$$;

-- What is asked again has the same authors as before.
CREATE OR REPLACE FUNCTION moves_0010.remember_editors(a agentapp_approval, p_before uuid, p_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_approvalvote (approval_id, revision, user_id, api_key_id, decision, content_sha256, has_edited, reason, at)
  SELECT DISTINCT a.id, 0, user_id, api_key_id, 'edited', a.content_sha256, true, '', p_at
    FROM agentapp_approvalvote WHERE approval_id = p_before AND has_edited;
END $$;

-- The send hold: what a person has approved is sent some seconds later, and until then the approval can be withdrawn. [G1]

-- The jobs that follow an approval, one or the parts of a fan-out, wait as rows, so that no crash forgets them; the dispatcher
-- makes them due. What they wait for is written as that of a gate is, for the pages of the release before. Half of the time
-- that a deadline leaves is for sending.
CREATE OR REPLACE FUNCTION moves_0010.hold(INOUT t moves_0010.task, a agentapp_approval, p_hold_s float) LANGUAGE plpgsql AS $$
DECLARE
  until timestamptz := least(t.now + make_interval(secs => p_hold_s), t.now + (t.deadline_at - t.now) / 2);
  why jsonb := jsonb_build_array(jsonb_build_object(
    'type', 'hold', 'scope', 'hold', 'name', 'undo', 'why', 'hold', 'until', until));
  fresh moves_0010.event[];
BEGIN
  IF coalesce(p_hold_s, 0) <= 0 OR until <= t.now OR t.state <> 'running' AND a.job_id IS NULL THEN
    RETURN;
  END IF;
  WITH held AS (
    UPDATE agentapp_job j
       SET state = 'scheduled', scheduled_at = until, available_at = until, blocked_by = why, published_at = NULL,
           publishes = 0
      FROM agentapp_stage s
     WHERE s.workflow_id = t.id AND j.workflow_id = t.id AND j.stage_id = s.id AND j.state = 'available'
       AND CASE WHEN a.job_id IS NULL THEN s.position = t.position ELSE j.id = a.job_id END
    RETURNING j.id, j.part)
  SELECT array_agg(ROW('job', id, 'available', 'scheduled', 'held: its approval can be withdrawn',
                       jsonb_build_object('blocked_by', why))::moves_0010.event ORDER BY part)
    INTO fresh FROM held;
  IF fresh IS NULL THEN
    RETURN;
  END IF;
  t.log := t.log || fresh;
  t.opened := '[]';
  t.held := 0;
  UPDATE agentapp_approval SET held_until = until WHERE id = a.id AND state = 'approved';
END $$;

-- Whether a job waits only for the end of a send hold.
CREATE OR REPLACE FUNCTION moves_0010.is_held(p_blocked_by jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(p_blocked_by -> 0 ->> 'type' = 'hold', false)
$$;

-- Withdraw an approval of which nothing was sent: the same content is asked again. One that was withdrawn already, or
-- opened again because its content had changed, stays so while that is asked: `approval` is the one that asks now.
CREATE OR REPLACE FUNCTION moves_0010.withdraw(
  p_workflow uuid, p_approval uuid, p_actor text, p_user int, p_api_key bigint, p_reason text, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
  a agentapp_approval;
  b agentapp_approval;
  s agentapp_stage;
  blocked jsonb;
BEGIN
  SELECT * INTO a FROM agentapp_approval WHERE id = p_approval AND workflow_id = t.id FOR NO KEY UPDATE;
  -- Who may say no may take it back.
  blocked := moves_0010.outsider(t, a, p_user, p_api_key);
  IF blocked IS NOT NULL THEN
    RETURN blocked;
  ELSIF a.state = 'reopened' THEN
    SELECT * INTO b FROM agentapp_approval WHERE id = moves_0010.asked_after(a);
    RETURN jsonb_build_object('status', CASE b.state WHEN 'pending' THEN 'again' ELSE 'decided again' END, 'approval', b.id,
                              'state', b.state);
  ELSIF a.state IS DISTINCT FROM 'approved' THEN
    RETURN jsonb_build_object('status', 'not approved', 'state', coalesce(a.state, 'deleted'));
  ELSIF a.job_id IS NOT NULL THEN
    RETURN moves_0010.withdraw_answer(t, a, p_reason);
  END IF;
  SELECT * INTO s FROM agentapp_stage WHERE id = moves_0010.following_stage(t.id, a.stage_id);
  -- Behind their locks nobody begins an effect.
  PERFORM 1 FROM agentapp_job WHERE workflow_id = t.id AND stage_id = s.id ORDER BY id FOR NO KEY UPDATE;
  blocked := moves_0010.withdraw_blocker(t, a, s);
  IF blocked IS NOT NULL THEN
    RETURN blocked;
  END IF;
  t := moves_0010.take_back(t, s, p_reason);
  UPDATE agentapp_approval SET state = 'reopened' WHERE id = a.id AND state = 'approved';
  t := moves_0010.note(t, 'approval', a.id, 'approved', 'reopened', p_reason);
  t := moves_0010.ask_again(t, a, s.position, a.content, a.content_sha256, p_reason);
  RETURN moves_0010.saved(t) || jsonb_build_object('approval', moves_0010.asked_after(a));
END $$;

-- The stage that comes next after a decision; one that was skipped, or had nothing to fan out over, is none.
CREATE OR REPLACE FUNCTION moves_0010.following_stage(p_workflow uuid, p_stage bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT s.id FROM agentapp_stage s WHERE s.workflow_id = p_workflow AND NOT s.spec ? 'skipped'
       AND s.position > (SELECT position FROM agentapp_stage WHERE id = p_stage)
       AND (s.kind <> 'fan_out' OR EXISTS (SELECT 1 FROM agentapp_job WHERE workflow_id = p_workflow AND stage_id = s.id))
     ORDER BY s.position LIMIT 1);
END $$;

-- Why an approval cannot be withdrawn: its content was sent or is being sent, or its task has gone on. Null: it can be. s is
-- what follows the approval.
CREATE OR REPLACE FUNCTION moves_0010.withdraw_blocker(t moves_0010.task, a agentapp_approval, s agentapp_stage) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
  e agentapp_effect;
  states text[];
BEGIN
  -- Parts that were taken back before are no work of the task any more.
  states := ARRAY(SELECT DISTINCT state FROM agentapp_job WHERE workflow_id = t.id AND stage_id = s.id AND state <> 'cancelled');
  SELECT f.* INTO e FROM agentapp_job j CROSS JOIN LATERAL moves_0010.effects_of(j) f
    WHERE j.workflow_id = t.id AND j.stage_id = s.id AND f.state <> 'prepared' ORDER BY f.sent_at LIMIT 1;
  IF FOUND THEN
    RETURN jsonb_build_object('status', CASE e.state WHEN 'confirmed' THEN 'sent' ELSE 'begun' END, 'at', e.sent_at);
  ELSIF t.finished_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'over', 'state', t.state);
  ELSIF 'dead_lettered' = ANY(states) THEN
    RETURN jsonb_build_object('status', 'dead letter');
  ELSIF s.position IS DISTINCT FROM t.position OR states = '{}' OR NOT states <@ '{available,scheduled,retryable,running}' OR EXISTS (
    -- What it waits for is a task of its own, which may have sent what was approved.
    SELECT 1 FROM agentapp_workflow WHERE parent = t.id AND origin = 'child' AND created_at >= a.decided_at) THEN
    RETURN jsonb_build_object('status', 'gone on');
  END IF;
  RETURN NULL;
END $$;

-- What was opened, or has begun, waits for its decision again. Who runs it has lost it, and no attempt is used up. Parts are
-- cancelled, because what is fanned out over is known when the stage opens again.
CREATE OR REPLACE FUNCTION moves_0010.take_back(INOUT t moves_0010.task, s agentapp_stage, p_reason text) LANGUAGE plpgsql AS $$
DECLARE
  noted int := cardinality(t.log);
  j agentapp_job;
  k agentapp_job;
BEGIN
  IF s.kind = 'fan_out' THEN
    t := moves_0010.end_jobs(t, s.id, '', p_reason);
    -- One note each.
    t.jobs_total := t.jobs_total - (cardinality(t.log) - noted);
    t := moves_0010.drop_questions(t, p_reason);
    RETURN;
  END IF;
  SELECT * INTO STRICT j FROM agentapp_job WHERE workflow_id = t.id AND stage_id = s.id;
  k := moves_0010.entering(j, 'pending', t.now);
  IF j.state = 'running' THEN
    PERFORM moves_0010.end_attempt(j, 'handed_back', NULL, t.now);
    k.attempt := j.attempt - 1;
  END IF;
  k.payload := NULL;
  -- A checkpoint belongs to the payload that it was made of.
  UPDATE agentapp_job SET checkpoint = NULL WHERE id = j.id AND checkpoint IS NOT NULL;
  t := moves_0010.move_job(t, j, k, p_reason);
  t := moves_0010.drop_questions(t, p_reason);
END $$;

-- A draft is written again from the sources as they are now.

-- Why that is not done, though nobody is in the way; null: it is. Who asked for the task must still be allowed to: else a
-- draft that somebody could approve would become a dead letter.
CREATE OR REPLACE FUNCTION moves_0010.not_refreshed(
  t moves_0010.task, a agentapp_approval, s agentapp_stage, p_stale jsonb, p_most int
) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN CASE
    WHEN p_stale IS NULL THEN 'current'
    WHEN moves_0010.content_kind(a.content) <> 'mail' OR NOT moves_0010.can_go_back(t.id, s.position, s.spec ->> 'refresh_from')
    THEN 'no way back'
    WHEN (SELECT count(*) FROM agentapp_approval WHERE workflow_id = t.id AND refreshed_by IS NOT NULL) >= least(p_most, 10)
    THEN 'too often'
    WHEN moves_0010.denied(t) <> '' THEN 'denied' END;
END $$;

-- Ask for changes in the name of the task p_by, and go back to where sources are read. What was written from the old ones is
-- read by no binding any more, or the next draft would be made of it; what a person had asked for before is, as the remark.
CREATE OR REPLACE FUNCTION moves_0010.write_again(
  INOUT t moves_0010.task, a agentapp_approval, s agentapp_stage, p_stale jsonb, p_by uuid
) LANGUAGE plpgsql AS $$
DECLARE
  first int := moves_0010.latest(t.id, s.spec ->> 'refresh_from', s.position);
  wish text := (SELECT output ->> 'remark' FROM agentapp_stage
                 WHERE workflow_id = t.id AND name = s.name AND position < s.position AND output ->> 'remark' IS NOT NULL
                 ORDER BY position DESC LIMIT 1);
BEGIN
  t := moves_0010.record_decision(t, a, 'changes_requested', NULL, NULL, moves_0010.stale_words(p_stale), false);
  UPDATE agentapp_approval SET refreshed_by = p_by WHERE id = a.id AND state = 'changes_requested';
  UPDATE agentapp_stage SET output = output || jsonb_build_object('remark', wish) WHERE id = s.id;
  t := moves_0010.set_state(t, 'running', 'sources have changed');
  t.parts_left := 0;
  t := moves_0010.go_back(t, s.position, s.spec ->> 'refresh_from', 0);
  UPDATE agentapp_stage SET spec = spec || '{"superseded": true}'
   WHERE workflow_id = t.id AND position > first AND position < s.position;
  t := moves_0010.advance(t);
END $$;

-- For people. Titles are what others wrote: no prompt gets them as a remark.
CREATE OR REPLACE FUNCTION moves_0010.stale_words(p_stale jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT 'Sources that it cites are no longer as they were: '
         || string_agg(format('[%s] %s was %s', left(c ->> 'n', 10), c ->> 'title', c ->> 'was'), '; ' ORDER BY place) || '.'
    FROM jsonb_array_elements(p_stale) WITH ORDINALITY AS u(c, place)
$$;

-- Moves of dead letters. All of them run under the task's row lock, so that nobody else moves its jobs.

-- Why this is no dead letter of a task that can go on: null, or the answer.
CREATE OR REPLACE FUNCTION moves_0010.letter_problem(t moves_0010.task, j agentapp_job) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN j.id IS NULL OR j.state <> 'dead_lettered'
              THEN jsonb_build_object('status', 'no dead letter', 'state', j.state)
              WHEN t.finished_at IS NOT NULL THEN jsonb_build_object('status', 'over', 'state', t.state) END
$$;

-- What must be known before a dead letter may run again: null, or why not. [D7]
--
-- `sent` is no hindrance: the runtime asks the provider under the same key, and where it cannot it says `unknown`.
-- With effect_happened = false a person has found out that nothing arrived.
CREATE OR REPLACE FUNCTION moves_0010.replay_blocker(
  t moves_0010.task, j agentapp_job, p_effect_happened boolean, p_died_before timestamptz, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  keys jsonb;
  blocked jsonb := moves_0010.letter_problem(t, j);
BEGIN
  IF blocked IS NOT NULL THEN
    RETURN blocked;
  ELSIF j.finished_at > p_died_before THEN
    RETURN jsonb_build_object('status', 'died again', 'state', j.state);
  ELSIF p_effect_happened IS NOT DISTINCT FROM false THEN
    blocked := moves_0010.send_blocker(j, p_now);
    IF blocked IS NOT NULL THEN
      RETURN blocked;
    END IF;
    -- One that was confirmed meanwhile did happen; of a send that began after this death a person can know nothing yet.
    UPDATE agentapp_effect SET state = 'prepared', unfinished = NULL
     WHERE id IN (SELECT id FROM moves_0010.uncertain_effects(j)) AND state IN ('sent', 'unknown')
       AND sent_at <= j.finished_at;
    RETURN NULL;
  END IF;
  SELECT jsonb_agg(key ORDER BY key) INTO keys FROM moves_0010.uncertain_effects(j) WHERE state = 'unknown';
  RETURN CASE WHEN keys IS NOT NULL THEN jsonb_build_object('status', 'unknown effect', 'effects', keys) END;
END $$;

-- A decision that could not be opened has no body to run, and no output that a person may make up.
CREATE OR REPLACE FUNCTION moves_0010.decision_blocker(j agentapp_job) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN CASE WHEN (SELECT kind FROM agentapp_stage WHERE id = j.stage_id) = 'decision'
              THEN jsonb_build_object('status', 'decision') END;
END $$;

-- The task goes on when no dead letter is in its way any more.
CREATE OR REPLACE FUNCTION moves_0010.unblock(INOUT t moves_0010.task, p_reason text) LANGUAGE plpgsql AS $$
BEGIN
  IF t.state = 'needs_attention' AND NOT moves_0010.is_blocked(t) THEN
    t := moves_0010.set_state(t, 'running', p_reason);
  END IF;
END $$;

-- Under the join rule "settled" a dead letter had been counted as done, unless it stands for a stage that did not open.
CREATE OR REPLACE FUNCTION moves_0010.recount(INOUT t moves_0010.task, s agentapp_stage) LANGUAGE plpgsql AS $$
BEGIN
  IF s.position = t.position AND s.spec -> 'join' ->> 'rule' = 'settled' AND NOT s.spec ? 'unopened' THEN
    t.parts_left := t.parts_left + 1;
  END IF;
END $$;

-- Make a dead letter available again, with a fresh attempt budget; its attempts and history stay.
-- It must have died by p_died_before.
CREATE OR REPLACE FUNCTION moves_0010.replay(
  p_workflow uuid, p_job uuid, p_actor text, p_reason text, p_payload jsonb DEFAULT NULL,
  p_effect_happened boolean DEFAULT NULL, p_died_before timestamptz DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
  k agentapp_job;
  refused jsonb;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND workflow_id = t.id FOR NO KEY UPDATE;
  refused := coalesce(moves_0010.replay_blocker(t, j, p_effect_happened, p_died_before, p_now), moves_0010.decision_blocker(j));
  IF refused IS NOT NULL THEN
    RETURN refused;
  END IF;
  k := moves_0010.entering(CASE WHEN p_payload IS NULL THEN j ELSE moves_0010.edit_payload(j, p_payload) END, 'available', t.now);
  k.attempt := 0;
  k.replay := j.replay + 1;
  k.published_at := t.now;
  k.publishes := 1;
  t := moves_0010.move_job(t, j, k, p_reason, jsonb_strip_nulls(jsonb_build_object(
    'edited', p_payload IS NOT NULL, 'attempts_before', j.attempt, 'effect_happened', p_effect_happened)));
  t := moves_0010.recount(t, (SELECT s FROM agentapp_stage s WHERE s.id = j.stage_id));
  t := moves_0010.unblock(t, p_reason);
  t.opened := jsonb_build_array(moves_0010.link(k));
  RETURN moves_0010.saved(t);
END $$;

-- Replay a dead letter from an earlier stage (or its own, as a whole): the way from there is done once more.
CREATE OR REPLACE FUNCTION moves_0010.replay_from(
  p_workflow uuid, p_job uuid, p_actor text, p_from_stage text, p_effect_happened boolean DEFAULT NULL,
  p_reason text DEFAULT '', p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
  why text := 'replayed from ' || p_from_stage || coalesce(': ' || nullif(p_reason, ''), '');
  j agentapp_job;
  s agentapp_stage;
  names jsonb;
  refused jsonb;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND workflow_id = t.id FOR NO KEY UPDATE;
  SELECT * INTO s FROM agentapp_stage WHERE id = j.stage_id;
  IF s.position < t.position OR t.parts_left = 0 THEN
    RETURN jsonb_build_object('status', 'passed', 'state', t.state);
  END IF;
  names := moves_0010.stage_names(t.id, moves_0010.path(t.id, 1, s.position));
  IF NOT names ? p_from_stage THEN
    RETURN jsonb_build_object('status', 'no such stage', 'stages', names);
  END IF;
  refused := moves_0010.replay_blocker(t, j, p_effect_happened, NULL, p_now);
  IF refused IS NOT NULL THEN
    RETURN refused;
  END IF;
  t := moves_0010.do_again(t, s, p_from_stage, why);
  t := moves_0010.unblock(t, why);
  t := moves_0010.advance(t);
  RETURN moves_0010.saved(t);
END $$;

-- Give the open stage up, and put the way from an earlier one behind it. What is done once more is read by no binding:
-- the copies find what their first rounds had found.
CREATE OR REPLACE FUNCTION moves_0010.do_again(INOUT t moves_0010.task, s agentapp_stage, p_from text, p_reason text)
LANGUAGE plpgsql AS $$
DECLARE
  first int := moves_0010.latest(t.id, p_from, s.position);
  noted int := cardinality(t.log);
BEGIN
  t := moves_0010.end_jobs(t, s.id, '', p_reason);
  -- One note each: copies take the place of these jobs in the count.
  t.jobs_total := t.jobs_total - (cardinality(t.log) - noted);
  t := moves_0010.drop_questions(t, p_reason);
  t.parts_left := 0;
  t := moves_0010.go_back(t, s.position, p_from, NULL);
  UPDATE agentapp_stage SET spec = spec || '{"superseded": true}'
   WHERE workflow_id = t.id AND position BETWEEN first AND s.position;
END $$;

-- A new task that begins at a stage of an earlier one. What lies before is copied: closed stages with their completed
-- jobs, as they were; an approval is good for one run, so that of a decision which approved nothing is left to read. The rest
-- is planned again and opened.
-- p_stages is the plan from p_from_stage on; without p_input it has that of its origin. A fork waits to begin like any
-- task, and counts like one. It has as long as its origin had, from now on.
CREATE OR REPLACE FUNCTION moves_0010.fork(
  p_id uuid, p_origin uuid, p_actor text, p_api_key bigint, p_user bigint, p_from_stage text, p_stages jsonb,
  p_result_bind jsonb, p_tenant_mark int, p_hard_mark int, p_soft_mark int, p_input jsonb DEFAULT NULL,
  p_request_key text DEFAULT NULL, p_request_sha256 text DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task;
  moment timestamptz;
  o agentapp_workflow;
  first int;
  entrance jsonb;
BEGIN
  -- Nothing moves in the origin, and nothing of it is deleted, until the copies are written.
  SELECT * INTO o FROM agentapp_workflow WHERE id = p_origin FOR SHARE;
  moment := moves_0010.moment(p_now);
  SELECT max(s.position) INTO first FROM agentapp_stage s
   WHERE s.workflow_id = o.id AND s.name = p_from_stage AND moves_0010.is_reached(o, s);
  IF first IS NULL THEN
    RETURN jsonb_build_object('status', 'not reached', 'stages', (
      SELECT coalesce(jsonb_agg(DISTINCT s.name), '[]') FROM agentapp_stage s
       WHERE s.workflow_id = o.id AND moves_0010.is_reached(o, s)));
  END IF;
  entrance := moves_0010.entrance(o.tenant_id, p_tenant_mark, p_hard_mark, p_soft_mark, p_id, p_request_key, p_request_sha256, moment);
  IF entrance ?| '{refused,known}' THEN
    RETURN entrance;
  END IF;
  PERFORM moves_0010.copy_task(o, p_id, p_api_key, p_user, p_input, p_result_bind, moment);
  t := moves_0010.lock_task(p_id, p_actor, p_now);
  t.now := moment;
  t := moves_0010.note(t, 'workflow', NULL, '', 'pending', 'forked from ' || p_from_stage,
                  jsonb_build_object('forked_from', o.id, 'edited', p_input IS NOT NULL));
  t := moves_0010.copy_stages(t, o.id, first);
  t := moves_0010.start_plan(t, p_stages);
  RETURN moves_0010.saved(t);
END $$;

-- The row of a fork, of which nothing is done yet, and what was said to its origin.
CREATE OR REPLACE FUNCTION moves_0010.copy_task(
  o agentapp_workflow, p_id uuid, p_api_key bigint, p_user bigint, p_input jsonb, p_result_bind jsonb, p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_workflow (id, tenant_id, api_key_id, user_id, kind, version, state, priority, risk, input, labels,
                                 result_bind, position, parts_left, stages_total, jobs_total, jobs_done, seq, tokens,
                                 cost_usd, created_at, deadline_at, forked_from, root, origin, callback_url, continues)
  VALUES (p_id, o.tenant_id, p_api_key, p_user, o.kind, o.version, 'pending', o.priority, o.risk,
          coalesce(p_input, o.input), o.labels, p_result_bind, 0, 0, 0, 0, 0, 0, 0, 0,
          p_now, p_now + (o.deadline_at - greatest(o.created_at, o.run_at)), o.id,
          coalesce(o.root, o.id), CASE o.origin WHEN 'child' THEN 'client' ELSE o.origin END, '', o.continues);
  INSERT INTO agentapp_message (id, tenant_id, workflow_id, number, text, is_untrusted, actor, created_at)
  SELECT moves_0010.uuid7(), tenant_id, p_id, number, text, is_untrusted, actor, created_at FROM agentapp_message
   WHERE workflow_id = o.id ORDER BY number;
END $$;

-- Tell whether a task has come as far as this stage.
CREATE OR REPLACE FUNCTION moves_0010.is_reached(w agentapp_workflow, s agentapp_stage) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT NOT s.spec ? 'superseded' AND s.position <= w.position
$$;

CREATE OR REPLACE FUNCTION moves_0010.copy_stages(INOUT t moves_0010.task, p_origin uuid, p_first int) LANGUAGE plpgsql AS $$
DECLARE
  fresh moves_0010.event[];
BEGIN
  WITH kept AS (
    SELECT s.*, row_number() OVER (ORDER BY s.position) AS place FROM agentapp_stage s
     WHERE s.workflow_id = p_origin AND s.position < p_first AND NOT s.spec ? 'superseded'
  ), copied AS (
    INSERT INTO agentapp_stage (workflow_id, position, name, kind, job_type, round, spec, output)
    SELECT t.id, place, name, kind, job_type, round,
           CASE WHEN output ->> 'decision' = 'approved' THEN spec || '{"skipped": true}' ELSE spec END,
           CASE WHEN output ->> 'decision' = 'approved' THEN NULL ELSE output END
      FROM kept ORDER BY place
    RETURNING id, position
  )
  INSERT INTO agentapp_job (id, workflow_id, stage_id, tenant_id, type, queue, model, tool, state, part, payload, output,
                            priority, attempt, max_attempts, timeout_s, worker, publishes, finished_at)
  SELECT moves_0010.uuid7(), t.id, copied.id, t.tenant_id, j.type, j.queue, j.model, j.tool, 'completed', j.part, j.payload, j.output,
         t.priority, 0, j.max_attempts, j.timeout_s, '', 0, t.now
    FROM kept JOIN copied ON copied.position = kept.place
    JOIN agentapp_job j ON j.workflow_id = p_origin AND j.stage_id = kept.id AND j.state = 'completed'
   ORDER BY kept.place, j.part;
  SELECT count(*) INTO t.stages_total FROM agentapp_stage WHERE workflow_id = t.id;
  SELECT coalesce(array_agg(ROW('job', j.id, '', 'completed', 'done in its origin', NULL)::moves_0010.event
                            ORDER BY s.position, j.part), '{}')
    INTO fresh FROM agentapp_job j JOIN agentapp_stage s ON s.id = j.stage_id WHERE j.workflow_id = t.id;
  t.log := t.log || fresh;
  t.position := t.stages_total;
  t.jobs_total := t.jobs_total + cardinality(fresh);
  t.jobs_done := t.jobs_done + cardinality(fresh);
END $$;

-- Messages that clients say to a conversation.

-- What the last stage of a plan says of messages: {"back_to", "heard", "interrupts"}; null where a task takes none.
CREATE OR REPLACE FUNCTION moves_0010.hears(p_task uuid) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT spec -> 'hears' FROM agentapp_stage WHERE workflow_id = p_task ORDER BY position DESC LIMIT 1);
END $$;

-- How many messages of a task no turn has read. What was read is what the latest turn that counts has stored with its
-- output: a turn that is killed, or superseded, has read nothing.
CREATE OR REPLACE FUNCTION moves_0010.unread(p_task uuid, p_hears jsonb) RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE
  most int := (SELECT max(number) FROM agentapp_message WHERE workflow_id = p_task);
  heard jsonb;
  read numeric := 0;
BEGIN
  IF most IS NULL OR p_hears IS NULL THEN
    RETURN 0;
  END IF;
  heard := moves_0010.bind(p_task, jsonb_build_object('x', p_hears -> 'heard'), 32767) -> 'x';
  IF jsonb_typeof(heard) = 'number' THEN
    read := (heard #>> '{}')::numeric;
  END IF;
  -- A person may have entered the output: what is no count has read nothing, as in conversation.heard_by().
  RETURN CASE WHEN read BETWEEN 0 AND most THEN most - floor(read) WHEN read BETWEEN most AND 2147483647 THEN 0 ELSE most END;
END $$;

-- Say something to a task that is not over. One after the other, under the lock of the task: so a message comes before the
-- end of its task, which then goes round again, or after it, and the answer is `over`. `next`: the task that goes on with
-- the conversation, if there is one. Where the kind says so, the turn that runs is begun again with the message.
CREATE OR REPLACE FUNCTION moves_0010.say(
  p_workflow uuid, p_id uuid, p_actor text, p_text text, p_is_untrusted boolean, p_most int,
  p_request_key text DEFAULT NULL, p_request_sha256 text DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
  hears jsonb := moves_0010.hears(t.id);
  known jsonb := moves_0010.known_request(t.tenant_id, p_request_key, p_request_sha256);
BEGIN
  IF known IS NOT NULL THEN
    RETURN known;
  ELSIF t.id IS NULL OR hears IS NULL THEN
    RETURN jsonb_build_object('status', 'no conversation', 'state', coalesce(t.state, 'deleted'));
  ELSIF t.finished_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'over', 'state', t.state, 'next', moves_0010.follower(t.id));
  ELSIF moves_0010.unread(t.id, hears) >= p_most THEN
    RETURN jsonb_build_object('status', 'full', 'state', t.state);
  END IF;
  IF p_request_key IS NOT NULL THEN
    INSERT INTO agentapp_idempotencykey (tenant_id, key, request_sha256, workflow_id, created_at)
    VALUES (t.tenant_id, p_request_key, p_request_sha256, p_id, t.now) ON CONFLICT (tenant_id, key) DO NOTHING;
    IF NOT FOUND THEN
      RETURN moves_0010.known_request(t.tenant_id, p_request_key, p_request_sha256);
    END IF;
  END IF;
  PERFORM moves_0010.add_message(t.id, t.tenant_id, p_id, p_actor, p_text, p_is_untrusted, t.now);
  IF (hears ->> 'interrupts')::boolean THEN
    t := moves_0010.interrupt(t, hears ->> 'back_to');
  END IF;
  RETURN moves_0010.saved(t);
END $$;

CREATE OR REPLACE FUNCTION moves_0010.add_message(
  p_task uuid, p_tenant bigint, p_id uuid, p_actor text, p_text text, p_is_untrusted boolean, p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_message (id, tenant_id, workflow_id, number, text, is_untrusted, actor, created_at)
  SELECT p_id, p_tenant, p_task, coalesce(max(number), 0) + 1, p_text, p_is_untrusted, p_actor, p_now
    FROM agentapp_message WHERE workflow_id = p_task;
END $$;

-- The turn that runs loses its lease, and is available again in the same attempt: what it was about to answer is not stored.
CREATE OR REPLACE FUNCTION moves_0010.interrupt(INOUT t moves_0010.task, p_stage text) LANGUAGE plpgsql AS $$
DECLARE
  j agentapp_job;
  s agentapp_stage;
  r moves_0010.settle_request;
BEGIN
  SELECT * INTO s FROM agentapp_stage WHERE workflow_id = t.id AND position = t.position AND name = p_stage;
  SELECT * INTO j FROM agentapp_job WHERE workflow_id = t.id AND stage_id = s.id AND state = 'running' FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  r.state := 'available';
  r.outcome := 'handed_back';
  r.reason := 'interrupted by a message';
  PERFORM moves_0010.end_attempt(j, r.outcome, NULL, t.now);
  t := moves_0010.end_run(t, j, s, r, NULL);
END $$;

-- The newest task that goes on with the conversation of one that is over. A fork is a conversation of its own.
CREATE OR REPLACE FUNCTION moves_0010.follower(p_task uuid) RETURNS uuid LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    WITH RECURSIVE later AS (
      SELECT id, 1 AS n FROM agentapp_workflow WHERE continues = p_task AND forked_from IS NULL
      UNION ALL
      SELECT w.id, n + 1 FROM later JOIN agentapp_workflow w ON w.continues = later.id AND w.forked_from IS NULL
    )
    SELECT id FROM later ORDER BY n DESC LIMIT 1);
END $$;

-- A new task that goes on with the conversation of a completed one: its input, and a message to begin with. Of several who
-- say something at the same moment one makes it; the others find it as `next`.
CREATE OR REPLACE FUNCTION moves_0010.follow_up(
  p_id uuid, p_origin uuid, p_actor text, p_api_key bigint, p_user bigint, p_version int, p_input jsonb, p_stages jsonb,
  p_result_bind jsonb, p_tenant_mark int, p_hard_mark int, p_soft_mark int, p_message uuid, p_text text,
  p_is_untrusted boolean, p_request_key text DEFAULT NULL, p_request_sha256 text DEFAULT NULL,
  p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  o agentapp_workflow;
  answer jsonb;
BEGIN
  -- Nothing of the origin is deleted until its follow-up is written.
  SELECT * INTO o FROM agentapp_workflow WHERE id = p_origin FOR NO KEY UPDATE;
  IF moves_0010.hears(o.id) IS NULL OR o.state IS DISTINCT FROM 'completed' THEN
    RETURN jsonb_build_object('status', 'no conversation', 'state', coalesce(o.state, 'deleted'));
  ELSIF moves_0010.follower(o.id) IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'over', 'state', o.state, 'next', moves_0010.follower(o.id));
  END IF;
  answer := moves_0010.submit(
    p_id, o.tenant_id, p_api_key, p_user, p_actor, o.kind, p_version, o.priority, p_input, o.labels, p_stages, p_result_bind,
    extract(epoch FROM o.deadline_at - greatest(o.created_at, o.run_at))::float, p_tenant_mark, p_hard_mark, p_soft_mark,
    p_request_key => p_request_key, p_request_sha256 => p_request_sha256, p_now => p_now);
  IF answer ?| '{refused,known}' THEN
    RETURN answer;
  END IF;
  UPDATE agentapp_workflow SET continues = o.id, callback_url = o.callback_url WHERE id = p_id;
  PERFORM moves_0010.add_message(p_id, o.tenant_id, p_message, p_actor, p_text, p_is_untrusted, (answer ->> 'created_at')::timestamptz);
  RETURN answer;
END $$;

-- Notices: a person tells the client of a task what became of a dead letter.

-- Add a notice to the task that a client asked for; the dead letter may be one of a part of it. A row of the history, which
-- streams tell, and an event of webhooks. The same words about the same failure are one notice.
CREATE OR REPLACE FUNCTION moves_0010.notify(
  p_workflow uuid, p_job uuid, p_actor text, p_text text, p_most int, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
  told jsonb;
  blocked jsonb;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND tenant_id = t.tenant_id;
  blocked := moves_0010.letter_problem(t, j);
  IF blocked IS NOT NULL THEN
    RETURN blocked;
  ELSIF t.origin NOT IN ('client', 'schedule') THEN
    RETURN jsonb_build_object('status', 'no client', 'state', t.state);
  END IF;
  SELECT coalesce(notices, '[]') INTO told FROM agentapp_workflow WHERE id = t.id;
  IF EXISTS (SELECT FROM jsonb_array_elements(told) n
              WHERE n ->> 'job' = j.id::text AND n ->> 'text' = p_text AND (n ->> 'at')::timestamptz >= j.finished_at) THEN
    RETURN moves_0010.saved(t);
  ELSIF jsonb_array_length(told) >= p_most THEN
    RETURN jsonb_build_object('status', 'enough', 'state', t.state);
  END IF;
  UPDATE agentapp_workflow
     SET notices = told || jsonb_build_object('at', t.now, 'by', t.actor, 'job', j.id, 'text', p_text)
   WHERE id = t.id AND state = t.state;
  t := moves_0010.note(t, 'workflow', NULL, t.state, t.state, p_text, jsonb_build_object('notice', true, 'job', j.id));
  PERFORM moves_0010.tell_webhooks(t, 'task.notice');
  RETURN moves_0010.saved(t);
END $$;

-- Dead letters that do not run again: finished by hand, or put away.

-- Finish a dead letter by hand: a person has done its work, or knows what came of it, and enters the output. An output
-- that its task cannot go on with is refused (22023), and nothing is stored.
CREATE OR REPLACE FUNCTION moves_0010.resolve(
  p_workflow uuid, p_job uuid, p_actor text, p_output jsonb, p_reason text, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
  k agentapp_job;
  s agentapp_stage;
  blocked jsonb;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND workflow_id = t.id FOR NO KEY UPDATE;
  blocked := coalesce(moves_0010.letter_problem(t, j), moves_0010.decision_blocker(j), moves_0010.send_blocker(j, p_now));
  IF blocked IS NOT NULL THEN
    RETURN blocked;
  END IF;
  SELECT * INTO s FROM agentapp_stage WHERE id = j.stage_id;
  t.problem := moves_0010.output_problem(t.id, s, p_output);
  IF t.problem IS NULL THEN
    k := moves_0010.entering(j, 'completed', t.now);
    k.output := p_output;
    t := moves_0010.move_job(t, j, k, p_reason, jsonb_build_object(
      'by_hand', true, 'effects', moves_0010.confirm_by_hand(j, t.actor, t.now)));
    t.jobs_done := t.jobs_done + 1;
    t := moves_0010.recount(t, s);
    t := moves_0010.close_part(t, s, k.output);
    -- The stage may be open still, and this dead letter have been the last.
    t := moves_0010.unblock(t, p_reason);
  END IF;
  IF t.problem IS NOT NULL THEN
    RAISE EXCEPTION '%', t.problem USING ERRCODE = '22023';
  END IF;
  RETURN moves_0010.saved(t);
END $$;

-- Effects of which nobody knew the end count as happened; returns their keys.
CREATE OR REPLACE FUNCTION moves_0010.confirm_by_hand(j agentapp_job, p_actor text, p_now timestamptz) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  keys jsonb;
BEGIN
  WITH known AS (
    UPDATE agentapp_effect SET state = 'confirmed', confirmed_at = p_now,
           response = jsonb_build_object('resolved_by', p_actor)
     WHERE id IN (SELECT id FROM moves_0010.uncertain_effects(j)) AND state IN ('sent', 'unknown') RETURNING key)
  SELECT coalesce(jsonb_agg(key ORDER BY key), '[]') INTO keys FROM known;
  RETURN keys;
END $$;

-- Put a dead letter away whose task is over: its join did not wait for it, and nothing can be done about it any more.
CREATE OR REPLACE FUNCTION moves_0010.archive(
  p_workflow uuid, p_job uuid, p_actor text, p_reason text, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND workflow_id = t.id FOR NO KEY UPDATE;
  IF NOT FOUND OR j.state <> 'dead_lettered' OR t.finished_at IS NULL THEN
    RETURN moves_0010.refused(t);
  END IF;
  t := moves_0010.move_job(t, j, moves_0010.entering(j, 'cancelled', t.now), p_reason);
  RETURN moves_0010.saved(t);
END $$;

-- The way that a task has gone through its plan, and going round again.

-- The latest stage of that name up to p_last, but none that was superseded; null where there is none.
CREATE OR REPLACE FUNCTION moves_0010.latest(p_workflow uuid, p_name text, p_last int) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
  -- Backwards from there: in a loop it is near, however many rounds there were.
  RETURN (SELECT position FROM agentapp_stage
           WHERE workflow_id = p_workflow AND name = p_name AND position <= p_last AND NOT spec ? 'superseded'
           ORDER BY position DESC LIMIT 1);
END $$;

-- The way from position p_first to position p_last as the plan has it: each stage once, in its latest round, without
-- what was superseded. (What lies between may hold several rounds of a loop.)
CREATE OR REPLACE FUNCTION moves_0010.path(p_workflow uuid, p_first int, p_last int) RETURNS int[] LANGUAGE plpgsql STABLE AS $$
DECLARE
  s record;
  way int[] := '{}';
  names text[] := '{}';
  before int;
BEGIN
  FOR s IN SELECT position, name FROM agentapp_stage
            WHERE workflow_id = p_workflow AND position BETWEEN p_first AND p_last AND NOT spec ? 'superseded'
            ORDER BY position LOOP
    before := array_position(names, s.name::text);
    IF before IS NOT NULL THEN
      way := way[1:before - 1];
      names := names[1:before - 1];
    END IF;
    way := way || s.position::int;
    names := names || s.name::text;
  END LOOP;
  RETURN way;
END $$;

CREATE OR REPLACE FUNCTION moves_0010.stage_names(p_workflow uuid, p_positions int[]) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT coalesce(jsonb_agg(name ORDER BY position), '[]') FROM agentapp_stage
   WHERE workflow_id = p_workflow AND position = ANY(p_positions)
$$;

-- From which stages a dead letter can be replayed: none once the task has gone on without it.
CREATE OR REPLACE FUNCTION moves_0010.stages_before(p_job uuid, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('stages', coalesce((
    SELECT moves_0010.stage_names(s.workflow_id, moves_0010.path(s.workflow_id, 1, s.position)) FROM agentapp_job j
      JOIN agentapp_stage s ON s.id = j.stage_id JOIN agentapp_workflow w ON w.id = j.workflow_id
     WHERE j.id = p_job AND s.position = w.position AND w.finished_at IS NULL), '[]'))
$$;

-- Go round again: copy the way from the latest p_back_to up to position p_after, and put the copies behind it. Their round is
-- p_round; without one each stays in its own. Loops within this one begin anew.
CREATE OR REPLACE FUNCTION moves_0010.go_back(INOUT t moves_0010.task, p_after int, p_back_to text, p_round int)
LANGUAGE plpgsql AS $$
DECLARE
  first int := moves_0010.latest(t.id, p_back_to, p_after);
  way int[] := moves_0010.path(t.id, first, p_after);
  n int := cardinality(way);
BEGIN
  UPDATE agentapp_stage SET position = position + n WHERE workflow_id = t.id AND position > p_after;
  INSERT INTO agentapp_stage (workflow_id, position, name, kind, job_type, round, spec)
  SELECT t.id, p_after + u.place, s.name, s.kind, s.job_type,
         CASE WHEN p_round IS NULL THEN s.round WHEN s.spec ? 'repeat' AND s.position <> p_after THEN 0 ELSE p_round END,
         s.spec - '{unopened,skipped}'::text[]
    FROM unnest(way) WITH ORDINALITY AS u(position, place)
    -- The bounds are for the planner, which would read the stages of all rounds.
    JOIN agentapp_stage s ON s.workflow_id = t.id AND s.position = u.position AND s.position BETWEEN first AND p_after
   ORDER BY u.place;
  t.stages_total := t.stages_total + n;
  t := moves_0010.plan_jobs(t, p_after + 1, p_after + n);
END $$;

-- The heartbeat of a worker process: renew all its leases, say that it lives, and learn which leases are no longer its.
--
-- p_leases: {job: token}. Returns {"gone": {job: state}, "waits": whether anybody waits behind a gate or in a queue}.
-- p_backend_pid is the number of the session as its client knows it: a connection pooler tells another, and then no lock of
-- a session means anything.
-- A row that is busy is being settled: it is passed over, not waited for.
CREATE OR REPLACE FUNCTION moves_0010.heartbeat(
  p_process bigint, p_name text, p_pool text, p_slots int, p_queues text[], p_leases jsonb, p_lease_s float,
  p_draining boolean, p_counts jsonb, p_backend_pid int, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  gone jsonb;
  -- Null: of all classes.
  own text[];
BEGIN
  IF session_user <> current_user THEN
    own := moves_0010.own_classes();
  END IF;
  -- A beat that a crash forgets shortens a wait, nothing more.
  PERFORM set_config('synchronous_commit', 'off', true);
  WITH held AS (
    SELECT key::uuid AS id, value::uuid AS token FROM jsonb_each_text(p_leases)
  ), mine AS (
    SELECT j.id FROM agentapp_job j JOIN held ON held.id = j.id AND held.token = j.lease_token
     WHERE j.state = 'running' AND (own IS NULL OR j.queue = ANY(own)) ORDER BY j.id FOR UPDATE OF j SKIP LOCKED
  )
  UPDATE agentapp_job j SET lease_expires_at = clock_timestamp() + make_interval(secs => p_lease_s)
    FROM mine WHERE j.id = mine.id;
  SELECT coalesce(jsonb_object_agg(held.key, j.state), '{}') INTO gone
    FROM jsonb_each_text(p_leases) held JOIN agentapp_job j ON j.id = held.key::uuid
   WHERE j.lease_token IS DISTINCT FROM held.value::uuid;
  INSERT INTO agentapp_worker AS w (id, name, pool, slots, queues, counts, jobs, started_at, seen_at, draining_at,
                                    is_direct)
  SELECT p_process, p_name, p_pool, p_slots, moves_0010.served(p_queues), p_counts,
         (SELECT count(*) FROM jsonb_object_keys(p_leases)), clock_timestamp(), clock_timestamp(),
         CASE WHEN p_draining THEN clock_timestamp() END, p_backend_pid = pg_backend_pid()
  ON CONFLICT (id) DO UPDATE SET
    jobs = EXCLUDED.jobs, counts = EXCLUDED.counts, seen_at = EXCLUDED.seen_at, is_direct = EXCLUDED.is_direct,
    draining_at = coalesce(w.draining_at, EXCLUDED.draining_at)
    -- A worker says nothing of another class's process.
    WHERE own IS NULL OR w.queues::text[] <@ own;
  RETURN jsonb_build_object('gone', gone, 'waits', EXISTS (SELECT 1 FROM agentapp_limit WHERE holds));
END $$;

-- Keep what an attempt has come to, for the next one. Only the owner of the lease may.
CREATE OR REPLACE FUNCTION moves_0010.checkpoint(p_job uuid, p_token uuid, p_checkpoint jsonb, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM moves_0010.check_class(p_job);
  UPDATE agentapp_job SET checkpoint = p_checkpoint
   WHERE id = p_job AND lease_token = p_token AND state = 'running';
  RETURN jsonb_build_object('status', CASE WHEN FOUND THEN 'ok' ELSE 'lost' END,
                            'state', (SELECT state FROM agentapp_job WHERE id = p_job));
END $$;

-- For how many seconds Postgres has been up. It waits for the tables that a heartbeat writes and reads: while somebody has
-- locked one of them whole, no process can say that it lives.
CREATE OR REPLACE FUNCTION moves_0010.postgres_uptime(p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  LOCK TABLE agentapp_job, agentapp_worker IN ROW EXCLUSIVE MODE;
  LOCK TABLE agentapp_limit IN ACCESS SHARE MODE;
  RETURN jsonb_build_object('seconds', extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()));
END $$;

-- Processes that hold leases and no longer hold their advisory lock, each with its leases as they are now, and for how
-- long it has not been seen. Of a process behind a connection pooler no lock tells anything: it is silent when it was not
-- seen for p_unseen_s seconds. Read from pg_locks, not tried: a lock that the dispatcher took for a moment could be missed
-- by its owner.
CREATE OR REPLACE FUNCTION moves_0010.silent_processes(p_unseen_s float, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT coalesce(jsonb_object_agg(found.process, jsonb_build_object('leases', found.leases, 'unseen_s', found.unseen_s)), '{}')
    FROM (
    SELECT j.process, jsonb_object_agg(j.id, j.lease_expires_at) AS leases,
           extract(epoch FROM coalesce(p_now, clock_timestamp()) - max(w.seen_at)) AS unseen_s
      FROM agentapp_job j LEFT JOIN agentapp_worker w ON w.id = j.process
     WHERE j.state = 'running' AND j.process IS NOT NULL
       AND CASE WHEN w.is_direct IS FALSE
                THEN w.seen_at < coalesce(p_now, clock_timestamp()) - make_interval(secs => p_unseen_s)
                ELSE NOT EXISTS (
                  SELECT 1 FROM pg_locks l
                   WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                     AND (l.classid::bigint << 32 | l.objid::bigint) = j.process) END
     GROUP BY j.process) found
$$;

-- Which model a job calls. People change it in rows, which are read when a worker takes the job.

-- The choice of a model that holds for a tenant and a job type: null where there is none, or where the job type asks no chat
-- model. A row of the tenant goes before one of all tenants, and then a row of the job type before one of all job types.
CREATE OR REPLACE FUNCTION moves_0010.choice_of(p_tenant bigint, p_type text, p_asking text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_type = ANY(p_asking) THEN
    RETURN (
      SELECT to_jsonb(c) - '{note,updated_at}'::text[] FROM agentapp_modelchoice c
       WHERE (c.tenant_id = p_tenant OR c.tenant_id IS NULL) AND c.job_type IN (p_type, '')
       ORDER BY c.tenant_id IS NULL, c.job_type = '' LIMIT 1);
  END IF;
  RETURN NULL;
END $$;

-- Whether calls of a model would fail now, or wait for longer than a moment: it is paused, its breaker is open, or its provider
-- asked to be left alone. That its gate is full is no such thing.
CREATE OR REPLACE FUNCTION moves_0010.is_model_out(p_name text, p_now timestamptz) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (
    SELECT 1 FROM agentapp_limit WHERE key = 'model:' || p_name
       AND (mode = 'paused' OR breaker <> 'closed' AND closed_until > p_now OR closed_until > p_now + interval '10 seconds'));
END $$;

-- The name under which the gates count the calls of a choice now: its model, or its fallback while that one is out. Null: there
-- is no choice.
CREATE OR REPLACE FUNCTION moves_0010.chosen_model(p_choice jsonb, p_now timestamptz) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_choice ->> 'fallback_limit_name' <> '' AND moves_0010.is_model_out(p_choice ->> 'limit_name', p_now)
     AND NOT moves_0010.is_model_out(p_choice ->> 'fallback_limit_name', p_now) THEN
    RETURN p_choice ->> 'fallback_limit_name';
  END IF;
  RETURN p_choice ->> 'limit_name';
END $$;

-- The model that a worker calls for a job that it takes: what was chosen, else what the worker itself is set to, else what the
-- plan froze.
CREATE OR REPLACE FUNCTION moves_0010.model_of(j agentapp_job, p_taker moves_0010.taker, p_now timestamptz) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce(moves_0010.chosen_model(p_taker.choice, p_now), p_taker.models ->> j.type, j.model);
END $$;

-- The names of the limits of models that jobs may need, with those of fallbacks.
CREATE OR REPLACE FUNCTION moves_0010.model_keys(p_choice jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  SELECT ARRAY(SELECT 'model:' || name FROM unnest(ARRAY[p_choice ->> 'limit_name', p_choice ->> 'fallback_limit_name']) name
                WHERE name <> '')
$$;

-- running -> running: an attempt goes on with another model, if that one's gate lets it pass. `tokens` were charged to it,
-- and `budgeted` is as in moves_0010.claimed: a job that called none has not been told.
CREATE OR REPLACE FUNCTION moves_0010.switch_model(p_job uuid, p_token uuid, p_model text, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  j agentapp_job;
  l agentapp_limit;
  tokens int;
  blocker jsonb;
  budgeted boolean;
BEGIN
  PERFORM moves_0010.check_class(p_job);
  -- What a crash forgets is a count that is one too low until the attempt ends.
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND lease_token = p_token AND state = 'running' FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost', 'state', (SELECT state FROM agentapp_job WHERE id = p_job));
  END IF;
  budgeted := moves_0010.is_budgeted(j.tenant_id);
  tokens := coalesce((SELECT tokens_each FROM agentapp_limit WHERE key = 'job_type:' || j.type), 0);
  IF j.model = p_model THEN
    -- The answer of an earlier call of mine was lost: it is counted there, and charged.
    RETURN jsonb_build_object('status', 'ok', 'tokens', tokens, 'budgeted', budgeted);
  END IF;
  PERFORM moves_0010.ensure_limits(ARRAY['model:' || p_model]);
  SELECT * INTO l FROM agentapp_limit WHERE key = 'model:' || p_model FOR NO KEY UPDATE;
  -- Counted and charged behind the lock, in a statement of its own and at a moment of its own.
  moment := moves_0010.moment(p_now);
  blocker := moves_0010.blocker(l, (SELECT count(*) FROM agentapp_job WHERE state = 'running' AND model = p_model AND id <> j.id),
                           tokens, j.priority = 0, true, moment);
  IF blocker IS NOT NULL THEN
    -- One that called none waits there from its next claim on.
    UPDATE agentapp_job SET model = p_model WHERE id = j.id AND model = '';
    RETURN jsonb_build_object('status', 'blocked', 'blocker', blocker);
  END IF;
  PERFORM moves_0010.charge(ARRAY[l.key], tokens, j.timeout_s, moment);
  UPDATE agentapp_job SET model = p_model WHERE id = j.id;
  RETURN jsonb_build_object('status', 'ok', 'tokens', tokens, 'budgeted', budgeted);
END $$;

-- Gates: how many may run at once, and how fast. What refuses a job is also what explains why it waits.

-- The keys that a job is held to: one for each scope that concerns it. Sending a webhook is work of the platform's: it takes
-- nothing of what its tenant may use, and a tenant that drains is still told of what ends.
CREATE OR REPLACE FUNCTION moves_0010.keys(p_queue text, p_type text, p_tenant bigint, p_model text, p_tool text)
RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  SELECT ARRAY['global', 'job_type:' || p_type, 'queue:' || p_queue]
      || CASE WHEN p_queue <> 'webhooks' THEN ARRAY['tenant:' || p_tenant::text] ELSE '{}' END
      || CASE WHEN p_model <> '' THEN ARRAY['model:' || p_model, 'budget:' || p_tenant::text] ELSE '{}' END
      || CASE WHEN p_tool <> '' THEN ARRAY['tool:' || p_tool] ELSE '{}' END
$$;

-- Whether a key has anything to say at a claim; if not, its row is not locked.
CREATE OR REPLACE FUNCTION moves_0010.is_gated(l agentapp_limit, p_now timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT l.concurrency IS NOT NULL OR l.request_s IS NOT NULL OR l.token_s IS NOT NULL OR l.mode <> 'open'
      OR l.breaker <> 'closed' OR coalesce(l.closed_until > p_now, false)
$$;

-- Whether a key limits how many run, and says nothing else.
CREATE OR REPLACE FUNCTION moves_0010.is_plain(l agentapp_limit) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT l.concurrency IS NOT NULL AND l.request_s IS NULL AND l.token_s IS NULL AND l.mode = 'open' AND l.breaker = 'closed'
     AND l.closed_until IS NULL
$$;

-- Write into the rows of these keys (all keys that are known, without any) what their gates say, in the order of the keys,
-- where it is something else. One after the other with all who do the same: else a gate that is not committed yet would be
-- missing from a key that somebody makes meanwhile.
CREATE OR REPLACE FUNCTION moves_0010.resolve_gates(p_keys text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  l agentapp_limit;
  g agentapp_gate;
BEGIN
  PERFORM pg_advisory_xact_lock(26465, 29797);  -- "ga", "te"
  FOR l IN SELECT * FROM agentapp_limit WHERE p_keys IS NULL OR key = ANY(p_keys) ORDER BY key LOOP
    SELECT * INTO g FROM agentapp_gate
     WHERE scope = l.scope
       AND l.name LIKE replace(replace(replace(pattern, '\', '\\'), '_', '\_'), '*', '%')
       AND (tier = '' OR l.scope IN ('tenant', 'budget')
                         AND tier = (SELECT t.tier FROM agentapp_tenant t WHERE l.scope || ':' || t.id = l.key))
     ORDER BY pattern = l.name DESC, length(pattern) DESC, tier DESC LIMIT 1;
    UPDATE agentapp_limit x SET
      gate_id = n.gate_id, concurrency = n.concurrency, reserved = n.reserved, max_waiting = n.max_waiting,
      request_s = n.request_s, request_burst = n.request_burst,
      request_at = CASE WHEN n.request_s IS NOT NULL THEN x.request_at END,
      token_s = n.token_s, token_burst = n.token_burst, token_at = CASE WHEN n.token_s IS NOT NULL THEN x.token_at END,
      tokens_per_day = n.tokens_per_day, cost_usd_per_day = n.cost_usd_per_day,
      -- Another budget for the day: the next call tells whether it is used up.
      closed_until = CASE WHEN x.scope <> 'budget' THEN x.closed_until END
     FROM (SELECT g.id AS gate_id, g.tokens_per_day, g.cost_usd_per_day, g.concurrency, coalesce(g.reserved, 0) AS reserved, g.max_waiting,
                  60 / g.requests_per_min AS request_s, 60 / g.tokens_per_min AS token_s,
                  greatest(1, coalesce(nullif(g.request_burst, 0), ceil(g.requests_per_min / 30), 1))::int AS request_burst,
                  greatest(1, coalesce(nullif(g.token_burst, 0), ceil(g.tokens_per_min / 6), 1))::int AS token_burst) n
    WHERE x.key = l.key
      AND (x.gate_id, x.concurrency, x.reserved, x.max_waiting, x.request_s, x.request_burst, x.token_s, x.token_burst,
           x.tokens_per_day, x.cost_usd_per_day)
          IS DISTINCT FROM (n.gate_id, n.concurrency, n.reserved, n.max_waiting, n.request_s, n.request_burst, n.token_s,
                            n.token_burst, n.tokens_per_day, n.cost_usd_per_day);
  END LOOP;
END $$;

-- Make the rows of those of these keys that were never used before.
CREATE OR REPLACE FUNCTION moves_0010.ensure_limits(p_keys text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  fresh text[] := ARRAY(SELECT k FROM unnest(p_keys) k WHERE NOT EXISTS (SELECT 1 FROM agentapp_limit WHERE key = k));
BEGIN
  INSERT INTO agentapp_limit (key, scope, name, reserved, request_burst, token_burst, slowdown, breaker, calls, failures,
                              opens, mode, mode_by, mode_reason, holds, slots, waiting, per_s, run_s, tokens_each)
  SELECT k, split_part(k, ':', 1),
         CASE WHEN k = 'global' THEN 'global'
              WHEN k LIKE 'tenant:%' OR k LIKE 'budget:%'
              THEN coalesce((SELECT slug FROM agentapp_tenant WHERE id = split_part(k, ':', 2)::bigint), k)
              ELSE substr(k, strpos(k, ':') + 1) END,
         0, 1, 1, 1, 'closed', 0, 0, 0, 'open', '', '', false, 0, 0, 0, 0, 0
    FROM unnest(fresh) k ORDER BY k
  ON CONFLICT (key) DO NOTHING;
  PERFORM moves_0010.resolve_gates(fresh);
END $$;

CREATE OR REPLACE FUNCTION moves_0010.ensure_keys(p_keys text[], p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM moves_0010.ensure_limits(p_keys);
  RETURN '{}';
END $$;

-- The moment at which a meter lets the next one pass, by the generic cell rate algorithm: `p_at` is the theoretical
-- arrival time, `p_each_s` what the next one adds to it, `p_burst_s` how far ahead of time it may be after that.
CREATE OR REPLACE FUNCTION moves_0010.passes_at(
  p_at timestamptz, p_each_s float, p_burst_s float, p_now timestamptz
) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT greatest(coalesce(p_at, p_now), p_now) + make_interval(secs => p_each_s - greatest(p_burst_s, p_each_s))
$$;

-- What is in the way of a job at one key: null, or a reason with the moment at which it may be over.
CREATE OR REPLACE FUNCTION moves_0010.blocker(
  l agentapp_limit, p_running bigint, p_tokens int, p_urgent boolean, p_begun boolean, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  why text;
  until timestamptz;
  cap int := l.concurrency - CASE WHEN p_urgent THEN 0 ELSE l.reserved END;
BEGIN
  IF l.mode = 'paused' OR l.mode = 'draining' AND NOT p_begun THEN
    RETURN jsonb_build_object('type', 'gate', 'scope', l.scope, 'name', l.name, 'why', l.mode, 'by', l.mode_by,
                              'reason', l.mode_reason, 'since', l.mode_at);
  ELSIF l.closed_until > p_now THEN
    RETURN jsonb_build_object('type', 'gate', 'scope', l.scope, 'name', l.name, 'until', l.closed_until,
                              'why', CASE WHEN l.scope = 'budget' THEN 'budget' WHEN l.breaker = 'closed' THEN 'provider'
                                          ELSE 'breaker' END);
  ELSIF p_running >= cap THEN
    RETURN jsonb_build_object('type', 'gate', 'scope', l.scope, 'name', l.name, 'why', 'concurrency', 'limit', cap,
                              'running', p_running);
  END IF;
  IF l.request_s IS NOT NULL THEN
    until := moves_0010.passes_at(l.request_at, l.request_s * l.slowdown, l.request_burst * l.request_s * l.slowdown, p_now);
    why := CASE WHEN until > p_now THEN 'requests' END;
  END IF;
  IF why IS NULL AND l.token_s IS NOT NULL THEN
    until := moves_0010.passes_at(l.token_at, p_tokens * l.token_s * l.slowdown, l.token_burst * l.token_s * l.slowdown,
                                   p_now);
    why := CASE WHEN until > p_now THEN 'tokens' END;
  END IF;
  RETURN CASE WHEN why IS NOT NULL THEN
    jsonb_build_object('type', 'gate', 'scope', l.scope, 'name', l.name, 'why', why, 'until', until,
                       'limit', round((60 / coalesce(CASE why WHEN 'tokens' THEN l.token_s ELSE l.request_s END, 1)
                                       / l.slowdown)::numeric, 2)) END;
END $$;

-- Passing gates: what runs is counted behind their locks.

-- What runs of the kinds that a job belongs to, by scope; with p_published, what is published too; null: nothing is counted.
CREATE OR REPLACE FUNCTION moves_0010.count_busy(
  p_type text, p_tenant bigint, p_model text, p_tool text, p_published boolean,
  OUT global bigint, OUT job_type bigint, OUT tenant bigint, OUT model bigint, OUT tool bigint
) LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_published IS NULL THEN
    SELECT 0, 0, 0, 0, 0 INTO global, job_type, tenant, model, tool;
  ELSIF p_published THEN
    SELECT count(*), count(*) FILTER (WHERE b.type = p_type),
           count(*) FILTER (WHERE b.tenant_id = p_tenant AND b.queue <> 'webhooks'),
           count(*) FILTER (WHERE b.model = p_model), count(*) FILTER (WHERE b.tool = p_tool)
      INTO global, job_type, tenant, model, tool
      FROM (SELECT r.queue, r.type, r.tenant_id, r.model, r.tool FROM agentapp_job r WHERE r.state = 'running'
             UNION ALL
            SELECT r.queue, r.type, r.tenant_id, r.model, r.tool FROM agentapp_job r
             WHERE r.state = 'available' AND r.published_at IS NOT NULL AND r.publishes < moves_0010.unclaimed_after()) b;
  ELSE
    SELECT count(*), count(*) FILTER (WHERE r.type = p_type),
           count(*) FILTER (WHERE r.tenant_id = p_tenant AND r.queue <> 'webhooks'),
           count(*) FILTER (WHERE r.model = p_model), count(*) FILTER (WHERE r.tool = p_tool)
      INTO global, job_type, tenant, model, tool FROM agentapp_job r WHERE r.state = 'running';
  END IF;
END $$;

CREATE OR REPLACE FUNCTION moves_0010.busy_of_scope(
  p_scope text, p_global bigint, p_job_type bigint, p_tenant bigint, p_model bigint, p_tool bigint
) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_scope WHEN 'global' THEN p_global WHEN 'job_type' THEN p_job_type WHEN 'tenant' THEN p_tenant
                      WHEN 'model' THEN p_model WHEN 'tool' THEN p_tool ELSE 0 END
$$;

-- Lock the gates of all jobs of a list in the order of their keys, and only then count what runs, in a statement of its own:
-- it sees every claim that was committed before the last lock was got. [E1] INV5
-- Returns how many of the jobs pass without asking a gate at length, because all that runs would fit each of these limits;
-- null: nothing of theirs is gated, or locked. (Each job by itself would lock its gates crosswise with another list's.)
CREATE OR REPLACE FUNCTION moves_0010.lock_gates(p_jobs agentapp_job[], p_choices jsonb[], p_taker moves_0010.taker) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves_0010.moment(p_taker.now);
  keys text[] := ARRAY(
    SELECT DISTINCT unnest(moves_0010.keys(j.queue, j.type, j.tenant_id, coalesce(p_taker.models ->> j.type, j.model), j.tool)
                           || moves_0010.model_keys(p_choices[j.ordinality]))
      FROM unnest(p_jobs) WITH ORDINALITY j);
  known int;
  gated text[];
  free bigint;
BEGIN
  SELECT count(*), array_agg(x.key) FILTER (WHERE moves_0010.is_gated(x, moment)) INTO known, gated
    FROM agentapp_limit x WHERE x.key = ANY(keys);
  IF known < cardinality(keys) THEN
    PERFORM moves_0010.ensure_limits(keys);
    gated := keys;
  END IF;
  IF gated IS NOT NULL THEN
    SELECT coalesce(min(locked.free), 0) INTO free FROM (
      SELECT CASE WHEN moves_0010.is_plain(x) THEN x.concurrency - x.reserved ELSE 0 END AS free
        FROM agentapp_limit x WHERE x.key = ANY(gated) AND moves_0010.is_gated(x, moment)
      ORDER BY x.key FOR NO KEY UPDATE) locked;
    IF free > 0 THEN
      free := free - (SELECT count(*) FROM agentapp_job WHERE state = 'running');
    END IF;
  END IF;
  RETURN free;
END $$;

-- Let a job pass all of its gates, or none of them. [E1] [E2] INV5
--
-- `blockers` is null when it passed, and its share of every meter is taken; else all that is in its way. With p_take its
-- gates are locked already, by moves_0010.lock_gates; without it nothing is taken: that is an explanation.
CREATE OR REPLACE FUNCTION moves_0010.pass_gates(
  j agentapp_job, p_priority int, p_begun boolean, p_take boolean, p_now timestamptz, OUT blockers jsonb, OUT tokens int
) LANGUAGE plpgsql AS $$
DECLARE
  keys text[] := moves_0010.keys(j.queue, j.type, j.tenant_id, j.model, j.tool);
  gated boolean;
  counted boolean;
  metered boolean;
  busy record;
BEGIN
  SELECT bool_or(moves_0010.is_gated(x, p_now)), bool_or(x.concurrency IS NOT NULL), max(x.tokens_each)
    INTO gated, counted, tokens FROM agentapp_limit x WHERE x.key = ANY(keys);
  IF NOT coalesce(gated, false) THEN
    RETURN;
  END IF;
  busy := moves_0010.count_busy(j.type, j.tenant_id, j.model, j.tool, CASE WHEN counted THEN false END);
  -- Only limits that may stop it are asked at length.
  SELECT jsonb_agg(h.why ORDER BY h.key), bool_or(h.metered) INTO blockers, metered FROM (
    SELECT x.key, x.request_s IS NOT NULL OR x.token_s IS NOT NULL OR x.breaker <> 'closed' AS metered,
           moves_0010.blocker(x, b.n, tokens, p_priority = 0, p_begun, p_now) AS why
      FROM agentapp_limit x, LATERAL (SELECT moves_0010.busy_of_scope(
             x.scope, busy.global, busy.job_type, busy.tenant, busy.model, busy.tool) AS n) b
     WHERE x.key = ANY(keys) AND moves_0010.is_gated(x, p_now)
       AND NOT (moves_0010.is_plain(x) AND x.concurrency - x.reserved > b.n)) h;
  blockers := nullif(jsonb_path_query_array(blockers, '$[*] ? (@ != null)'), '[]');
  IF p_take AND metered AND blockers IS NULL THEN
    PERFORM moves_0010.charge(keys, tokens, j.timeout_s, p_now);
  END IF;
END $$;

-- Take a share of every meter of these keys. An open breaker whose time is over lets one through and waits for what becomes
-- of it.
CREATE OR REPLACE FUNCTION moves_0010.charge(p_keys text[], p_tokens int, p_timeout_s int, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_limit SET
    request_at = greatest(coalesce(request_at, p_now), p_now) + make_interval(secs => request_s * slowdown),
    token_at = greatest(coalesce(token_at, p_now), p_now) + make_interval(secs => p_tokens * token_s * slowdown),
    closed_until = CASE WHEN breaker <> 'closed' THEN p_now + make_interval(secs => p_timeout_s) ELSE closed_until END,
    breaker = CASE breaker WHEN 'open' THEN 'half_open' ELSE breaker END
   WHERE key = ANY(p_keys) AND (request_s IS NOT NULL OR token_s IS NOT NULL OR breaker <> 'closed');
END $$;

-- Whether a worker that has ended a job with the keys p_done may go on with p_next in the same settle: when its slots pass
-- from one to the other, so that no row of a gate need be locked while the settle waits for the disk. [one global gate must
-- not become the ceiling]
CREATE OR REPLACE FUNCTION moves_0010.may_follow(p_done text[], p_next agentapp_job, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  keys text[] := moves_0010.keys(p_next.queue, p_next.type, p_next.tenant_id, p_next.model, p_next.tool);
  known int;
  most int;
  is_held boolean;
  busy record;
BEGIN
  SELECT count(*), min(x.concurrency), bool_and(x.key = ANY(p_done) AND moves_0010.is_plain(x)) FILTER (WHERE moves_0010.is_gated(x, p_now))
    INTO known, most, is_held FROM agentapp_limit x WHERE x.key = ANY(keys);
  IF known < cardinality(keys) THEN
    PERFORM moves_0010.ensure_limits(keys);
    RETURN moves_0010.may_follow(p_done, p_next, p_now);
  ELSIF is_held IS NOT TRUE OR most > (SELECT count(*) FROM agentapp_job WHERE state = 'running') THEN
    RETURN coalesce(is_held, true);
  END IF;
  -- The limit may have been lowered since.
  busy := moves_0010.count_busy(p_next.type, p_next.tenant_id, p_next.model, p_next.tool, false);
  RETURN NOT EXISTS (
    SELECT 1 FROM agentapp_limit x
     WHERE x.key = ANY(keys) AND x.concurrency <= moves_0010.busy_of_scope(
             x.scope, busy.global, busy.job_type, busy.tenant, busy.model, busy.tool));
END $$;

-- What is published at once, and what a job that ends leaves free.

-- How many of n jobs that become available together are published at once. The others wait as rows: where others wait
-- already, behind a gate, or because the broker holds enough. A lone job is let try its gates at the claim.
CREATE OR REPLACE FUNCTION moves_0010.room(
  p_queue text, p_type text, p_tenant bigint, p_model text, p_tool text, p_n int, p_begun boolean, p_now timestamptz
) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RETURN moves_0010.room_of(moves_0010.keys(p_queue, p_type, p_tenant, p_model, p_tool), p_type, p_tenant, p_model, p_tool, p_n, p_begun,
                       p_now);
END $$;

-- The same by some of their keys.
CREATE OR REPLACE FUNCTION moves_0010.room_of(
  keys text[], p_type text, p_tenant bigint, p_model text, p_tool text, p_n int, p_begun boolean, p_now timestamptz
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  room int;
  counted boolean;
  busy record;
BEGIN
  IF p_n > 1 AND (SELECT count(*) FROM agentapp_limit WHERE key = ANY(keys)) < cardinality(keys) THEN
    PERFORM moves_0010.ensure_limits(keys);
  END IF;
  SELECT CASE
           WHEN bool_or(holds OR mode = 'paused' OR mode = 'draining' AND NOT p_begun
                        OR breaker <> 'closed' OR closed_until > p_now) THEN 0
           WHEN p_n = 1 THEN 1
           -- The dispatcher knows how to read a meter.
           WHEN bool_or(request_s IS NOT NULL OR token_s IS NOT NULL) THEN 0
           ELSE least(p_n, coalesce(max(runway), CASE WHEN bool_or(scope = 'queue') THEN 64 END)) END,
         bool_or(concurrency IS NOT NULL)
    INTO room, counted FROM agentapp_limit x WHERE x.key = ANY(keys);
  room := coalesce(room, p_n);
  IF room > 1 AND counted THEN
    busy := moves_0010.count_busy(p_type, p_tenant, p_model, p_tool, true);
    room := greatest(0, least(room, (
      SELECT min(x.concurrency - x.reserved
                 - moves_0010.busy_of_scope(x.scope, busy.global, busy.job_type, busy.tenant, busy.model, busy.tool))
        FROM agentapp_limit x WHERE x.key = ANY(keys))));
  END IF;
  RETURN room;
END $$;

-- Whether somebody waits for what a job that has ended held.
CREATE OR REPLACE FUNCTION moves_0010.is_awaited(j agentapp_job) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
  keys text[] := moves_0010.keys(j.queue, j.type, j.tenant_id, j.model, j.tool);
BEGIN
  RETURN EXISTS (SELECT 1 FROM agentapp_limit WHERE key = ANY(keys) AND holds);
END $$;

-- Admission: the moves that publish what there is room for, and what a decision leaves behind.

-- Publish the oldest of these lanes: mark them and return what to publish, each with what follows it.
--
-- p_lanes: [[queue, tenant, priority, type, count, class]], the class being the priority with which it is published.
-- p_asking: as in a moves_0010.taker.
-- A row that is busy is passed over. A mark that a crash forgets is a job that still queues, and a message that wakes it:
-- nothing waits for the disk.
CREATE OR REPLACE FUNCTION moves_0010.admit(p_lanes jsonb, p_asking text[] DEFAULT NULL, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves_0010.moment(p_now);
  l jsonb;
  chosen text;
  found jsonb;
  admitted jsonb := '[]';
  draining boolean := EXISTS (SELECT 1 FROM agentapp_limit WHERE mode = 'draining');
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  FOR l IN SELECT value FROM jsonb_array_elements(p_lanes) LOOP
    chosen := moves_0010.chosen_model(moves_0010.choice_of((l ->> 1)::bigint, l ->> 3, p_asking), moment);
    WITH oldest AS (
      SELECT id FROM agentapp_job j
       WHERE state = 'available' AND published_at IS NULL AND queue = l ->> 0 AND tenant_id = (l ->> 1)::bigint
         AND priority = (l ->> 2)::int AND type = l ->> 3 AND NOT (draining AND moves_0010.is_kept_back(j, chosen))
       ORDER BY workflow_id, id LIMIT (l ->> 4)::int FOR NO KEY UPDATE SKIP LOCKED
    ), marked AS (
      UPDATE agentapp_job j SET published_at = moment, publishes = 1, priority = (l ->> 5)::int,
             model = coalesce(chosen, model)
        FROM oldest WHERE j.id = oldest.id
      RETURNING moves_0010.link(j) AS link, j.workflow_id, j.id
    )
    SELECT jsonb_agg(jsonb_build_object('opened', jsonb_build_array(m.link), 'state', w.state,
                                        'tail', moves_0010.tail(w.id, w.position)) ORDER BY m.workflow_id, m.id)
      INTO found FROM marked m JOIN agentapp_workflow w ON w.id = m.workflow_id;
    admitted := admitted || coalesce(found, '[]');
  END LOOP;
  RETURN jsonb_build_object('admitted', admitted);
END $$;

-- Write down what a decision leaves behind: which keys somebody waits for, and how much the broker may hold of a queue.
-- p_holds: {key: bool}, p_runways: {queue: int}. Apart from the jobs that are admitted, and without waiting: a row that a
-- claim holds is written after the next look, and so no order of locks matters here.
CREATE OR REPLACE FUNCTION moves_0010.set_holds(p_holds jsonb, p_runways jsonb, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  WITH free AS (
    SELECT key FROM agentapp_limit
     WHERE key IN (SELECT jsonb_object_keys(p_holds) UNION SELECT 'queue:' || jsonb_object_keys(p_runways))
     ORDER BY key FOR NO KEY UPDATE SKIP LOCKED)
  UPDATE agentapp_limit l
     SET holds = coalesce((p_holds ->> l.key)::boolean, holds),
         runway = CASE WHEN l.scope = 'queue' THEN coalesce((p_runways ->> l.name)::int, runway) ELSE runway END
    FROM free WHERE free.key = l.key;
  RETURN '{}';
END $$;

-- Published jobs that were overtaken for too long are published once more, one class more urgent: a queue whose urgent
-- list never empties would starve the others.
CREATE OR REPLACE FUNCTION moves_0010.promote(p_after_s float, p_limit int, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves_0010.moment(p_now);
  promoted jsonb;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  WITH overtaken AS (
    SELECT id FROM agentapp_job
     WHERE state = 'available' AND priority > 0 AND published_at < moment - make_interval(secs => p_after_s)
     ORDER BY id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
  ), marked AS (
    UPDATE agentapp_job j SET priority = priority - 1, published_at = moment, publishes = least(publishes + 1, 1000)
      FROM overtaken WHERE j.id = overtaken.id
      RETURNING moves_0010.link(j) AS link, j.workflow_id, j.id, j.tenant_id
  ), turns AS (
    -- Tenants take turns, as they did when these were admitted: by age alone, the many of one stand before the few of another.
    SELECT m.*, row_number() OVER (PARTITION BY m.tenant_id ORDER BY m.id) AS turn FROM marked m
  )
  SELECT jsonb_agg(jsonb_build_object('opened', jsonb_build_array(t.link), 'state', w.state,
                                      'tail', moves_0010.tail(w.id, w.position)) ORDER BY t.turn, t.id)
    INTO promoted FROM turns t JOIN agentapp_workflow w ON w.id = t.workflow_id;
  RETURN jsonb_build_object('admitted', coalesce(promoted, '[]'));
END $$;

-- What waits, as {key: {n, oldest}}: tasks of each tenant and of all, jobs of each queue.
CREATE OR REPLACE FUNCTION moves_0010.waiting_counts() RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    -- In two parts, each of which has an index: together they would be read from all jobs there are.
    WITH available AS (
      SELECT queue, count(*) AS n, min(available_at) AS oldest FROM agentapp_job
       WHERE state = 'available' AND published_at IS NULL GROUP BY queue
      UNION ALL
      SELECT queue, count(*), min(available_at) FROM agentapp_job
       WHERE state = 'available' AND published_at IS NOT NULL GROUP BY queue
    ), tasks AS (
      SELECT tenant_id, count(*) AS n FROM agentapp_workflow WHERE state = 'pending' AND origin IN ('client', 'schedule') GROUP BY 1
    ), waiting AS (
      SELECT 'tenant:' || tenant_id AS key, n, NULL::timestamptz AS oldest FROM tasks
      UNION ALL SELECT 'global', coalesce(sum(n), 0), NULL FROM tasks
      UNION ALL SELECT 'queue:' || queue, sum(n), min(oldest) FROM available GROUP BY queue
    )
    SELECT jsonb_object_agg(key, jsonb_build_object('n', n, 'oldest', oldest)) FROM waiting);
END $$;

-- Count what waits, and keep how fast it begins: p_per_s {key: float}, p_run_s {job type: float}, p_slots {queue: int}, as
-- the workers have measured them. Counted first, then written: no row of a gate is locked while a long backlog is read.
CREATE OR REPLACE FUNCTION moves_0010.measure(p_per_s jsonb, p_run_s jsonb, p_slots jsonb, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves_0010.moment(p_now);
  counts jsonb;
  fresh record;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  counts := moves_0010.waiting_counts();
  -- Row by row in the order of the keys, and only what is news: claims lock such rows too.
  FOR fresh IN
    SELECT n.* FROM agentapp_limit l CROSS JOIN LATERAL (
      SELECT l.key, coalesce((counts -> l.key ->> 'n')::int, 0) AS n, (counts -> l.key ->> 'oldest')::timestamptz AS oldest,
             coalesce((p_per_s ->> l.key)::float, l.per_s) AS per_s,
             CASE WHEN l.scope = 'job_type' THEN coalesce((p_run_s ->> l.name)::float, l.run_s) ELSE 0 END AS run_s,
             CASE WHEN l.scope = 'queue' THEN coalesce((p_slots ->> l.name)::int, 0) ELSE 0 END AS slots,
             -- A provider that asked for less is trusted with more again, little by little.
             CASE WHEN l.slowed_at < moment - interval '30 seconds' THEN greatest(1, l.slowdown * 0.98) ELSE l.slowdown END
               AS slowdown) n
     WHERE (l.waiting, l.oldest_at, l.per_s, l.run_s, l.slots, l.slowdown)
           IS DISTINCT FROM (n.n, n.oldest, n.per_s, n.run_s, n.slots, n.slowdown)
     ORDER BY l.key
  LOOP
    -- A claim may hold it, or somebody in psql: the next count tells.
    PERFORM 1 FROM agentapp_limit WHERE key = fresh.key FOR NO KEY UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT FOUND;
    UPDATE agentapp_limit SET
      waiting = fresh.n, oldest_at = fresh.oldest, per_s = fresh.per_s, run_s = fresh.run_s, slots = fresh.slots,
      slowdown = CASE WHEN slowed_at < moment - interval '30 seconds' THEN fresh.slowdown ELSE slowdown END
     WHERE key = fresh.key;
  END LOOP;
  RETURN '{}';
END $$;

-- What waits, and what there is room for.

-- Whether a key that drains keeps a job back: its task has not begun. p_chosen: the model that was chosen for it.
CREATE OR REPLACE FUNCTION moves_0010.is_kept_back(j agentapp_job, p_chosen text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT 1 FROM agentapp_limit WHERE mode = 'draining'
                    AND key = ANY(moves_0010.keys(j.queue, j.type, j.tenant_id, coalesce(p_chosen, j.model), j.tool)))
     AND (SELECT state FROM agentapp_workflow WHERE id = j.workflow_id) = 'pending';
END $$;

-- The first jobs of a lane: for how long each has waited, its model, tool and task. Null: there is none.
CREATE OR REPLACE FUNCTION moves_0010.heads(
  p_queue text, p_tenant bigint, p_priority int, p_type text, p_shown int, p_draining boolean, p_asking text[],
  p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  chosen text := moves_0010.chosen_model(moves_0010.choice_of(p_tenant, p_type, p_asking), p_now);
BEGIN
  RETURN (
    SELECT jsonb_agg(jsonb_build_array(
             round(extract(epoch FROM p_now - coalesce(h.available_at, p_now))::numeric, 3), coalesce(chosen, h.model), h.tool, h.workflow_id))
      FROM (
        SELECT j.available_at, j.model, j.tool, j.workflow_id FROM agentapp_job j
         WHERE j.state = 'available' AND j.published_at IS NULL AND j.queue = p_queue
           AND j.tenant_id = p_tenant AND j.priority = p_priority AND j.type = p_type
           -- Who is kept back is not shown, and so blocks nobody behind it.
           AND NOT (p_draining AND moves_0010.is_kept_back(j, chosen))
         ORDER BY j.workflow_id, j.id LIMIT p_shown) h);
END $$;

-- The lanes of the backlog, each with its first jobs and how many were to be shown.
CREATE OR REPLACE FUNCTION moves_0010.lanes(p_heads int, p_asking text[], p_now timestamptz) RETURNS jsonb[] LANGUAGE plpgsql STABLE AS $$
DECLARE
  -- An array: a jsonb that grows is copied for each lane.
  lanes jsonb[] := '{}';
  found record;
  heads jsonb;
  shown int;
  draining boolean := EXISTS (SELECT 1 FROM agentapp_limit WHERE mode = 'draining');
BEGIN
  FOR found IN
    WITH RECURSIVE lane AS (
      (SELECT queue, tenant_id, priority, type FROM agentapp_job WHERE state = 'available' AND published_at IS NULL
        ORDER BY queue, tenant_id, priority, type LIMIT 1)
      UNION ALL
      SELECT n.* FROM lane CROSS JOIN LATERAL (
        SELECT j.queue, j.tenant_id, j.priority, j.type FROM agentapp_job j
         WHERE j.state = 'available' AND j.published_at IS NULL
           AND (j.queue, j.tenant_id, j.priority, j.type) > (lane.queue, lane.tenant_id, lane.priority, lane.type)
         ORDER BY j.queue, j.tenant_id, j.priority, j.type LIMIT 1) n),
    queues AS MATERIALIZED (
      -- The runway as it was decided last; what is published of a queue is counted once, not for each lane.
      SELECT q.queue, q.lanes, coalesce(x.runway, 64) - (
               SELECT count(*) FROM agentapp_job k WHERE k.state = 'available' AND k.published_at IS NOT NULL
                  AND k.publishes < moves_0010.unclaimed_after() AND k.queue = q.queue) AS room
        FROM (SELECT queue, count(*) AS lanes FROM lane GROUP BY queue) q
        LEFT JOIN agentapp_limit x ON x.key = 'queue:' || q.queue)
    SELECT lane.*, queues.lanes AS beside, queues.room FROM lane JOIN queues USING (queue)
  LOOP
    shown := least(p_heads, greatest(2, 4 * coalesce(found.room, 64) / found.beside)) + 1;
    heads := moves_0010.heads(found.queue, found.tenant_id, found.priority, found.type, shown, draining, p_asking, p_now);
    CONTINUE WHEN heads IS NULL;
    lanes := array_append(lanes, jsonb_build_array(
      found.queue, found.tenant_id, found.priority, found.type, heads, shown - 1));
  END LOOP;
  RETURN lanes;
END $$;

-- The limits that have something to say. Of what there is one of for each tenant, model and tool: those that somebody waits
-- for.
CREATE OR REPLACE FUNCTION moves_0010.limits_shown(p_keys text[], p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT coalesce(jsonb_agg(jsonb_build_object(
             'key', l.key, 'concurrency', l.concurrency, 'reserved', l.reserved,
             'request_s', l.request_s * l.slowdown, 'request_burst', l.request_burst,
             'request_ahead_s', extract(epoch FROM l.request_at - p_now),
             'token_s', l.token_s * l.slowdown, 'token_burst', l.token_burst,
             'token_ahead_s', extract(epoch FROM l.token_at - p_now), 'tokens_each', l.tokens_each,
             'mode', l.mode, 'breaker', l.breaker, 'closed_s', extract(epoch FROM l.closed_until - p_now),
             'holds', l.holds, 'runway', l.runway, 'per_s', l.per_s)), '[]')
      FROM agentapp_limit l
     WHERE (moves_0010.is_gated(l, p_now) OR l.holds OR l.tokens_each > 0 OR l.scope = 'queue')
       AND (l.scope NOT IN ('tenant', 'budget', 'model', 'tool') OR l.holds OR l.key IN (SELECT unnest(p_keys))));
END $$;

-- What admission is decided on: the lanes of the backlog with the jobs of their oldest tasks, what runs or is published,
-- every limit that has something to say, the shares of tenants, and which queues each kind of living worker serves.
--
-- A lane is (queue, tenant, priority, type): found by walking along the index from one to the next, whatever their number
-- of jobs. p_heads: how many jobs of a lane are shown at most (and one more, to tell that there are others); fewer where
-- the queue has little room for many lanes. p_alive_s: for how long a silent worker counts. p_asking: as in a moves_0010.taker.
CREATE OR REPLACE FUNCTION moves_0010.backlog(
  p_heads int, p_alive_s float, p_asking text[] DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  moment timestamptz := moves_0010.moment(p_now);
  lanes jsonb[] := moves_0010.lanes(p_heads, p_asking, moment);
  -- Looked up through a subquery: a list is read for each limit.
  keys text[];
BEGIN
  keys := ARRAY(
    SELECT scope || (l ->> 1) FROM unnest(lanes) l, unnest(ARRAY['tenant:', 'budget:']) scope
     UNION SELECT 'model:' || (h ->> 1) FROM unnest(lanes) l, jsonb_array_elements(l -> 4) h WHERE h ->> 1 <> ''
     UNION SELECT 'tool:' || (h ->> 2) FROM unnest(lanes) l, jsonb_array_elements(l -> 4) h WHERE h ->> 2 <> '');
  RETURN jsonb_build_object(
    'now', moment, 'lanes', to_jsonb(lanes),
    'busy', (SELECT coalesce(jsonb_agg(jsonb_build_array(b.queue, b.tenant_id, b.type, b.model, b.tool, b.running, b.published)), '[]')
               FROM (SELECT u.queue, u.tenant_id, u.type, u.model, u.tool, sum(u.running) AS running, sum(u.published) AS published
                       FROM (SELECT queue, tenant_id, type, model, tool, 1 AS running, 0 AS published
                               FROM agentapp_job WHERE state = 'running'
                              UNION ALL
                             SELECT queue, tenant_id, type, model, tool, 0, 1 FROM agentapp_job
                              WHERE state = 'available' AND published_at IS NOT NULL
                                AND publishes < moves_0010.unclaimed_after()) u
                      GROUP BY 1, 2, 3, 4, 5) b),
    'limits', moves_0010.limits_shown(keys, moment),
    -- Parked: it has no place in the backlog before its time, but others of its kind wait behind it.
    'parked', (SELECT coalesce(jsonb_agg(jsonb_build_array(k.queue, k.tenant_id, k.type, k.model, k.tool)), '[]')
                 FROM (SELECT DISTINCT queue, tenant_id, type, model, tool FROM agentapp_job
                        WHERE state = 'scheduled' AND NOT moves_0010.is_held(blocked_by)) k),
    'weights', (SELECT coalesce(jsonb_object_agg(id, weight), '{}') FROM agentapp_tenant
                 WHERE weight <> 1 AND 'tenant:' || id IN (SELECT unnest(keys))),
    'served', (SELECT coalesce(jsonb_agg(s.queues), '[]') FROM (
                 SELECT DISTINCT to_jsonb(w.queues) AS queues FROM agentapp_worker w
                  WHERE w.seen_at > moment - make_interval(secs => p_alive_s) AND w.draining_at IS NULL) s));
END $$;

-- Jobs that wait until a moment that a gate named, and need not wait any more.

-- Whether a limit that these jobs are held to would make them wait until a moment now. What else would stop them, they wait
-- for in the backlog.
CREATE OR REPLACE FUNCTION moves_0010.is_put_off(p_keys text[], p_now timestamptz) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
  tokens int := (SELECT max(tokens_each) FROM agentapp_limit WHERE key = ANY(p_keys));
BEGIN
  RETURN EXISTS (
    SELECT 1 FROM agentapp_limit l WHERE l.key = ANY(p_keys) AND moves_0010.is_gated(l, p_now)
       AND moves_0010.blocker(l, 0, tokens, true, true, p_now) ->> 'until' IS NOT NULL);
END $$;

-- Make parked jobs due of which nothing would stop a claim until a moment: another model was chosen, a person has resumed the
-- key or changed its gate, the provider has answered somebody else. Their kinds are looked at, not each of them.
CREATE OR REPLACE FUNCTION moves_0010.wake_parked(p_asking text[], p_limit int, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves_0010.moment(p_now);
  n int;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  WITH kinds AS MATERIALIZED (
    SELECT DISTINCT queue, type, tenant_id, model, tool FROM agentapp_job WHERE state = 'scheduled' AND scheduled_at > moment
       AND NOT moves_0010.is_held(blocked_by)
  ), free AS MATERIALIZED (
    SELECT * FROM kinds k
     WHERE NOT moves_0010.is_put_off(moves_0010.keys(k.queue, k.type, k.tenant_id, coalesce(
             moves_0010.chosen_model(moves_0010.choice_of(k.tenant_id, k.type, p_asking), moment), k.model), k.tool), moment)
  ), woken AS (
    SELECT j.id FROM agentapp_job j JOIN free f USING (queue, type, tenant_id, model, tool)
     WHERE j.state = 'scheduled' AND j.scheduled_at > moment AND NOT moves_0010.is_held(j.blocked_by)
     ORDER BY j.scheduled_at LIMIT p_limit FOR NO KEY UPDATE OF j SKIP LOCKED)
  UPDATE agentapp_job j SET scheduled_at = moment FROM woken WHERE j.id = woken.id AND j.state = 'scheduled';
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN jsonb_build_object('woken', n);
END $$;

-- Jobs that wait for a model of a choice that is gone, and have none now, wait for the model of their plan again. p_models:
-- the names that the choice gave; p_tenant, p_type: whom it was for.
CREATE OR REPLACE FUNCTION moves_0010.forget_choice(
  p_models text[], p_tenant bigint, p_type text, p_asking text[], p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  WITH left_over AS (
    SELECT j.id FROM agentapp_job j
     WHERE (j.state = 'available' AND j.published_at IS NULL OR j.state IN ('scheduled', 'retryable'))
       AND j.model = ANY(p_models) AND j.type = ANY(p_asking) AND (p_type = '' OR j.type = p_type)
       AND (p_tenant IS NULL OR j.tenant_id = p_tenant) AND moves_0010.choice_of(j.tenant_id, j.type, p_asking) IS NULL
       FOR NO KEY UPDATE SKIP LOCKED)
  UPDATE agentapp_job j SET model = coalesce(s.spec ->> 'model', '')
    FROM left_over, agentapp_stage s WHERE j.id = left_over.id AND s.id = j.stage_id;
  RETURN '{}';
END $$;

-- What the models of a tenant may use in a day: reserved before a call, settled after it.

-- Reserve what a call may use at most, for so many seconds. [C5]
--
-- p_call: the id of the call, under which it is settled; p_cost_usd: null where the price is not known. `status`: ok; wait:
-- it does not fit beside what others have reserved, for `wait_s` seconds at most; used up: it does not fit into the rest of
-- this day, and the gate of the budget is closed until the next one; too large: it fits into no day; unpriced: there is a budget
-- of money, and nobody knows what the call costs.
CREATE OR REPLACE FUNCTION moves_0010.reserve_spending(
  p_tenant bigint, p_call uuid, p_tokens bigint, p_cost_usd numeric, p_seconds float, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves_0010.moment(p_now);
  budget agentapp_limit;
  used agentapp_tenantday;
  others record;
  next_day timestamptz := date_trunc('day', moment, 'UTC') + interval '1 day';
BEGIN
  -- A reservation that a crash forgets was for a call of a process that has lost its connection too.
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT * INTO budget FROM agentapp_limit WHERE key = 'budget:' || p_tenant;
  IF budget.tokens_per_day IS NULL AND budget.cost_usd_per_day IS NULL THEN
    RETURN '{"status": "ok"}';
  ELSIF budget.cost_usd_per_day IS NOT NULL AND p_cost_usd IS NULL THEN
    RETURN '{"status": "unpriced"}';
  END IF;
  IF moves_0010.exceeds(budget, p_tokens, p_cost_usd) THEN
    RETURN jsonb_build_object('status', 'too large', 'tokens', budget.tokens_per_day, 'cost_usd', budget.cost_usd_per_day);
  END IF;
  used := moves_0010.day_of(p_tenant, moment);
  SELECT coalesce(sum(tokens), 0) AS tokens, coalesce(sum(cost_usd), 0) AS cost_usd,
         extract(epoch FROM min(expires_at) - moment) AS wait_s INTO others
    FROM agentapp_reservation WHERE day_id = used.id AND expires_at > moment AND id <> p_call;
  IF moves_0010.exceeds(budget, used.tokens + p_tokens, used.cost_usd + coalesce(p_cost_usd, 0)) THEN
    PERFORM moves_0010.close_budget(budget, next_day, moment);
    RETURN jsonb_build_object('status', 'used up', 'until', next_day, 'tokens', used.tokens, 'cost_usd', used.cost_usd);
  ELSIF moves_0010.exceeds(budget, used.tokens + others.tokens + p_tokens,
                      used.cost_usd + others.cost_usd + coalesce(p_cost_usd, 0)) THEN
    RETURN jsonb_build_object('status', 'wait', 'wait_s', others.wait_s);
  END IF;
  INSERT INTO agentapp_reservation (id, day_id, tokens, cost_usd, expires_at)
  VALUES (p_call, used.id, p_tokens, coalesce(p_cost_usd, 0), moment + make_interval(secs => p_seconds))
  ON CONFLICT (id) DO NOTHING;
  RETURN '{"status": "ok"}';
END $$;

-- Whether the models of a tenant have a budget of the day.
CREATE OR REPLACE FUNCTION moves_0010.is_budgeted(p_tenant bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT 1 FROM agentapp_limit WHERE key = 'budget:' || p_tenant
                    AND (tokens_per_day IS NOT NULL OR cost_usd_per_day IS NOT NULL));
END $$;

CREATE OR REPLACE FUNCTION moves_0010.exceeds(p_budget agentapp_limit, p_tokens numeric, p_cost_usd numeric) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(p_tokens > p_budget.tokens_per_day, false) OR coalesce(p_cost_usd > p_budget.cost_usd_per_day, false)
$$;

-- Lock what a tenant has used in the day of a moment. Made with the first call of a day that is held to a budget, from what
-- was called before without one.
CREATE OR REPLACE FUNCTION moves_0010.day_of(p_tenant bigint, p_now timestamptz) RETURNS agentapp_tenantday LANGUAGE plpgsql AS $$
DECLARE
  found agentapp_tenantday;
  today date := (p_now AT TIME ZONE 'UTC')::date;
BEGIN
  SELECT * INTO found FROM agentapp_tenantday d WHERE d.tenant_id = p_tenant AND d.day = today FOR NO KEY UPDATE;
  IF found.id IS NULL THEN
    INSERT INTO agentapp_tenantday (tenant_id, day, tokens, cost_usd)
    SELECT p_tenant, today, coalesce(sum(c.prompt_tokens + c.completion_tokens), 0), coalesce(sum(c.cost_usd), 0)
      FROM agentapp_modelcall c
     -- Ids begin with their time: only calls of this day are read.
     WHERE c.id >= moves_0010.first_id(date_trunc('day', p_now, 'UTC')) AND c.tenant_id = p_tenant
       AND c.started_at >= date_trunc('day', p_now, 'UTC')
    ON CONFLICT (tenant_id, day) DO NOTHING;
    SELECT * INTO found FROM agentapp_tenantday d WHERE d.tenant_id = p_tenant AND d.day = today FOR NO KEY UPDATE;
  END IF;
  RETURN found;
END $$;

-- Count for the day what was called while no budget held, such as between two gates: a row says at least what the calls of its
-- day say. What was counted of a call whose use nobody knows stays.
CREATE OR REPLACE FUNCTION moves_0010.recount_days(p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  start timestamptz := date_trunc('day', moves_0010.moment(p_now), 'UTC');
  today date := (start AT TIME ZONE 'UTC')::date;
  days int;
BEGIN
  PERFORM 1 FROM agentapp_tenantday WHERE day = today ORDER BY id FOR NO KEY UPDATE;
  UPDATE agentapp_tenantday d
     SET tokens = greatest(d.tokens, c.tokens), cost_usd = greatest(d.cost_usd, c.cost_usd)
    FROM (SELECT tenant_id, sum(prompt_tokens + completion_tokens) AS tokens, sum(cost_usd) AS cost_usd
            FROM agentapp_modelcall WHERE id >= moves_0010.first_id(start) AND started_at >= start GROUP BY tenant_id) c
   WHERE d.day = today AND c.tenant_id = d.tenant_id;
  GET DIAGNOSTICS days = ROW_COUNT;
  RETURN jsonb_build_object('days', days);
END $$;

-- The first id (UUID version 7) of a moment.
CREATE OR REPLACE FUNCTION moves_0010.first_id(p_at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- The tenant's jobs that call models wait until the next day, or for another budget. Not if it has become another one since.
CREATE OR REPLACE FUNCTION moves_0010.close_budget(b agentapp_limit, p_until timestamptz, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_limit SET closed_until = p_until
   WHERE key = b.key AND closed_until IS DISTINCT FROM p_until
     AND (tokens_per_day, cost_usd_per_day) IS NOT DISTINCT FROM (b.tokens_per_day, b.cost_usd_per_day);
  IF FOUND THEN
    PERFORM moves_0010.record_gate_change(b.key, 'used up', NULL, jsonb_build_object('closed_until', p_until), 'budget',
                                     'the budget of the day is used up', p_now);
  END IF;
END $$;

-- A call is over: what it has used takes the place of what it had reserved, once; null: nobody knows, so all of that. A call of
-- a process that was taken for dead is counted too.
CREATE OR REPLACE FUNCTION moves_0010.settle_spending(p_call uuid, p_tokens bigint, p_cost_usd numeric, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r agentapp_reservation;
BEGIN
  SELECT * INTO r FROM agentapp_reservation WHERE id = p_call;
  -- Locked before the reservation goes, in the order of moves_0010.reserve_spending.
  PERFORM 1 FROM agentapp_tenantday WHERE id = r.day_id FOR NO KEY UPDATE;
  DELETE FROM agentapp_reservation WHERE id = p_call;
  IF FOUND THEN
    UPDATE agentapp_tenantday
       SET tokens = tokens + coalesce(p_tokens, r.tokens), cost_usd = cost_usd + coalesce(p_cost_usd, r.cost_usd)
     WHERE id = r.day_id;
  END IF;
  RETURN '{}';
END $$;

-- Why a job waits.

-- Why these jobs wait, by the function that refuses them; with who holds the slots, and when one should be free. A job that
-- no gate stops waits in its queue: behind how many of its tenant, and until when about.
CREATE OR REPLACE FUNCTION moves_0010.explain(p_jobs uuid[], p_asking text[] DEFAULT NULL, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  moment timestamptz := moves_0010.moment(p_now);
  j agentapp_job;
  w agentapp_workflow;
  b jsonb;
  found jsonb;
  answer jsonb := '{}';
BEGIN
  FOR j IN SELECT * FROM agentapp_job WHERE id = ANY(p_jobs)
            AND state IN ('available', 'scheduled') ORDER BY id LOOP
    SELECT * INTO w FROM agentapp_workflow WHERE id = j.workflow_id;
    j.model := coalesce(moves_0010.chosen_model(moves_0010.choice_of(j.tenant_id, j.type, p_asking), moment), j.model);
    found := '[]';
    FOR b IN SELECT value FROM jsonb_array_elements(coalesce(
               (SELECT blockers FROM moves_0010.pass_gates(j, w.priority, w.state <> 'pending', false, moment)), '[]')) LOOP
      IF b ->> 'why' = 'concurrency' THEN
        b := b || moves_0010.slot_holders(j, b ->> 'scope', moment);
      END IF;
      found := found || b;
    END LOOP;
    IF found = '[]'::jsonb THEN
      found := jsonb_build_array(moves_0010.queue_position(j, moment));
    END IF;
    answer := answer || jsonb_build_object(j.id, found);
  END LOOP;
  RETURN answer;
END $$;

-- Who holds the slots of a scope that a job waits for, and when one should be free. Of other tenants only a number is told.
CREATE OR REPLACE FUNCTION moves_0010.slot_holders(j agentapp_job, p_scope text, p_now timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT jsonb_build_object(
             'holders', coalesce(jsonb_agg(jsonb_build_object('job', h.id, 'job_type', h.type, 'task', h.workflow_id,
               'since', h.started_at) ORDER BY h.started_at) FILTER (WHERE h.tenant_id = j.tenant_id AND h.place <= 5), '[]'),
             'held_by_others', count(*) FILTER (WHERE h.tenant_id <> j.tenant_id),
             'until', min(CASE WHEN t.run_s > 0
                              THEN greatest(p_now, h.started_at + make_interval(secs => t.run_s)) END))
      FROM (SELECT r.*, row_number() OVER (PARTITION BY r.tenant_id = j.tenant_id ORDER BY r.started_at) AS place
              FROM agentapp_job r
             WHERE r.state = 'running' AND CASE p_scope
               WHEN 'job_type' THEN r.type = j.type WHEN 'tenant' THEN r.tenant_id = j.tenant_id AND r.queue <> 'webhooks'
               WHEN 'model' THEN r.model = j.model WHEN 'tool' THEN r.tool = j.tool ELSE true END) h
      LEFT JOIN agentapp_limit t ON t.key = 'job_type:' || h.type);
END $$;

-- The place of a job in its queue among the jobs of its tenant that go first, counted up to a thousand, and when it should
-- begin: the tenant gets its share of what the queue begins in a second.
CREATE OR REPLACE FUNCTION moves_0010.queue_position(j agentapp_job, p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  ahead int;
  per_s float;
  share float;
BEGIN
  IF j.published_at IS NOT NULL AND j.publishes >= moves_0010.unclaimed_after() AND j.state = 'available' THEN
    RETURN jsonb_build_object('type', 'queue', 'queue', j.queue, 'since', j.available_at, 'why', 'not claimed',
                              'messages', j.publishes);
  ELSIF j.published_at IS NOT NULL OR j.state <> 'available' THEN
    RETURN jsonb_build_object('type', 'queue', 'queue', j.queue, 'since', j.available_at, 'position', 0);
  END IF;
  SELECT count(*) INTO ahead FROM (
    SELECT 1 FROM agentapp_job k
     WHERE k.state = 'available' AND k.published_at IS NULL AND k.queue = j.queue AND k.tenant_id = j.tenant_id
       AND (k.priority < j.priority OR k.priority = j.priority AND (k.workflow_id, k.id) < (j.workflow_id, j.id)) LIMIT 1000) x;
  SELECT l.per_s INTO per_s FROM agentapp_limit l WHERE l.key = 'queue:' || j.queue;
  SELECT t.weight / nullif((SELECT sum(o.weight) FROM agentapp_tenant o JOIN agentapp_limit l ON l.key = 'tenant:' || o.id
                             WHERE l.waiting > 0 OR o.id = t.id), 0)
    INTO share FROM agentapp_tenant t WHERE t.id = j.tenant_id;
  RETURN jsonb_build_object('type', 'queue', 'queue', j.queue, 'since', j.available_at, 'position', ahead + 1,
    'until', CASE WHEN per_s * share > 0 THEN p_now + make_interval(secs => (ahead + 1) / (per_s * share)) END);
END $$;

-- What the outside tells about its limits, what people say about keys, and why a job waits.

CREATE OR REPLACE FUNCTION moves_0010.record_gate_change(
  p_target text, p_action text, p_before jsonb, p_after jsonb, p_actor text, p_reason text, p_now timestamptz
) RETURNS void LANGUAGE sql AS $$
  INSERT INTO agentapp_gatechange (at, actor, action, target, before, after, reason)
  VALUES (p_now, p_actor, p_action, p_target, p_before, p_after, left(coalesce(p_reason, ''), 300))
$$;

-- What came of a call to a model or a tool. [E2] [E6]
--
-- p_outcome: ok | failed | limited | refused. p_tokens and p_requests had not been charged by the claim (tokens may be
-- negative: less was used than it reserved). p_closed_s: for how long the provider asks to be left alone. p_breaker:
-- {window_s, min_calls, share, open_s, longest_s}. p_used: the tokens that a body of p_job_type used.
CREATE OR REPLACE FUNCTION moves_0010.report(
  p_key text, p_outcome text, p_job_type text, p_tokens int, p_requests int, p_reason text, p_breaker jsonb,
  p_used int DEFAULT NULL, p_closed_s float DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves_0010.moment(p_now);
  l agentapp_limit;
  before text;
  closed timestamptz := moment + make_interval(secs => p_closed_s);
BEGIN
  -- A report that a crash forgets is a call that was not counted.
  PERFORM set_config('synchronous_commit', 'off', true);
  IF p_used IS NOT NULL THEN
    PERFORM moves_0010.average_tokens(p_job_type, p_used);
  END IF;
  SELECT * INTO l FROM agentapp_limit WHERE key = p_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'unknown');
  END IF;
  before := l.breaker;
  IF l.request_s IS NOT NULL THEN
    l.request_at := coalesce(l.request_at, moment) + make_interval(secs => l.request_s * l.slowdown * p_requests);
  END IF;
  IF l.token_s IS NOT NULL THEN
    l.token_at := coalesce(l.token_at, moment) + make_interval(secs => l.token_s * l.slowdown * p_tokens);
  END IF;
  IF closed > coalesce(l.closed_until, moment) AND l.breaker = 'closed' THEN
    l.closed_until := closed;
  END IF;
  IF p_outcome = 'limited' AND (l.slowed_at IS NULL OR l.slowed_at < moment - interval '1 second') THEN
    l := moves_0010.slow_down(l, p_reason, moment);
  ELSIF p_outcome IN ('ok', 'failed') THEN
    l := moves_0010.count_call(l, p_outcome = 'failed', p_breaker, p_reason, moment);
  END IF;
  UPDATE agentapp_limit SET
    request_at = l.request_at, token_at = l.token_at, closed_until = l.closed_until, slowdown = l.slowdown,
    slowed_at = l.slowed_at, window_at = l.window_at, calls = l.calls, failures = l.failures, breaker = l.breaker,
    opens = l.opens WHERE key = l.key;
  RETURN jsonb_build_object('status', 'ok', 'breaker', l.breaker, 'was', before);
END $$;

-- How many tokens a body of this type uses: the latest count for a fifth.
CREATE OR REPLACE FUNCTION moves_0010.average_tokens(p_job_type text, p_used int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_limit
     SET tokens_each = CASE WHEN tokens_each = 0 THEN p_used ELSE round(tokens_each * 0.8 + p_used * 0.2) END
   WHERE key = 'job_type:' || p_job_type;
END $$;

-- A provider asks for less: once for all calls that were refused together.
CREATE OR REPLACE FUNCTION moves_0010.slow_down(INOUT l agentapp_limit, p_reason text, p_now timestamptz) LANGUAGE plpgsql AS $$
BEGIN
  l.slowdown := least(8, l.slowdown * 1.25);
  l.slowed_at := p_now;
  PERFORM moves_0010.record_gate_change(l.key, 'slowed', NULL, jsonb_build_object('slowdown', round(l.slowdown::numeric, 2),
                                'closed_until', l.closed_until), 'provider', p_reason, p_now);
END $$;

-- Count a call that was answered, and open or close the breaker of its key; b is the p_breaker of moves_0010.report.
CREATE OR REPLACE FUNCTION moves_0010.count_call(
  INOUT l agentapp_limit, p_failed boolean, b jsonb, p_reason text, p_now timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
  before text := l.breaker;
BEGIN
  IF l.window_at IS NULL OR l.window_at < p_now - make_interval(secs => (b ->> 'window_s')::float) THEN
    l.window_at := p_now;
    l.calls := 0;
    l.failures := 0;
  END IF;
  l.calls := l.calls + 1;
  l.failures := l.failures + p_failed::int;
  IF NOT p_failed AND l.breaker <> 'closed' THEN
    -- The one that was let through, or one that had begun before: the other side answers again.
    l.breaker := 'closed';
    l.opens := 0;
    l.closed_until := NULL;
  ELSIF l.breaker = 'half_open' AND p_failed
        OR l.breaker = 'closed' AND l.calls >= (b ->> 'min_calls')::int AND l.failures >= l.calls * (b ->> 'share')::float THEN
    l.closed_until := p_now + make_interval(secs => least((b ->> 'longest_s')::float, (b ->> 'open_s')::float * 2 ^ least(l.opens, 20)));
    l.breaker := 'open';
    l.opens := l.opens + 1;
  END IF;
  IF l.breaker <> before THEN
    l.window_at := NULL;
    PERFORM moves_0010.record_gate_change(l.key, 'breaker ' || l.breaker, jsonb_build_object('breaker', before),
      jsonb_build_object('calls', l.calls, 'failures', l.failures, 'until', l.closed_until), 'breaker', p_reason, p_now);
  END IF;
END $$;

-- Pause, drain or resume a key. Resuming also closes a breaker and forgets what a provider asked for: a person knows
-- better.
CREATE OR REPLACE FUNCTION moves_0010.set_mode(
  p_key text, p_mode text, p_actor text, p_reason text, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves_0010.moment(p_now);
  l agentapp_limit;
BEGIN
  SELECT * INTO l FROM agentapp_limit WHERE key = p_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'unknown');
  ELSIF l.mode = p_mode AND (l.mode <> 'open' OR l.breaker = 'closed' AND l.closed_until IS NULL AND l.slowdown = 1) THEN
    RETURN jsonb_build_object('status', 'as before', 'mode', l.mode);
  END IF;
  UPDATE agentapp_limit SET
    mode = p_mode, mode_by = p_actor, mode_reason = left(coalesce(p_reason, ''), 300), mode_at = moment,
    breaker = CASE WHEN p_mode = 'open' THEN 'closed' ELSE breaker END,
    opens = CASE WHEN p_mode = 'open' THEN 0 ELSE opens END,
    closed_until = CASE WHEN p_mode = 'open' THEN NULL ELSE closed_until END,
    slowdown = CASE WHEN p_mode = 'open' THEN 1 ELSE slowdown END
   WHERE key = l.key;
  PERFORM moves_0010.record_gate_change(l.key, CASE p_mode WHEN 'open' THEN 'resumed' ELSE p_mode END,
    jsonb_build_object('mode', l.mode, 'breaker', l.breaker), jsonb_build_object('mode', p_mode),
    p_actor, p_reason, moment);
  RETURN jsonb_build_object('status', 'ok', 'mode', p_mode);
END $$;

-- The lease of the leading dispatcher, and what its sweeps look for.

-- Lead, or go on leading. p_epoch is null where it does not lead.
--
-- The lease is free when it has run out, or when the session over which its holder renewed it is gone: then its process,
-- or its connection, is gone too. Nobody waits for the row: while somebody else holds it, nobody can take the lead, so the
-- leader goes on. Where a replica became this database, that is noted first; p_lacks_nothing: it had all that was confirmed.
CREATE OR REPLACE FUNCTION moves_0010.lead(
  p_holder text, p_epoch bigint, p_lease_s float, p_report jsonb, p_backend_pid int, p_lacks_nothing boolean DEFAULT false,
  p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves_0010.moment(p_now);
  noted boolean := false;
  origin text := moves_0010.origin();
  l agentapp_dispatcherlease;
BEGIN
  IF origin = 'copy' THEN
    RETURN jsonb_build_object('epoch', p_epoch, 'leads', false, 'is_copy', true);
  ELSIF origin = 'promoted' THEN
    noted := moves_0010.note_promotion(p_lacks_nothing, moment);
  END IF;
  IF NOT EXISTS (SELECT 1 FROM agentapp_dispatcherlease WHERE id = 1) THEN
    INSERT INTO agentapp_dispatcherlease (id, expires_at) VALUES (1, moment) ON CONFLICT DO NOTHING;
  END IF;
  SELECT * INTO l FROM agentapp_dispatcherlease WHERE id = 1 FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    SELECT * INTO l FROM agentapp_dispatcherlease WHERE id = 1;
    RETURN jsonb_build_object('epoch', l.epoch, 'leads', l.holder = p_holder AND l.epoch = p_epoch, 'noted', noted);
  ELSIF l.holder = p_holder AND l.epoch = p_epoch THEN
    -- A renewal that a crash forgets only ends the lease early; a promotion is noted again.
    PERFORM set_config('synchronous_commit', 'off', true);
  ELSIF l.expires_at <= moment OR moves_0010.is_session_gone(l.session, l.renewed_at) THEN
    l.epoch := l.epoch + 1;
    l.led_since := moment;
    PERFORM moves_0010.know_database();
  ELSE
    RETURN jsonb_build_object('epoch', l.epoch, 'leads', false, 'noted', noted);
  END IF;
  UPDATE agentapp_dispatcherlease SET
    epoch = l.epoch, holder = p_holder, led_since = l.led_since, renewed_at = moment,
    expires_at = moment + make_interval(secs => p_lease_s), report = p_report,
    -- A pooler tells its clients numbers of its own; its sessions say nothing about them.
    session = CASE WHEN p_backend_pid = pg_backend_pid() THEN pg_backend_pid() END
   WHERE id = 1;
  RETURN jsonb_build_object('epoch', l.epoch, 'leads', true, 'noted', noted);
END $$;

CREATE OR REPLACE FUNCTION moves_0010.is_session_gone(p_session int, p_seen timestamptz) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN p_session IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM pg_stat_activity WHERE pid = p_session AND coalesce(backend_start, p_seen) <= p_seen);
END $$;

-- Free the lease, if it is still this holder's.
CREATE OR REPLACE FUNCTION moves_0010.resign(p_holder text, p_epoch bigint, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_dispatcherlease SET expires_at = renewed_at, session = NULL
   WHERE id = 1 AND holder = p_holder AND epoch = p_epoch;
  RETURN jsonb_build_object('status', CASE WHEN FOUND THEN 'ok' ELSE 'lost' END);
END $$;

-- Available jobs whose last message is older than p_after_s, the oldest p_limit of each queue and priority: these are
-- found by walking along the index.
CREATE OR REPLACE FUNCTION moves_0010.suspects(p_after_s float, p_limit int, p_but_not uuid[], p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  before timestamptz := moves_0010.moment(p_now) - make_interval(secs => p_after_s);
BEGIN
  RETURN (
    WITH RECURSIVE list AS (
      (SELECT queue, priority FROM agentapp_job WHERE state = 'available' AND published_at IS NOT NULL
        ORDER BY queue, priority LIMIT 1)
      UNION ALL
      SELECT n.* FROM list CROSS JOIN LATERAL (
        SELECT j.queue, j.priority FROM agentapp_job j
         WHERE j.state = 'available' AND j.published_at IS NOT NULL AND (j.queue, j.priority) > (list.queue, list.priority)
         ORDER BY j.queue, j.priority LIMIT 1) n)
    SELECT jsonb_build_object('jobs', coalesce(jsonb_agg(jsonb_build_object(
             'id', j.id, 'workflow_id', j.workflow_id, 'queue', j.queue, 'type', j.type, 'priority', j.priority,
             'publishes', j.publishes, 'published_at', j.published_at, 'available_at', j.available_at)
             ORDER BY j.queue, j.priority, j.published_at), '[]'))
      FROM list CROSS JOIN LATERAL (
        SELECT k.* FROM agentapp_job k
         WHERE k.state = 'available' AND k.published_at < before AND k.available_at < before
           AND k.queue = list.queue AND k.priority = list.priority AND NOT k.id = ANY(p_but_not)
         ORDER BY k.published_at LIMIT p_limit) j);
END $$;

-- Count another message of an available job, unless it was claimed or published meanwhile.
CREATE OR REPLACE FUNCTION moves_0010.publish_again(p_job uuid, p_publishes int, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves_0010.moment(p_now);
BEGIN
  -- The count is only for the back-off: it stops where its column ends.
  UPDATE agentapp_job SET publishes = least(publishes + 1, 1000), published_at = moment
   WHERE id = p_job AND state = 'available' AND publishes = p_publishes;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'refused');
  END IF;
  RETURN jsonb_build_object('status', 'ok') || moves_0010.remaining(p_job);
END $$;

-- Note when a worker is asked again to clean up after a cancelled job; without a moment nobody is, for the error that says
-- why. p_due is as it was seen.
CREATE OR REPLACE FUNCTION moves_0010.ask_clean_up(
  p_job uuid, p_due timestamptz, p_again timestamptz DEFAULT NULL, p_error jsonb DEFAULT NULL,
  p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_job SET clean_up_at = p_again, error = coalesce(p_error, error)
   WHERE id = p_job AND state = 'cancelled' AND clean_up_at = p_due;
  RETURN jsonb_build_object('status', CASE WHEN FOUND THEN 'ok' ELSE 'refused' END);
END $$;

-- After so many messages that were taken, and no claim, a job counts no longer as published: its workers do not know its
-- type (yet), and it must not stand in the runway, nor for a slot of a gate, in the place of others.
CREATE OR REPLACE FUNCTION moves_0010.unclaimed_after() RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT 3 $$;

-- available -> dead_lettered: its messages were taken for long enough, and no worker has claimed it.
-- p_publishes is as it was seen.
CREATE OR REPLACE FUNCTION moves_0010.give_up_unclaimed(
  p_workflow uuid, p_job uuid, p_actor text, p_publishes int, p_error jsonb, p_reason text,
  p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves_0010.task := moves_0010.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
  k agentapp_job;
BEGIN
  SELECT * INTO j FROM agentapp_job
   WHERE id = p_job AND workflow_id = t.id AND state = 'available' AND publishes = p_publishes FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN moves_0010.refused(t);
  END IF;
  k := moves_0010.entering(j, 'dead_lettered', t.now);
  k.error := p_error;
  t := moves_0010.move_job(t, j, k, p_reason, jsonb_build_object('error', k.error, 'messages', j.publishes));
  t := moves_0010.bury(t, (SELECT s FROM agentapp_stage s WHERE s.id = j.stage_id), j.type || ': ' || p_reason);
  RETURN moves_0010.saved(t);
END $$;

-- The search index follows the tasks. The functions that change it hold the row of its cursor, so that of two dispatchers
-- one does nothing. A crash that forgets their commit forgets the cursor with it.

-- A text for the parser of Postgres, which is left with nothing to interpret: a sign between words is a blank, so that
-- `example.org` is two words, and each character of a script without blanks is a word. policies/search.py reads what is
-- searched for in the same way.
CREATE OR REPLACE FUNCTION moves_0010.plain_words(p_text text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  -- (Not by translate(), which takes as long as all the rest.)
  plain text := regexp_replace(p_text, '[-!"#$%&''()*+,./:;<=>?@[\\\]^_`{|}~]', ' ', 'g');
BEGIN
  IF octet_length(plain) = char_length(plain) THEN
    RETURN plain;
  END IF;
  plain := regexp_replace(plain, '[\u0080-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u060c\u061b\u061f'
    '\u0964\u0965\u2000-\u206f\u2e00-\u2e7f\u3000-\u3004\u3008-\u303f\u3099-\u309c\u30a0\u30fb\uff00-\uff0f\uff1a-\uff20'
    '\uff3b-\uff40\uff5b-\uff65]', ' ', 'g');
  RETURN regexp_replace(
    plain, '([\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])', ' \1 ', 'g');
END $$;

-- The strings and numbers inside a value, without the names of its fields: `body` is not found in every task.
CREATE OR REPLACE FUNCTION moves_0010.texts(p_value jsonb, p_most int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN (SELECT left(string_agg(v #>> '{}', ' '), p_most)
            FROM jsonb_path_query(p_value, 'strict $.** ? (@.type() == "string" || @.type() == "number")') v);
END $$;

-- What a task is found by: its tenant, and the words of input, result, errors and labels. Cut, because a vector of words
-- holds a megabyte at most; the words of 120,000 characters are below that, whatever they are.
CREATE OR REPLACE FUNCTION moves_0010.words_of(t agentapp_workflow) RETURNS tsvector LANGUAGE plpgsql STABLE AS $$
DECLARE
  letters text;
BEGIN
  IF t.state = 'needs_attention' THEN
    letters := (SELECT string_agg(left(x.message, 2000), ' ') FROM (
      SELECT concat_ws(' ', j.error ->> 'class', j.error ->> 'message') AS message FROM agentapp_job j
       WHERE j.workflow_id = t.id AND j.state = 'dead_lettered' LIMIT 5) x);
  END IF;
  RETURN array_to_tsvector(ARRAY['tenant/' || t.tenant_id]) || to_tsvector('pg_catalog.simple', moves_0010.plain_words(concat_ws(' ',
    moves_0010.texts(t.input, 50000), moves_0010.texts(t.result, 50000), moves_0010.texts(t.error, 2000), letters,
    (SELECT string_agg(l.key || ' ' || l.value, ' ') FROM jsonb_each_text(t.labels) l))));
END $$;

-- Index these tasks as they are now, and return those of them that somebody has locked. Deliveries of webhooks are not
-- looked for.
CREATE OR REPLACE FUNCTION moves_0010.index_tasks(p_tasks uuid[]) RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
  free uuid[] := ARRAY(SELECT id FROM agentapp_workflow WHERE id = ANY(p_tasks) AND origin <> 'webhook'
                        ORDER BY id FOR KEY SHARE SKIP LOCKED);
BEGIN
  INSERT INTO agentapp_searchentry (workflow_id, words)
  SELECT w.id, moves_0010.words_of(w) FROM agentapp_workflow w WHERE w.id = ANY(free)
  ON CONFLICT (workflow_id) DO UPDATE SET words = excluded.words
   WHERE agentapp_searchentry.words IS DISTINCT FROM excluded.words;
  RETURN ARRAY(SELECT id FROM agentapp_workflow
                WHERE id = ANY(p_tasks) AND origin <> 'webhook' AND id <> ALL(free));
END $$;

-- Which tasks the search index takes next: what committed since its last look, read as the live list of tasks reads it
-- (events_live.py), then those from before.

-- Lock the row of the cursor; false while another dispatcher holds it. Where there is none, or it is of another database
-- (one that was restored), the index begins now, and all that is older follows.
CREATE OR REPLACE FUNCTION moves_0010.lock_search_cursor() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  c record;
BEGIN
  -- What a crash forgets of the index it forgets of the cursor too.
  PERFORM set_config('synchronous_commit', 'off', true);
  IF NOT EXISTS (SELECT 1 FROM agentapp_searchcursor WHERE id = 1) THEN
    INSERT INTO agentapp_searchcursor (id, seen, older_than, passed_over)
    VALUES (1, pg_current_snapshot()::text, 'ffffffff-ffff-ffff-ffff-ffffffffffff', '{}') ON CONFLICT DO NOTHING;
  END IF;
  SELECT * INTO c FROM agentapp_searchcursor WHERE id = 1 FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  IF pg_snapshot_xmax(c.seen::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot()) THEN
    UPDATE agentapp_searchcursor SET seen = pg_current_snapshot()::text, until = NULL, after_xid = NULL, after_task = NULL,
           older_than = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
     WHERE id = 1;
  END IF;
  RETURN true;
END $$;

-- Index up to p_limit tasks whose words may have changed. p_apart: only write them down as passed over, because they could
-- not be indexed together.
CREATE OR REPLACE FUNCTION moves_0010.index_changes(p_limit int, p_apart boolean, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  c record;
  found record;
  now_seen pg_snapshot;
  is_all boolean;
BEGIN
  IF NOT moves_0010.lock_search_cursor() THEN
    RETURN jsonb_build_object('status', 'ok', 'moved', 0);
  END IF;
  SELECT * INTO c FROM agentapp_searchcursor WHERE id = 1;
  IF cardinality(c.passed_over) >= 10000 THEN
    RETURN jsonb_build_object('status', 'ok', 'moved', 0, 'passed_over', c.passed_over);
  END IF;
  now_seen := coalesce(c.until::pg_snapshot, pg_current_snapshot());
  SELECT * INTO found FROM moves_0010.changed_tasks(c.seen::pg_snapshot, now_seen, c.after_xid::xid8, c.after_task, p_limit);
  is_all := found.count < p_limit;
  c.passed_over := c.passed_over || CASE WHEN p_apart THEN found.tasks ELSE moves_0010.index_tasks(found.tasks) END;
  UPDATE agentapp_searchcursor x SET
    seen = CASE WHEN is_all THEN now_seen::text ELSE x.seen END, until = CASE WHEN NOT is_all THEN now_seen::text END,
    after_xid = CASE WHEN NOT is_all THEN found.last_xid::text END,
    after_task = CASE WHEN NOT is_all THEN found.tasks[p_limit] END, passed_over = c.passed_over
   WHERE x.id = 1 AND (NOT is_all OR x.seen <> now_seen::text);
  RETURN jsonb_build_object('status', 'ok', 'moved', found.count, 'passed_over', c.passed_over);
END $$;

-- The first p_limit tasks that p_until sees to have changed and p_seen does not, behind a place; in order. Only changes by
-- which the words may be others.
CREATE OR REPLACE FUNCTION moves_0010.changed_tasks(
  p_seen pg_snapshot, p_until pg_snapshot, p_after_xid xid8, p_after_task uuid, p_limit int,
  OUT tasks uuid[], OUT last_xid xid8, OUT count int
) LANGUAGE plpgsql STABLE AS $$
BEGIN
  SELECT coalesce(array_agg(p.workflow_id ORDER BY p.xid, p.workflow_id), '{}'), max(p.xid), count(*)
    INTO tasks, last_xid, count
    FROM (SELECT DISTINCT e.xid, e.workflow_id FROM agentapp_history e
           WHERE e.noun <> 'job' AND e.noun = 'workflow' AND e.xid IS NOT NULL
             AND e.xid >= pg_snapshot_xmin(p_seen) AND e.xid < pg_snapshot_xmax(p_until)
             AND NOT pg_visible_in_snapshot(e.xid, p_seen) AND pg_visible_in_snapshot(e.xid, p_until)
             AND (p_after_xid IS NULL OR (e.xid, e.workflow_id) > (p_after_xid, p_after_task))
             AND (e.from_state IN ('', 'needs_attention')
                  OR e.to_state IN ('completed', 'failed', 'cancelled', 'needs_attention'))
           ORDER BY e.xid, e.workflow_id LIMIT p_limit) p;
END $$;

-- Index one task that was passed over. Waits for its row, and raises where it cannot be indexed.
CREATE OR REPLACE FUNCTION moves_0010.index_again(p_task uuid, p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF NOT moves_0010.lock_search_cursor() THEN
    RETURN jsonb_build_object('status', 'ok', 'moved', 0);
  END IF;
  PERFORM 1 FROM agentapp_workflow WHERE id = p_task FOR KEY SHARE;
  PERFORM moves_0010.index_tasks(ARRAY[p_task]);
  UPDATE agentapp_searchcursor SET passed_over = array_remove(passed_over, p_task) WHERE id = 1;
  RETURN jsonb_build_object('status', 'ok', 'moved', 1);
END $$;

-- Index the next p_limit tasks from before the index, the newest first. p_apart as above.
CREATE OR REPLACE FUNCTION moves_0010.index_older(p_limit int, p_apart boolean, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  c record;
  tasks uuid[];
BEGIN
  IF NOT moves_0010.lock_search_cursor() THEN
    RETURN jsonb_build_object('status', 'ok', 'moved', 0);
  END IF;
  SELECT * INTO c FROM agentapp_searchcursor WHERE id = 1;
  IF c.older_than IS NULL OR cardinality(c.passed_over) >= 10000 THEN
    RETURN jsonb_build_object('status', 'ok', 'moved', 0);
  END IF;
  tasks := ARRAY(SELECT id FROM agentapp_workflow WHERE id < c.older_than ORDER BY id DESC LIMIT p_limit);
  UPDATE agentapp_searchcursor SET
    passed_over = passed_over || CASE WHEN p_apart THEN tasks ELSE moves_0010.index_tasks(tasks) END,
    older_than = CASE WHEN cardinality(tasks) = p_limit THEN tasks[p_limit] END
   WHERE id = 1;
  RETURN jsonb_build_object('status', 'ok', 'moved', cardinality(tasks));
END $$;

DO $$
DECLARE
  move regprocedure;
  rule text;
BEGIN
  FOR move, rule IN
    SELECT p.oid, r FROM pg_proc p, unnest(ARRAY[
      'enable_seqscan = off', 'enable_hashjoin = off', 'enable_mergejoin = off', 'jit = off',
      'plan_cache_mode = force_generic_plan']) r
     WHERE p.pronamespace = 'moves_0010'::regnamespace AND p.provolatile = 'v'
       AND p.proargnames[p.pronargs] = 'p_now' AND p.pronargdefaults > 0
       AND p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'plpgsql')
  LOOP
    EXECUTE format('ALTER FUNCTION %s SET %s', move, rule);
  END LOOP;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA moves_0010 FROM PUBLIC;
DO $$
DECLARE
  move regprocedure;
  trusted text;
  path text := (SELECT string_agg(quote_ident(name), ', ') FROM unnest(current_schemas(false)) name);
BEGIN
  FOR move IN
    SELECT p.oid FROM pg_proc p
     WHERE p.pronamespace = 'moves_0010'::regnamespace
       AND (p.proargnames[p.pronargs] = 'p_now' AND p.pronargdefaults > 0 OR p.proname IN ('resolve_gates', 'origin'))
  LOOP
    EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, %s, pg_temp', move, path);
  END LOOP;
  FOR trusted IN
    SELECT quote_ident(rolname) FROM pg_roles
     WHERE rolname <> current_user AND NOT rolsuper AND rolname NOT LIKE 'pg\_%'
       AND has_table_privilege(rolname, 'agentapp_job', 'UPDATE')
  LOOP
    EXECUTE format('GRANT USAGE ON SCHEMA moves_0010 TO %s', trusted);
    EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA moves_0010 TO %s', trusted);
  END LOOP;
END $$;
