-- A job moves: from one row to the next.

-- A job as a message names it; `held`: it waits as a row until the dispatcher publishes it.
CREATE OR REPLACE FUNCTION moves.link(j agentapp_job) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object('id', j.id, 'type', j.type, 'queue', j.queue, 'priority', j.priority,
                            'held', j.state = 'available' AND j.published_at IS NULL)
$$;

-- A job as it is when it has entered a state: nobody holds it, it waits for nothing, no message of it counts. What is
-- more to be said of that state the caller says.
CREATE OR REPLACE FUNCTION moves.entering(INOUT j agentapp_job, p_state text, p_now timestamptz) LANGUAGE plpgsql AS $$
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
-- (moves.end_jobs cancels many.) Its checkpoint is the attempt's own to write, and goes with the last of them.
CREATE OR REPLACE FUNCTION moves.move_job(
  INOUT t moves.task, j agentapp_job, k agentapp_job, p_reason text, p_data jsonb DEFAULT NULL
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
  t := moves.note(t, 'job', j.id, j.state, k.state, p_reason, p_data);
END $$;

-- Write down how the attempt of a running job ended. Its id is the token of its lease.
CREATE OR REPLACE FUNCTION moves.end_attempt(j agentapp_job, p_outcome text, p_error jsonb, p_now timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_attempt (id, job_id, number, replay, worker, in_place, started_at, finished_at, outcome, error_class,
                                error_message, trace)
  VALUES (j.lease_token, j.id, j.attempt, j.replay, j.worker, j.publishes = 0, j.started_at, p_now, p_outcome,
          coalesce(p_error ->> 'class', ''), coalesce(p_error ->> 'message', ''), coalesce(p_error ->> 'trace', ''));
END $$;

-- A job as its worker gets it. What is too large for the buffers of a socket is left out (`apart`) and read without
-- locks: a client that does not read its answer would hold the gates until it does. `choice`: see moves.choice_of;
-- `budgeted`: its tenant has a budget of the day, which its calls of models must ask.
CREATE OR REPLACE FUNCTION moves.claimed(t moves.task, j agentapp_job, p_choice jsonb DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
  answer jsonb;
BEGIN
  answer := jsonb_build_object(
    'id', j.id, 'workflow', t.id, 'root', coalesce(t.root, t.id), 'tenant', t.tenant_id, 'kind', t.kind, 'type', j.type,
    'queue', j.queue, 'model', j.model, 'tool', j.tool, 'token', j.lease_token, 'attempt', j.attempt, 'replay', j.replay, 'max_attempts', j.max_attempts,
    'timeout_s', j.timeout_s, 'payload', j.payload, 'checkpoint', j.checkpoint, 'choice', p_choice,
    'budgeted', CASE WHEN j.model <> '' THEN moves.is_budgeted(t.tenant_id) END,
    'traceparent', nullif(t.traceparent, ''), 'links', CASE WHEN coalesce(t.root, t.continues) IS NOT NULL THEN moves.linked_traces(t) END);
  RETURN CASE WHEN pg_column_size(answer) <= 65536 THEN answer ELSE moves.apart(answer) END;
END $$;

-- What everything of a task hangs below in its trace; policies.traceparent says the same.
CREATE OR REPLACE FUNCTION moves.traceparent(p_task uuid, p_given text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_given <> '' THEN p_given
         ELSE format('00-%s-%s-01', replace(p_task::text, '-', ''), right(replace(p_task::text, '-', ''), 16)) END
$$;

-- The traces of the first task of a line of forks, and of the one whose conversation a task goes on with.
CREATE OR REPLACE FUNCTION moves.linked_traces(t moves.task) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_agg(moves.traceparent(w.id, w.traceparent) ORDER BY w.id) FROM agentapp_workflow w
   WHERE w.id IN (t.root, t.continues)
$$;

CREATE OR REPLACE FUNCTION moves.apart(p_claimed jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT p_claimed - '{payload,checkpoint}'::text[] || '{"apart": true}'
$$;

-- The answers of a list, as many as fit into the buffers of a socket: of the largest, payloads are left out.
CREATE OR REPLACE FUNCTION moves.within_buffers(p_answers jsonb[]) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF pg_column_size(p_answers) <= 65536 THEN
    RETURN to_jsonb(p_answers);
  END IF;
  RETURN (
    SELECT jsonb_agg(CASE
             WHEN pg_column_size(a) <= 65536 / cardinality(p_answers) THEN a
             WHEN a ? 'payload' THEN moves.apart(a)
             WHEN a -> 'taken' ? 'payload' THEN jsonb_set(a, '{taken}', moves.apart(a -> 'taken'))
             ELSE a END ORDER BY n)
      FROM unnest(p_answers) WITH ORDINALITY AS u(a, n));
END $$;

-- The payload and the checkpoint of a job, for the owner of its lease.
CREATE OR REPLACE FUNCTION moves.payload(p_job uuid, p_token uuid, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  PERFORM moves.check_class(p_job);
  RETURN coalesce((
    SELECT jsonb_build_object('payload', payload, 'checkpoint', checkpoint) FROM agentapp_job
     WHERE id = p_job AND lease_token = p_token AND state = 'running'), '{"status": "lost"}');
END $$;

-- Plan the jobs of stages that have exactly one, as pending: a canvas can then name them before they are due.
CREATE OR REPLACE FUNCTION moves.plan_jobs(INOUT t moves.task, p_first int, p_last int) LANGUAGE plpgsql AS $$
DECLARE
  n int;
BEGIN
  INSERT INTO agentapp_job (id, workflow_id, stage_id, tenant_id, type, queue, model, tool, state, part, priority,
                            attempt, max_attempts, timeout_s, worker, publishes)
  SELECT moves.uuid7(), t.id, s.id, t.tenant_id, s.job_type, s.spec ->> 'queue', coalesce(s.spec ->> 'model', ''),
         coalesce(s.spec ->> 'tool', ''), 'pending', 0, t.priority, 0, (s.spec ->> 'max_attempts')::int,
         (s.spec ->> 'timeout_s')::int, '', 0
    FROM agentapp_stage s
   WHERE s.workflow_id = t.id AND s.kind = 'job' AND s.position BETWEEN p_first AND p_last
   ORDER BY s.position;
  GET DIAGNOSTICS n = ROW_COUNT;
  t.jobs_total := t.jobs_total + n;
END $$;
