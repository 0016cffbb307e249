-- A person's decision. It binds the hash of what the page showed; the second one to decide is told so. [G3]
CREATE OR REPLACE FUNCTION moves.decide(
  p_workflow uuid, p_approval uuid, p_actor text, p_user int, p_api_key bigint, p_to text, p_content_sha256 text, p_reason text,
  p_content jsonb DEFAULT NULL, p_new_sha256 text DEFAULT NULL, p_hold_s float DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
  a agentapp_approval;
  s agentapp_stage;
  refusal jsonb;
BEGIN
  SELECT * INTO a FROM agentapp_approval WHERE id = p_approval AND workflow_id = t.id FOR NO KEY UPDATE;
  IF coalesce(p_new_sha256, p_content_sha256) = p_content_sha256
     AND moves.has_voted(a, p_to, p_content_sha256, p_user, p_api_key) THEN
    RETURN moves.answer(t);
  END IF;
  SELECT * INTO s FROM agentapp_stage WHERE id = a.stage_id;
  refusal := moves.decision_refused(t, a, s, p_to, p_content_sha256, coalesce(p_new_sha256, p_content_sha256), p_user, p_api_key);
  IF refusal IS NOT NULL THEN
    RETURN refusal;
  END IF;
  a := moves.vote(t, a, p_to, p_user, p_api_key, p_reason, p_content, p_new_sha256);
  IF p_to = 'approved' AND a.votes_missing > 0 THEN
    t := moves.note(t, 'approval', a.id, 'pending', 'pending', moves.voted(a, p_content_sha256),
                    jsonb_build_object('content_sha256', a.content_sha256, 'edited', a.content_sha256 <> p_content_sha256));
    RETURN moves.saved(t);
  END IF;
  t := moves.record_decision(t, a, p_to, p_user, p_api_key, p_reason, p_content IS NOT NULL);
  IF a.job_id IS NOT NULL THEN
    t := moves.wake_asker(t, a, 'what it asked is ' || p_to);
  ELSE
    t := moves.follow_decision(t, s, p_to, p_reason);
  END IF;
  IF p_to <> 'changes_requested' THEN
    t := moves.hold(t, a, p_hold_s);
  END IF;
  RETURN moves.saved(t);
END $$;

-- Write down what was decided. What the bytes are, an edit has written before.
CREATE OR REPLACE FUNCTION moves.record_decision(
  INOUT t moves.task, a agentapp_approval, p_to text, p_user int, p_api_key bigint, p_reason text, p_edited boolean
) LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_approval
     SET state = p_to, decided_at = t.now, decided_by_user_id = p_user, decided_by_key_id = p_api_key,
         reason = coalesce(p_reason, ''), votes_missing = 0,
         approved_sha256 = CASE WHEN p_to = 'approved' THEN content_sha256 ELSE '' END,
         answered_at = CASE WHEN job_id IS NOT NULL THEN t.now END
   WHERE id = a.id AND state = 'pending'
  RETURNING * INTO STRICT a;
  t := moves.note(t, 'approval', a.id, 'pending', p_to, p_reason,
                  jsonb_build_object('content_sha256', a.content_sha256, 'edited', p_edited));
  PERFORM moves.tell_of_approval(t, 'approval.decided');
  UPDATE agentapp_stage
     SET output = jsonb_build_object('approval_id', a.id, 'decision', p_to, 'content_sha256', a.approved_sha256,
                                     'remark', CASE WHEN p_to <> 'approved' THEN p_reason END)
   WHERE id = a.stage_id AND a.job_id IS NULL;
END $$;

-- Go on behind a decision: end the task, go back, or open what comes next.
CREATE OR REPLACE FUNCTION moves.follow_decision(INOUT t moves.task, s agentapp_stage, p_to text, p_reason text)
LANGUAGE plpgsql AS $$
BEGIN
  IF p_to = 'rejected' AND s.spec ->> 'on_reject' IS DISTINCT FROM 'continue' THEN
    t := moves.end_jobs(t, NULL, '', 'rejected');
    t := moves.drop_questions(t, 'rejected');
    t.result := jsonb_build_object('outcome', 'rejected', 'reason', p_reason);
    t := moves.set_state(t, 'completed', 'rejected');
    RETURN;
  END IF;
  t := moves.set_state(t, 'running', replace(p_to, '_', ' '));
  IF p_to = 'changes_requested' THEN
    t.parts_left := 0;
    t := moves.go_back(t, s.position, s.spec ->> 'back_to', 0);
    t := moves.advance(t);
  ELSE
    t := moves.close_part(t, s, NULL);
  END IF;
END $$;

-- Open an approved decision again, because what would be sent (p_content, as it is now) is not what was approved.
CREATE OR REPLACE FUNCTION moves.reopen(
  p_workflow uuid, p_job uuid, p_token uuid, p_actor text, p_reason text, p_approval uuid, p_content jsonb,
  p_new_sha256 text, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
  k agentapp_job;
  a agentapp_approval;
BEGIN
  PERFORM moves.check_class(p_job);
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND workflow_id = t.id AND state = 'running' AND lease_token = p_token FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost');
  END IF;
  PERFORM moves.end_attempt(j, 'failed', jsonb_build_object('class', 'ContentChanged', 'message', p_reason), t.now);
  k := moves.entering(j, 'pending', t.now);
  k.payload := NULL;
  t := moves.move_job(t, j, k, p_reason);
  UPDATE agentapp_approval SET state = 'reopened'
   WHERE id = p_approval AND workflow_id = t.id AND state = 'approved' AND job_id IS NULL
  RETURNING * INTO STRICT a;
  t := moves.note(t, 'approval', a.id, 'approved', 'reopened', p_reason);
  t := moves.ask_again(t, a, (SELECT position FROM agentapp_stage WHERE id = j.stage_id), p_content, p_new_sha256, p_reason);
  RETURN moves.saved(t);
END $$;

-- Put the same decision before the stage at p_position, with the content as it is now, and open it. What lies between the
-- first decision and there is done, and stays so.
CREATE OR REPLACE FUNCTION moves.ask_again(
  INOUT t moves.task, a agentapp_approval, p_position int, p_content jsonb, p_new_sha256 text, p_reason text
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
  a := moves.ask(t, a);
  PERFORM moves.remember_editors(a, before, t.now);
  t := moves.note(t, 'approval', a.id, '', 'pending', p_reason);
  t.stages_total := t.stages_total + 1;
  t.position := p_position;
  t.parts_left := 1;
  t := moves.set_state(t, 'awaiting_approval', p_reason);
END $$;
