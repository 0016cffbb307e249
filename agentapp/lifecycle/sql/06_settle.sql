-- Record how attempts ended, and what follows, in one round trip.

-- p_items: a moves.settle_request each; p_taker: a moves.taker. Answers as in moves.claim.
CREATE OR REPLACE FUNCTION moves.settle(
  p_items jsonb, p_actor text, p_waits boolean, p_taker jsonb DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  answers jsonb[] := array_fill(NULL::jsonb, ARRAY[jsonb_array_length(p_items)]);
  taker moves.taker := jsonb_populate_record(NULL::moves.taker, p_taker);
  requests moves.settle_request[] := ARRAY(SELECT r FROM jsonb_populate_recordset(NULL::moves.settle_request, p_items) r);
  tasks moves.task[] := moves.lock_tasks(
    ARRAY(SELECT workflow FROM unnest(requests)), p_actor, p_waits, p_now);
  ids uuid[] := ARRAY(SELECT id FROM unnest(tasks));
  item record;
  seen uuid[] := '{}';
BEGIN
  taker.queues := moves.served(taker.queues);
  FOR item IN
    SELECT r.ordinality AS n, r.workflow, r.job AS id, array_position(ids, r.workflow) AS place, j AS job, s AS stage
      FROM unnest(requests) WITH ORDINALITY r
      LEFT JOIN agentapp_job j ON j.id = r.job AND j.workflow_id = r.workflow LEFT JOIN agentapp_stage s ON s.id = j.stage_id ORDER BY place, n
  LOOP
    IF item.place IS NOT NULL AND item.id <> ALL(seen) THEN
      tasks[item.place] := moves.settle_one(tasks[item.place], item.job, item.stage, requests[item.n], taker);
      answers[item.n] := tasks[item.place].answer;
    ELSIF item.place IS NULL AND NOT EXISTS (SELECT 1 FROM agentapp_workflow WHERE id = item.workflow) THEN
      answers[item.n] := jsonb_build_object('status', 'lost');
    END IF;
    seen := seen || item.id;
  END LOOP;
  PERFORM moves.save(tasks);
  RETURN moves.within_buffers(answers);
END $$;

-- Record how one attempt ended; what it comes to is the `answer`. Job and stage were read behind the lock of the task.
CREATE OR REPLACE FUNCTION moves.settle_one(
  INOUT t moves.task, j agentapp_job, s agentapp_stage, r moves.settle_request, p_taker moves.taker
) LANGUAGE plpgsql AS $$
DECLARE
  unusable text;
BEGIN
  IF session_user <> current_user THEN
    PERFORM moves.check_queue(j.queue);
  END IF;
  IF t.finished_at IS NOT NULL THEN
    -- One before it in the list may have ended the task since, and this job with it.
    SELECT * INTO j FROM agentapp_job WHERE id = r.job AND workflow_id = t.id;
  END IF;
  IF r.effects <> '[]'::jsonb THEN
    PERFORM moves.record_effects(r.job, r.effects, t.now);
  END IF;
  IF j.state IS DISTINCT FROM 'running' OR j.lease_token IS DISTINCT FROM r.token THEN
    t.answer := moves.settled_before(t, r, p_taker);
    RETURN;
  END IF;
  IF r.state = 'completed' THEN
    unusable := moves.output_problem(t.id, s, r.output);
    IF unusable IS NOT NULL THEN
      r.state := 'dead_lettered';
      r.outcome := 'failed';
      r.reason := unusable;
      r.error := jsonb_build_object('class', 'OutputNotUsable', 'kind', 'permanent', 'message', unusable);
    END IF;
  END IF;
  PERFORM moves.end_attempt(j, r.outcome, r.error, t.now);
  t.opened := '[]';
  t.held := 0;
  t.taken := NULL;
  t := moves.end_run(t, j, s, r, p_taker);
  t.answer := moves.answer(t) || jsonb_build_object(
    'taken', t.taken, 'unusable', unusable, 'awaited', r.watched AND moves.is_awaited(j));
END $$;

-- A job that runs leaves that state, and its task goes on. A job that is handed back has not used up an attempt.
CREATE OR REPLACE FUNCTION moves.end_run(
  INOUT t moves.task, j agentapp_job, s agentapp_stage, r moves.settle_request, p_taker moves.taker
) LANGUAGE plpgsql AS $$
DECLARE
  k agentapp_job := moves.entering(j, r.state, t.now);
BEGIN
  t.tokens := t.tokens + coalesce(r.tokens, 0);
  t.cost_usd := t.cost_usd + coalesce(r.cost_usd, 0);
  t.unpriced_calls := t.unpriced_calls + coalesce(r.unpriced_calls, 0);
  IF k.state = 'completed' THEN
    k.output := r.output;
    t := moves.move_job(t, j, k, r.reason);
    t.jobs_done := t.jobs_done + 1;
    -- Continue in place: this worker goes on with the only next job, without a trip through the broker.
    p_taker.done := moves.keys(j.queue, j.type, j.tenant_id, j.model, j.tool);
    p_taker.token := r.next_token;
    t := moves.close_part(t, s, k.output, CASE WHEN r.next_token IS NOT NULL THEN p_taker END);
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
    t.opened := jsonb_build_array(moves.link(k));
  END IF;
  t := moves.move_job(t, j, k, r.reason, jsonb_strip_nulls(jsonb_build_object(
    'attempt', k.attempt, 'error', k.error - 'message', 'retry_at', k.scheduled_at, 'asks', r.asks)));
  IF k.state = 'dead_lettered' THEN
    t := moves.bury(t, s, j.type || ': ' || r.reason);
  END IF;
END $$;

-- Find out what an earlier settle of mine did, whose answer was lost on its way: my attempt has then ended, and what it
-- opened carries the same moment. A job that was taken must not wait for its lease to run out.
CREATE OR REPLACE FUNCTION moves.settled_before(t moves.task, r moves.settle_request, p_taker moves.taker) RETURNS jsonb
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
  SELECT coalesce(jsonb_agg(moves.link(k) ORDER BY k.part) FILTER (WHERE k.published_at IS NOT NULL), '[]'),
         count(*) FILTER (WHERE k.published_at IS NULL)
    INTO t.opened, t.held FROM agentapp_job k
   WHERE k.workflow_id = t.id AND k.state = 'available' AND k.available_at = done;
  RETURN moves.answer(t) || jsonb_build_object('status', 'done before', 'unusable', unusable, 'taken', (
    SELECT moves.claimed(t, k, moves.choice_of(k.tenant_id, k.type, p_taker.asking)) FROM agentapp_job k
     WHERE k.workflow_id = t.id AND k.state = 'running' AND k.lease_token = r.next_token));
END $$;
