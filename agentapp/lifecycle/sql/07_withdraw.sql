-- The send hold: what a person has approved is sent some seconds later, and until then the approval can be withdrawn. [G1]

-- The jobs that follow an approval, one or the parts of a fan-out, wait as rows, so that no crash forgets them; the dispatcher
-- makes them due. What they wait for is written as that of a gate is, for the pages of the release before. Half of the time
-- that a deadline leaves is for sending.
CREATE OR REPLACE FUNCTION moves.hold(INOUT t moves.task, a agentapp_approval, p_hold_s float) LANGUAGE plpgsql AS $$
DECLARE
  until timestamptz := least(t.now + make_interval(secs => p_hold_s), t.now + (t.deadline_at - t.now) / 2);
  why jsonb := jsonb_build_array(jsonb_build_object(
    'type', 'hold', 'scope', 'hold', 'name', 'undo', 'why', 'hold', 'until', until));
  fresh moves.event[];
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
                       jsonb_build_object('blocked_by', why))::moves.event ORDER BY part)
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
CREATE OR REPLACE FUNCTION moves.is_held(p_blocked_by jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(p_blocked_by -> 0 ->> 'type' = 'hold', false)
$$;

-- Withdraw an approval of which nothing was sent: the same content is asked again. One that was withdrawn already, or
-- opened again because its content had changed, stays so while that is asked: `approval` is the one that asks now.
CREATE OR REPLACE FUNCTION moves.withdraw(
  p_workflow uuid, p_approval uuid, p_actor text, p_user int, p_api_key bigint, p_reason text, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
  a agentapp_approval;
  b agentapp_approval;
  s agentapp_stage;
  blocked jsonb;
BEGIN
  SELECT * INTO a FROM agentapp_approval WHERE id = p_approval AND workflow_id = t.id FOR NO KEY UPDATE;
  -- Who may say no may take it back.
  blocked := moves.outsider(t, a, p_user, p_api_key);
  IF blocked IS NOT NULL THEN
    RETURN blocked;
  ELSIF a.state = 'reopened' THEN
    SELECT * INTO b FROM agentapp_approval WHERE id = moves.asked_after(a);
    RETURN jsonb_build_object('status', CASE b.state WHEN 'pending' THEN 'again' ELSE 'decided again' END, 'approval', b.id,
                              'state', b.state);
  ELSIF a.state IS DISTINCT FROM 'approved' THEN
    RETURN jsonb_build_object('status', 'not approved', 'state', coalesce(a.state, 'deleted'));
  ELSIF a.job_id IS NOT NULL THEN
    RETURN moves.withdraw_answer(t, a, p_reason);
  END IF;
  SELECT * INTO s FROM agentapp_stage WHERE id = moves.following_stage(t.id, a.stage_id);
  -- Behind their locks nobody begins an effect.
  PERFORM 1 FROM agentapp_job WHERE workflow_id = t.id AND stage_id = s.id ORDER BY id FOR NO KEY UPDATE;
  blocked := moves.withdraw_blocker(t, a, s);
  IF blocked IS NOT NULL THEN
    RETURN blocked;
  END IF;
  t := moves.take_back(t, s, p_reason);
  UPDATE agentapp_approval SET state = 'reopened' WHERE id = a.id AND state = 'approved';
  t := moves.note(t, 'approval', a.id, 'approved', 'reopened', p_reason);
  t := moves.ask_again(t, a, s.position, a.content, a.content_sha256, p_reason);
  RETURN moves.saved(t) || jsonb_build_object('approval', moves.asked_after(a));
END $$;

-- The stage that comes next after a decision; one that was skipped, or had nothing to fan out over, is none.
CREATE OR REPLACE FUNCTION moves.following_stage(p_workflow uuid, p_stage bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT s.id FROM agentapp_stage s WHERE s.workflow_id = p_workflow AND NOT s.spec ? 'skipped'
       AND s.position > (SELECT position FROM agentapp_stage WHERE id = p_stage)
       AND (s.kind <> 'fan_out' OR EXISTS (SELECT 1 FROM agentapp_job WHERE workflow_id = p_workflow AND stage_id = s.id))
     ORDER BY s.position LIMIT 1);
END $$;

-- Why an approval cannot be withdrawn: its content was sent or is being sent, or its task has gone on. Null: it can be. s is
-- what follows the approval.
CREATE OR REPLACE FUNCTION moves.withdraw_blocker(t moves.task, a agentapp_approval, s agentapp_stage) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
  e agentapp_effect;
  states text[];
BEGIN
  -- Parts that were taken back before are no work of the task any more.
  states := ARRAY(SELECT DISTINCT state FROM agentapp_job WHERE workflow_id = t.id AND stage_id = s.id AND state <> 'cancelled');
  SELECT f.* INTO e FROM agentapp_job j CROSS JOIN LATERAL moves.effects_of(j) f
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
CREATE OR REPLACE FUNCTION moves.take_back(INOUT t moves.task, s agentapp_stage, p_reason text) LANGUAGE plpgsql AS $$
DECLARE
  noted int := cardinality(t.log);
  j agentapp_job;
  k agentapp_job;
BEGIN
  IF s.kind = 'fan_out' THEN
    t := moves.end_jobs(t, s.id, '', p_reason);
    -- One note each.
    t.jobs_total := t.jobs_total - (cardinality(t.log) - noted);
    t := moves.drop_questions(t, p_reason);
    RETURN;
  END IF;
  SELECT * INTO STRICT j FROM agentapp_job WHERE workflow_id = t.id AND stage_id = s.id;
  k := moves.entering(j, 'pending', t.now);
  IF j.state = 'running' THEN
    PERFORM moves.end_attempt(j, 'handed_back', NULL, t.now);
    k.attempt := j.attempt - 1;
  END IF;
  k.payload := NULL;
  -- A checkpoint belongs to the payload that it was made of.
  UPDATE agentapp_job SET checkpoint = NULL WHERE id = j.id AND checkpoint IS NOT NULL;
  t := moves.move_job(t, j, k, p_reason);
  t := moves.drop_questions(t, p_reason);
END $$;
