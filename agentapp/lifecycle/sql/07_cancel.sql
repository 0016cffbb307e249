-- Moves that people and the dispatcher make on jobs that do not run.

-- Cancel every job of a task, or of one of its stages, that is not done, but not those in the state p_spare. Attempts
-- that run lose their lease and can no longer store anything.
CREATE OR REPLACE FUNCTION moves.end_jobs(
  INOUT w agentapp_workflow, p_stage bigint, p_spare text, p_actor text, p_reason text, p_now timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
  n int;
BEGIN
  PERFORM 1 FROM agentapp_job
    WHERE workflow_id = w.id AND state NOT IN ('completed', 'cancelled', p_spare) AND (p_stage IS NULL OR stage_id = p_stage)
    ORDER BY id FOR NO KEY UPDATE;
  WITH found AS (
    SELECT j.id, j.state, j.lease_token, s.spec FROM agentapp_job j JOIN agentapp_stage s ON s.id = j.stage_id
     WHERE j.workflow_id = w.id AND j.state NOT IN ('completed', 'cancelled', p_spare)
       AND (p_stage IS NULL OR j.stage_id = p_stage)
  ), ended AS (
    -- The worker that runs it cleans up when it hears of this; if it is dead, the dispatcher has it done after the lease.
    UPDATE agentapp_job j
       SET state = 'cancelled', lease_token = NULL, lease_expires_at = NULL, finished_at = p_now,
           clean_up_at = CASE WHEN j.attempt > 0 AND (found.spec ->> 'cleans_up')::boolean
                              THEN coalesce(j.lease_expires_at, p_now) END
      FROM found WHERE j.id = found.id AND j.state = found.state
  ), attempts AS (
    UPDATE agentapp_attempt a SET finished_at = p_now, outcome = 'cancelled' FROM found WHERE a.id = found.lease_token
  )
  INSERT INTO agentapp_history (workflow_id, seq, at, noun, job_id, from_state, to_state, actor, reason)
  SELECT w.id, w.seq + row_number() OVER (ORDER BY id), p_now, 'job', id, state, 'cancelled', coalesce(p_actor, ''), coalesce(p_reason, '')
    FROM found;
  GET DIAGNOSTICS n = ROW_COUNT;
  w.seq := w.seq + n;
END $$;

-- What a task that ends early has come to: as much of its result as there is.
CREATE OR REPLACE FUNCTION moves.partial_result(w agentapp_workflow) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN nullif(moves.bind(w, w.result_bind, 32767), '{}'::jsonb);
END $$;

-- Close the open questions of a task that is over.
CREATE OR REPLACE FUNCTION moves.close_approvals(
  INOUT w agentapp_workflow, p_to text, p_actor text, p_reason text, p_now timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
  item record;
BEGIN
  FOR item IN UPDATE agentapp_approval SET state = p_to, decided_at = p_now
               WHERE workflow_id = w.id AND state = 'pending' RETURNING id LOOP
    w := moves.append_history(w, 'approval', item.id, 'pending', p_to, p_actor, p_reason, NULL, p_now);
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION moves.cancel_jobs(INOUT w agentapp_workflow, p_actor text, p_reason text, p_now timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
  w := moves.end_jobs(w, NULL, '', p_actor, p_reason, p_now);
END $$;

CREATE OR REPLACE FUNCTION moves.cancel(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  w agentapp_workflow;
BEGIN
  SELECT * INTO w FROM agentapp_workflow WHERE id = (p ->> 'workflow')::uuid FOR NO KEY UPDATE;
  IF NOT FOUND OR w.finished_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'refused', 'state', coalesce(w.state, 'deleted'));
  END IF;
  moment := moves.moment(p);
  w := moves.cancel_jobs(w, p ->> 'actor', p ->> 'reason', moment);
  w := moves.close_approvals(w, 'cancelled', p ->> 'actor', p ->> 'reason', moment);
  w.error := jsonb_build_object('class', 'Cancelled', 'message', p ->> 'reason');
  w.result := moves.partial_result(w);
  w := moves.set_task_state(w, 'cancelled', p ->> 'actor', p ->> 'reason', moment);
  PERFORM moves.save_workflow(w);
  RETURN jsonb_build_object('status', 'ok', 'state', w.state);
END $$;

-- End a task by a rule: its deadline has passed, or nobody decided in time. Refused when neither is so. [D9]
CREATE OR REPLACE FUNCTION moves.expire(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  w agentapp_workflow;
  why text;
  class text;
BEGIN
  SELECT * INTO w FROM agentapp_workflow WHERE id = (p ->> 'workflow')::uuid FOR NO KEY UPDATE;
  moment := moves.moment(p);
  IF NOT FOUND OR w.finished_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'refused', 'state', w.state);
  ELSIF w.deadline_at <= moment THEN
    class := 'DeadlineExceeded';
    why := 'deadline passed';
  ELSIF EXISTS (SELECT 1 FROM agentapp_approval
                 WHERE workflow_id = w.id AND state = 'pending' AND expires_at <= moment) THEN
    class := 'ApprovalExpired';
    why := 'approval expired';
  ELSE
    RETURN jsonb_build_object('status', 'refused', 'state', w.state);
  END IF;
  w := moves.cancel_jobs(w, p ->> 'actor', why, moment);
  w := moves.close_approvals(w, CASE class WHEN 'ApprovalExpired' THEN 'expired' ELSE 'cancelled' END,
                                   p ->> 'actor', why, moment);
  w.error := jsonb_build_object('class', class, 'message', why);
  w.result := moves.partial_result(w);
  w := moves.set_task_state(w, 'failed', p ->> 'actor', why, moment);
  PERFORM moves.save_workflow(w);
  RETURN jsonb_build_object('status', 'ok', 'state', w.state, 'reason', why);
END $$;

-- A job whose time has come becomes available: its back-off is over, or what its gate said when it was parked. It is
-- published if there is room.
CREATE OR REPLACE FUNCTION moves.make_due(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  w agentapp_workflow;
  j agentapp_job;
  before text;
  room int;
BEGIN
  SELECT * INTO w FROM agentapp_workflow WHERE id = (p ->> 'workflow')::uuid FOR NO KEY UPDATE;
  SELECT * INTO j FROM agentapp_job WHERE id = (p ->> 'job')::uuid FOR NO KEY UPDATE;
  moment := moves.moment(p);
  IF NOT FOUND OR j.state NOT IN ('retryable', 'scheduled') OR j.scheduled_at > moment THEN
    RETURN jsonb_build_object('status', 'refused', 'state', w.state);
  END IF;
  before := j.state;
  room := moves.room(j.queue, j.type, j.tenant_id, j.model, j.tool, 1, w.state <> 'pending', moment);
  -- Who was parked keeps its place in the queue.
  UPDATE agentapp_job
     SET state = 'available', scheduled_at = NULL, blocked_by = NULL, publishes = room,
         available_at = CASE WHEN before = 'scheduled' THEN available_at ELSE moment END,
         published_at = CASE WHEN room > 0 THEN moment END
   WHERE id = j.id AND state = before
  RETURNING * INTO STRICT j;
  w := moves.append_history(w, 'job', j.id, before, 'available', p ->> 'actor', 'due', NULL, moment);
  PERFORM moves.save_workflow(w);
  RETURN jsonb_build_object(
    'status', 'ok', 'state', w.state, 'tail', moves.tail(w.id, w.position),
    'opened', jsonb_build_array(moves.link(j)));
END $$;

-- What remains to be published for one available job.
CREATE OR REPLACE FUNCTION moves.remaining(p jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'state', w.state, 'tail', moves.tail(w.id, w.position),
    'opened', jsonb_build_array(moves.link(j)))
    FROM agentapp_job j JOIN agentapp_workflow w ON w.id = j.workflow_id WHERE j.id = (p ->> 'job')::uuid
$$;
