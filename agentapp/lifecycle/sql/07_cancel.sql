-- Moves that people and the dispatcher make on jobs that do not run.

-- Cancel every job of a task, or of one of its stages, that is not done, but not those in the state p_spare. Attempts
-- that run lose their lease and can no longer store anything.
CREATE OR REPLACE FUNCTION moves.end_jobs(INOUT t moves.task, p_stage bigint, p_spare text, p_reason text)
LANGUAGE plpgsql AS $$
DECLARE
  fresh moves.event[];
BEGIN
  PERFORM 1 FROM agentapp_job
    WHERE workflow_id = t.id AND state NOT IN ('completed', 'cancelled', p_spare) AND (p_stage IS NULL OR stage_id = p_stage)
    ORDER BY id FOR NO KEY UPDATE;
  PERFORM moves.end_attempt(j, 'cancelled', NULL, t.now) FROM agentapp_job j
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
  SELECT coalesce(array_agg(ROW('job', id, state, 'cancelled', p_reason, NULL)::moves.event ORDER BY id), '{}')
    INTO fresh FROM found;
  t.log := t.log || fresh;
END $$;

-- Close the open questions of a task that is over.
CREATE OR REPLACE FUNCTION moves.close_approvals(INOUT t moves.task, p_to text, p_reason text) LANGUAGE plpgsql AS $$
DECLARE
  item record;
BEGIN
  FOR item IN UPDATE agentapp_approval SET state = p_to, decided_at = t.now
               WHERE workflow_id = t.id AND state = 'pending' RETURNING id LOOP
    t := moves.note(t, 'approval', item.id, 'pending', p_to, p_reason);
  END LOOP;
END $$;

-- End a task before its last stage: its jobs, its open questions, and what it has come to.
CREATE OR REPLACE FUNCTION moves.end_task(
  INOUT t moves.task, p_to text, p_class text, p_reason text, p_approvals text DEFAULT 'cancelled'
) LANGUAGE plpgsql AS $$
BEGIN
  t := moves.end_jobs(t, NULL, '', p_reason);
  t := moves.drop_questions(t, p_reason);
  t := moves.close_approvals(t, p_approvals, p_reason);
  t.error := jsonb_build_object('class', p_class, 'message', p_reason);
  t.result := moves.partial_result(t);
  t := moves.set_state(t, p_to, p_reason);
END $$;

CREATE OR REPLACE FUNCTION moves.cancel(p_workflow uuid, p_actor text, p_reason text, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
BEGIN
  PERFORM moves.check_part(t.parent);
  IF t.id IS NULL OR t.finished_at IS NOT NULL THEN
    RETURN moves.refused(t);
  END IF;
  t := moves.end_task(t, 'cancelled', 'Cancelled', p_reason);
  RETURN moves.saved(t);
END $$;

-- End a task by a rule: its deadline has passed, or nobody decided in time, unless a policy says that this is a rejection, as
-- by a person. Refused when neither is so. [D9]
CREATE OR REPLACE FUNCTION moves.expire(p_workflow uuid, p_actor text, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
  a agentapp_approval;
  why text := 'deadline passed';
BEGIN
  SELECT * INTO a FROM agentapp_approval
   WHERE workflow_id = t.id AND state = 'pending' AND job_id IS NULL AND expires_at <= t.now ORDER BY id LIMIT 1 FOR NO KEY UPDATE;
  IF t.finished_at IS NULL AND t.deadline_at <= t.now THEN
    t := moves.end_task(t, 'failed', 'DeadlineExceeded', why);
  ELSIF t.finished_at IS NULL AND a.policy ->> 'on_expiry' = 'reject' AND t.state = 'awaiting_approval' THEN
    why := 'nobody decided in time';
    t := moves.record_decision(t, a, 'rejected', NULL, NULL, why, false);
    t := moves.follow_decision(t, (SELECT s FROM agentapp_stage s WHERE s.id = a.stage_id), 'rejected', why);
  ELSIF t.finished_at IS NULL AND a.id IS NOT NULL THEN
    why := 'approval expired';
    t := moves.end_task(t, 'failed', 'ApprovalExpired', why, 'expired');
  ELSE
    why := 'questions';
    t := moves.expire_questions(t);
  END IF;
  IF t.id IS NULL OR t.log = '{}' THEN
    RETURN moves.refused(t);
  END IF;
  RETURN moves.saved(t) || jsonb_build_object('reason', why);
END $$;

-- A job whose time has come becomes available: its back-off is over, or what its gate said when it was parked. It is
-- published if there is room.
CREATE OR REPLACE FUNCTION moves.make_due(p_workflow uuid, p_job uuid, p_actor text, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
  k agentapp_job;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = p_job FOR NO KEY UPDATE;
  IF NOT FOUND OR j.state NOT IN ('retryable', 'scheduled') OR coalesce(j.scheduled_at > t.now, true) THEN
    RETURN moves.refused(t);
  END IF;
  k := moves.entering(j, 'available', t.now);
  IF j.state = 'scheduled' THEN
    -- It keeps its place in the queue.
    k.available_at := j.available_at;
  END IF;
  k.publishes := moves.room(j.queue, j.type, j.tenant_id, j.model, j.tool, 1, t.state <> 'pending', t.now);
  k.published_at := CASE WHEN k.publishes > 0 THEN t.now END;
  t := moves.move_job(t, j, k, 'due');
  t.opened := jsonb_build_array(moves.link(k));
  RETURN moves.saved(t);
END $$;

-- What remains to be published for one available job.
CREATE OR REPLACE FUNCTION moves.remaining(p_job uuid, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'state', w.state, 'tail', moves.tail(w.id, w.position),
    'opened', jsonb_build_array(moves.link(j)))
    FROM agentapp_job j JOIN agentapp_workflow w ON w.id = j.workflow_id WHERE j.id = p_job
$$;
