-- What becomes of the question of a job: it is decided, its time is over, or its answer is taken back. [G2]

-- retryable -> available: what the job has asked is decided. It is published if there is room.
CREATE OR REPLACE FUNCTION moves.wake_asker(INOUT t moves.task, a agentapp_approval, p_reason text) LANGUAGE plpgsql AS $$
DECLARE
  j agentapp_job;
  k agentapp_job;
BEGIN
  SELECT * INTO STRICT j FROM agentapp_job WHERE id = a.job_id AND workflow_id = t.id FOR NO KEY UPDATE;
  k := moves.entering(j, 'available', t.now);
  k.publishes := moves.room(j.queue, j.type, j.tenant_id, j.model, j.tool, 1, t.state <> 'pending', t.now);
  k.published_at := CASE WHEN k.publishes > 0 THEN t.now END;
  t := moves.move_job(t, j, k, p_reason);
  t.opened := t.opened || moves.link(k);
END $$;

-- Nobody has decided in time: by its policy a question is rejected, else it has expired. Its job goes on and is told so.
CREATE OR REPLACE FUNCTION moves.expire_questions(INOUT t moves.task) LANGUAGE plpgsql AS $$
DECLARE
  a agentapp_approval;
  told text;
BEGIN
  FOR a IN SELECT * FROM agentapp_approval
            WHERE workflow_id = t.id AND state = 'pending' AND job_id IS NOT NULL AND expires_at <= t.now
            ORDER BY id LIMIT 500 FOR NO KEY UPDATE LOOP
    IF moves.is_asked(t, a) THEN
      told := CASE WHEN a.policy ->> 'on_expiry' = 'reject' THEN 'rejected' ELSE 'expired' END;
      t := moves.record_decision(t, a, told, NULL, NULL, 'nobody decided in time', false);
      t := moves.wake_asker(t, a, 'nobody decided in time');
    ELSE
      -- Left behind by a release that knows of no questions.
      t := moves.note(t, 'approval', a.id, 'pending', 'cancelled', 'its job does not wait for it');
      UPDATE agentapp_approval SET state = 'cancelled', decided_at = t.now WHERE id = a.id AND state = 'pending';
    END IF;
  END LOOP;
END $$;

-- Withdraw what was approved for a job that has not begun again since: it waits, and the same is asked once more.
CREATE OR REPLACE FUNCTION moves.withdraw_answer(t moves.task, a agentapp_approval, p_reason text) RETURNS jsonb
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
  t := moves.move_job(t, j, moves.entering(j, 'retryable', t.now), p_reason);
  UPDATE agentapp_approval SET state = 'reopened', answered_at = NULL WHERE id = a.id AND state = 'approved';
  t := moves.note(t, 'approval', a.id, 'approved', 'reopened', p_reason);
  a.expires_at := t.now + (a.expires_at - a.created_at);
  a := moves.ask(t, a);
  PERFORM moves.remember_editors(a, before, t.now);
  t := moves.note(t, 'approval', a.id, '', 'pending', p_reason);
  PERFORM moves.wait_for(j.id, a);
  PERFORM moves.tell_of_approval(t, 'approval.requested');
  RETURN moves.saved(t) || jsonb_build_object('approval', a.id);
END $$;

-- The latest approval that asks once more what an earlier one had asked, or null.
CREATE OR REPLACE FUNCTION moves.asked_after(a agentapp_approval) RETURNS uuid LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT b.id FROM agentapp_approval b JOIN agentapp_stage s ON s.id = b.stage_id
     WHERE b.workflow_id = a.workflow_id AND b.id > a.id AND b.state <> 'reopened'
       AND s.name = (SELECT name FROM agentapp_stage WHERE id = a.stage_id)
       AND b.job_id IS NOT DISTINCT FROM a.job_id AND b.ask_key = a.ask_key
     ORDER BY b.id LIMIT 1);
END $$;
