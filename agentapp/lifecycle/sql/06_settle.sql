-- Record how attempts ended, and what follows, in one round trip.

-- p: items [{workflow, job, token, to, outcome; output | error {class, kind, message, trace}, retry_in_s, reason, tokens,
-- cost_usd, effects [{id, response}], is_counted; next_token: take a single next job of one of the taker's queues at once,
-- under this token; watched: tell whether others wait for what it held}], taker as in moves.claim. Answers as there.
CREATE OR REPLACE FUNCTION moves.settle(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  answers jsonb[] := array_fill(NULL::jsonb, ARRAY[jsonb_array_length(p -> 'items')]);
  tasks moves.task[] := moves.lock_tasks(ARRAY(
    SELECT (i ->> 'workflow')::uuid FROM jsonb_array_elements(p -> 'items') i), p);
  ids uuid[] := ARRAY(SELECT id FROM unnest(tasks));
  item record;
BEGIN
  FOR item IN
    SELECT i.n, i.value, array_position(ids, (i.value ->> 'workflow')::uuid) AS place
      FROM jsonb_array_elements(p -> 'items') WITH ORDINALITY AS i(value, n) ORDER BY place, i.n
  LOOP
    IF item.place IS NOT NULL THEN
      tasks[item.place] := moves.settle_one(tasks[item.place], item.value, p -> 'taker');
      answers[item.n] := tasks[item.place].answer;
    ELSIF NOT EXISTS (SELECT 1 FROM agentapp_workflow WHERE id = (item.value ->> 'workflow')::uuid) THEN
      answers[item.n] := jsonb_build_object('status', 'lost');
    END IF;
  END LOOP;
  PERFORM moves.save(tasks);
  RETURN moves.within_buffers(answers);
END $$;

-- Record how one attempt ended; what it comes to is the `answer`.
CREATE OR REPLACE FUNCTION moves.settle_one(INOUT t moves.task, i jsonb, p_taker jsonb) LANGUAGE plpgsql AS $$
DECLARE
  j agentapp_job;
  s agentapp_stage;
  unusable text;
BEGIN
  IF i -> 'effects' <> '[]'::jsonb THEN
    PERFORM moves.record_effects(i, t.now);
  END IF;
  SELECT * INTO j FROM agentapp_job WHERE id = (i ->> 'job')::uuid;
  IF j.state IS DISTINCT FROM 'running' OR j.lease_token IS DISTINCT FROM (i ->> 'token')::uuid THEN
    t.answer := moves.settled_before(t, i);
    RETURN;
  END IF;
  SELECT * INTO s FROM agentapp_stage WHERE id = j.stage_id;
  IF i ->> 'to' = 'completed' THEN
    unusable := moves.output_problem(t.id, s, i -> 'output');
    IF unusable IS NOT NULL THEN
      i := i || jsonb_build_object('to', 'dead_lettered', 'outcome', 'failed', 'reason', unusable,
        'error', jsonb_build_object('class', 'OutputNotUsable', 'kind', 'permanent', 'message', unusable));
    END IF;
  END IF;
  PERFORM moves.end_attempt(j, i ->> 'outcome', i -> 'error', t.now);
  t.opened := '[]';
  t.held := 0;
  t.taken := NULL;
  t := moves.end_run(t, j, s, i, p_taker);
  t.answer := moves.answer(t) || jsonb_build_object(
    'taken', t.taken, 'unusable', unusable, 'awaited', (i ->> 'watched')::boolean AND moves.is_awaited(j));
END $$;

-- A job that runs leaves that state, and its task goes on. A job that is handed back has not used up an attempt.
CREATE OR REPLACE FUNCTION moves.end_run(INOUT t moves.task, j agentapp_job, s agentapp_stage, i jsonb, p_taker jsonb)
LANGUAGE plpgsql AS $$
DECLARE
  k agentapp_job := moves.entering(j, i ->> 'to', t.now);
BEGIN
  t.tokens := t.tokens + coalesce((i ->> 'tokens')::bigint, 0);
  t.cost_usd := t.cost_usd + coalesce((i ->> 'cost_usd')::numeric, 0);
  IF k.state = 'completed' THEN
    k.output := i -> 'output';
    t := moves.move_job(t, j, k, i ->> 'reason');
    t.jobs_done := t.jobs_done + 1;
    -- Continue in place: this worker goes on with the only next job, without a trip through the broker.
    t := moves.close_part(t, s, k.output, CASE WHEN i ? 'next_token' THEN p_taker || jsonb_build_object(
      'job', j.id, 'token', i -> 'next_token') END);
    RETURN;
  END IF;
  k.error := coalesce((i -> 'error') - 'trace', j.error);
  IF i ->> 'outcome' = 'handed_back' OR NOT coalesce((i ->> 'is_counted')::boolean, true) THEN
    k.attempt := j.attempt - 1;
  END IF;
  IF k.state = 'retryable' THEN
    k.scheduled_at := t.now + make_interval(secs => (i ->> 'retry_in_s')::float);
  ELSIF k.state = 'available' THEN
    k.published_at := t.now;
    k.publishes := 1;
    t.opened := jsonb_build_array(moves.link(k));
  END IF;
  t := moves.move_job(t, j, k, i ->> 'reason', jsonb_strip_nulls(jsonb_build_object(
    'attempt', k.attempt, 'error', k.error - 'message', 'retry_at', k.scheduled_at)));
  IF k.state = 'dead_lettered' THEN
    t := moves.bury(t, s, j.type || ': ' || (i ->> 'reason'));
  END IF;
END $$;

-- Find out what an earlier settle of mine did, whose answer was lost on its way: my attempt has then ended, and what it
-- opened carries the same moment. A job that was taken must not wait for its lease to run out.
CREATE OR REPLACE FUNCTION moves.settled_before(t moves.task, i jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  done timestamptz;
  unusable text;
BEGIN
  SELECT finished_at, CASE WHEN error_class = 'OutputNotUsable' THEN error_message END INTO done, unusable
    FROM agentapp_attempt
   WHERE id = (i ->> 'token')::uuid
     AND (outcome = i ->> 'outcome' OR i ->> 'to' = 'completed' AND error_class = 'OutputNotUsable');
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost');
  END IF;
  SELECT coalesce(jsonb_agg(moves.link(k) ORDER BY k.part) FILTER (WHERE k.published_at IS NOT NULL), '[]'),
         count(*) FILTER (WHERE k.published_at IS NULL)
    INTO t.opened, t.held FROM agentapp_job k
   WHERE k.workflow_id = t.id AND k.state = 'available' AND k.available_at = done;
  RETURN moves.answer(t) || jsonb_build_object('status', 'done before', 'unusable', unusable, 'taken', (
    SELECT moves.claimed(t, k) FROM agentapp_job k
     WHERE k.workflow_id = t.id AND k.state = 'running' AND k.lease_token = (i ->> 'next_token')::uuid));
END $$;

-- End the attempt of a worker that is gone. p: an item of moves.settle without a token, actor; seen_token, the lease of the
-- attempt that was decided about: where another attempt has begun since, the decision is out of date. The lease must have
-- run out, or be the one that `process` held when it was `seen` last: a process that is gone renews nothing; or it
-- `is_certain` that the process has ended.
CREATE OR REPLACE FUNCTION moves.lose(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task((p ->> 'workflow')::uuid, p ->> 'actor', (p ->> 'now')::timestamptz);
  held uuid;
BEGIN
  SELECT lease_token INTO held FROM agentapp_job
   WHERE id = (p ->> 'job')::uuid AND workflow_id = t.id AND state = 'running' AND lease_token = (p ->> 'seen_token')::uuid
     AND (lease_expires_at < t.now OR (p ->> 'is_certain')::boolean
          OR process = (p ->> 'process')::bigint AND lease_expires_at = (p ->> 'seen')::timestamptz)
     FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost');
  END IF;
  t := moves.settle_one(t, p || jsonb_build_object('token', held), NULL);
  PERFORM moves.save(ARRAY[t]);
  RETURN t.answer;
END $$;
