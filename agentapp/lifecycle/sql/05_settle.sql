-- Close a part of a stage, and the stage with its last part; then open what follows.
--
-- The counter is decremented inside the row's own UPDATE: a count(*) in the statement that waits for the lock would see
-- the snapshot from before the lock, and two last parts would each find the other unfinished.
CREATE OR REPLACE FUNCTION moves.close_part(
  INOUT w agentapp_workflow, p_stage bigint, p_output jsonb, p_actor text, p_take jsonb, p_now timestamptz,
  OUT opened jsonb, OUT taken jsonb, OUT held int, OUT problem text
) LANGUAGE plpgsql AS $$
DECLARE
  r record;
  s agentapp_stage;
  new_values jsonb;
BEGIN
  opened := '[]';
  held := 0;
  UPDATE agentapp_stage
     SET parts_left = parts_left - 1, closed_at = CASE WHEN parts_left <= 1 THEN p_now END
   WHERE id = p_stage AND opened_at IS NOT NULL AND closed_at IS NULL
  RETURNING * INTO s;
  IF NOT FOUND OR s.closed_at IS NULL THEN
    RETURN;
  END IF;
  IF w.state = 'needs_attention' AND NOT moves.is_blocked(w.id) THEN
    w := moves.set_task_state(w, 'running', p_actor, 'its join is met', p_now);
  END IF;
  IF s.spec ? 'sets' THEN
    new_values := moves.values_set(w, s, p_output);
    -- A finding may make a task more urgent than the client asked for, never less.
    w.priority := least(w.priority, coalesce((new_values ->> 'priority')::numeric, w.priority));
    w.risk := coalesce(new_values ->> 'risk', w.risk);
  END IF;
  IF moves.goes_back(s, p_output) THEN
    w := moves.go_back(w, s.position, s.spec -> 'repeat' ->> 'back_to', s.round + 1);
  END IF;
  r := moves.advance(w, p_actor, p_take, p_now);
  w := r.w;
  opened := r.opened;
  taken := r.taken;
  held := r.held;
  problem := r.problem;
END $$;

-- Tell whether a dead letter stands in the way: its stage is open and cannot close without it.
CREATE OR REPLACE FUNCTION moves.is_blocked(p_workflow uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT 1 FROM agentapp_stage s
      JOIN agentapp_job j ON j.workflow_id = s.workflow_id AND j.stage_id = s.id AND j.state = 'dead_lettered'
     WHERE s.workflow_id = p_workflow AND s.closed_at IS NULL AND s.opened_at IS NOT NULL
       AND (s.kind <> 'fan_out' OR s.spec ? 'unopened' OR s.spec -> 'join' ->> 'rule' = 'all'
            OR s.spec -> 'join' ->> 'rule' = 'at_least' AND s.parts_left > (
                 SELECT count(*) FROM agentapp_job r WHERE r.workflow_id = p_workflow AND r.stage_id = s.id
                    AND r.state NOT IN ('completed', 'dead_lettered', 'cancelled'))))
$$;

-- Find out what an earlier settle of mine did, whose answer was lost on its way: my attempt is then finished, and what
-- it opened or took carries the same moment. A job that was taken must not wait for its lease to run out.
CREATE OR REPLACE FUNCTION moves.settled_before(w agentapp_workflow, p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  done timestamptz;
  j agentapp_job;
  opened jsonb;
  held int;
BEGIN
  SELECT finished_at INTO done FROM agentapp_attempt
   WHERE id = (p ->> 'token')::uuid AND finished_at IS NOT NULL AND outcome = p ->> 'outcome';
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost');
  END IF;
  SELECT k.* INTO j FROM agentapp_job k JOIN agentapp_attempt a ON a.id = k.lease_token
   WHERE k.workflow_id = w.id AND k.state = 'running' AND k.started_at = done AND a.in_place
     AND k.worker = p ->> 'worker';
  SELECT coalesce(jsonb_agg(moves.link(k) ORDER BY k.part) FILTER (WHERE k.published_at IS NOT NULL), '[]'),
         count(*) FILTER (WHERE k.published_at IS NULL)
    INTO opened, held FROM agentapp_job k
   WHERE k.workflow_id = w.id AND k.state = 'available' AND k.available_at = done;
  RETURN jsonb_build_object('status', 'done before', 'state', w.state, 'opened', opened, 'held', held,
                            'taken', CASE WHEN j.id IS NOT NULL THEN moves.claimed(w, j) END,
                            'tail', CASE WHEN opened = '[]'::jsonb THEN '[]'::jsonb
                                         ELSE moves.tail(w.id, w.position) END);
END $$;

-- Record how an attempt ended, and what follows, in one round trip.
--
-- p: workflow, job, token, to, actor, lease_s, queues; output | error {class, kind, message, trace}, retry_in_s, reason,
-- tokens, cost_usd, effects [{id, response}], outcome; watched: tell whether others wait for what it held; in_place: claim a single next job of one of `queues` at once.
-- Without a token (rescuer) the lease must have run out, or be the one that `process` held when it was `seen` last: a
-- process that is gone renews nothing. `seen_token` is the lease of the attempt that the rescuer decided about: where
-- another attempt has begun since, its decision is out of date and refused. A job that is handed back has not used up an attempt.
CREATE OR REPLACE FUNCTION moves.settle(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r record;
  moment timestamptz;
  w agentapp_workflow;
  j agentapp_job;
  held uuid;
  target text := p ->> 'to';
  opened jsonb := '[]';
  taken jsonb;
  waiting int := 0;
  unusable text;
BEGIN
  SELECT * INTO w FROM agentapp_workflow WHERE id = (p ->> 'workflow')::uuid FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost');
  END IF;
  moment := moves.moment(p);
  IF p -> 'effects' <> '[]'::jsonb THEN
    PERFORM moves.record_effects(p, moment);
  END IF;

  held := (p ->> 'token')::uuid;
  IF held IS NULL THEN
    SELECT lease_token INTO held FROM agentapp_job
     WHERE id = (p ->> 'job')::uuid AND state = 'running'
       AND lease_token = coalesce((p ->> 'seen_token')::uuid, lease_token)
       AND (lease_expires_at < moment
            OR process = (p ->> 'process')::bigint AND lease_expires_at = (p ->> 'seen')::timestamptz)
       FOR NO KEY UPDATE;
  END IF;
  IF target = 'completed' THEN
    unusable := moves.unusable_output((p ->> 'job')::uuid, w, p -> 'output');
    IF unusable IS NOT NULL THEN
      target := 'dead_lettered';
      p := p || jsonb_build_object('outcome', 'failed', 'reason', unusable, 'error', jsonb_build_object(
        'class', 'OutputNotUsable', 'kind', 'permanent', 'message', unusable));
    END IF;
  END IF;
  UPDATE agentapp_job
     SET state = target, lease_token = NULL, lease_expires_at = NULL,
         attempt = CASE WHEN p ->> 'outcome' = 'handed_back' OR NOT coalesce((p ->> 'is_counted')::boolean, true)
                        THEN attempt - 1 ELSE attempt END,
         checkpoint = CASE WHEN target = 'completed' THEN NULL ELSE checkpoint END,
         output = CASE WHEN target = 'completed' THEN p -> 'output' ELSE output END,
         error = CASE WHEN target = 'completed' THEN error ELSE coalesce((p -> 'error') - 'trace', error) END,
         scheduled_at = CASE WHEN target = 'retryable' THEN moment + make_interval(secs => (p ->> 'retry_in_s')::float) END,
         available_at = CASE WHEN target = 'available' THEN moment ELSE available_at END,
         published_at = CASE WHEN target = 'available' THEN moment END,
         publishes = CASE WHEN target = 'available' THEN 1 ELSE 0 END,
         finished_at = CASE WHEN target IN ('completed', 'dead_lettered', 'cancelled') THEN moment END
   WHERE id = (p ->> 'job')::uuid AND state = 'running' AND lease_token = held
  RETURNING * INTO j;
  IF NOT FOUND THEN
    RETURN moves.settled_before(w, p);
  END IF;
  UPDATE agentapp_attempt
     SET finished_at = moment, outcome = coalesce(p ->> 'outcome', CASE target WHEN 'completed' THEN target ELSE 'failed' END), error_class = coalesce(p -> 'error' ->> 'class', ''),
         error_message = coalesce(p -> 'error' ->> 'message', ''), trace = coalesce(p -> 'error' ->> 'trace', '')
   WHERE id = held;
  w.tokens := w.tokens + coalesce((p ->> 'tokens')::bigint, 0);
  w.cost_usd := w.cost_usd + coalesce((p ->> 'cost_usd')::numeric, 0);
  w := moves.append_history(w, 'job', j.id, 'running', target, p ->> 'actor', p ->> 'reason',
                        CASE WHEN target = 'completed' THEN NULL
                             ELSE jsonb_strip_nulls(jsonb_build_object('attempt', j.attempt, 'error', j.error - 'message',
                                                                       'retry_at', j.scheduled_at)) END, moment);

  IF target = 'completed' THEN
    w.jobs_done := w.jobs_done + 1;
    r := moves.close_part(w, j.stage_id, j.output, p ->> 'actor',
                                CASE WHEN (p ->> 'in_place')::boolean THEN p END, moment);
    w := r.w;
    opened := r.opened;
    waiting := r.held;
    -- Continue in place: this worker goes on with the only next job, without a trip through the broker.
    taken := r.taken;
  ELSIF target = 'dead_lettered' THEN
    IF (SELECT spec -> 'join' ->> 'rule' FROM agentapp_stage WHERE id = j.stage_id) = 'settled' THEN
      r := moves.close_part(w, j.stage_id, NULL, p ->> 'actor', NULL, moment);
      w := r.w;
      opened := r.opened;
      waiting := r.held;
    ELSIF w.state IN ('pending', 'running') AND moves.is_blocked(w.id) THEN
      w := moves.set_task_state(w, 'needs_attention', p ->> 'actor', j.type || ': ' || (p ->> 'reason'), moment);
    END IF;
  ELSIF target = 'available' THEN
    opened := jsonb_build_array(moves.link(j));
  END IF;
  PERFORM moves.save_workflow(w);
  RETURN jsonb_build_object(
    'status', 'ok', 'state', w.state, 'opened', opened, 'held', waiting, 'taken', taken, 'unusable', unusable,
    'awaited', (p ->> 'watched')::boolean AND moves.is_awaited(j),
    'tail', CASE WHEN opened = '[]'::jsonb THEN '[]'::jsonb ELSE moves.tail(w.id, w.position) END);
END $$;
