-- Questions of jobs: an approval that a job waits for in the middle of its body. It decides nothing about the plan: the job
-- runs again, and reads what was decided. [G2]

-- Whether a job waits for this approval, as a row, without a worker. To the release before it is a job whose back-off never ends.
CREATE OR REPLACE FUNCTION moves.waits_for(j agentapp_job, p_approval uuid) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(j.state = 'retryable' AND j.blocked_by -> 0 ->> 'type' = 'approval'
                  AND j.blocked_by -> 0 ->> 'id' = p_approval::text, false)
$$;

-- Whether an approval can still be decided: the task stands at its decision, or its job waits for it.
CREATE OR REPLACE FUNCTION moves.is_asked(t moves.task, a agentapp_approval) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF a.job_id IS NULL THEN
    RETURN a.state = 'pending' AND t.state = 'awaiting_approval';
  END IF;
  RETURN a.state = 'pending' AND t.finished_at IS NULL
     AND EXISTS (SELECT 1 FROM agentapp_job j WHERE j.id = a.job_id AND moves.waits_for(j, a.id));
END $$;

-- running -> retryable, by a body that asks a person; without an attempt that counts. Attempt and question end and begin in one
-- commit. Where the same is asked already the job waits for that; what else it has asked and nobody has decided is withdrawn.
-- p_ending: a moves.settle_request; p_question: {key, content, content_sha256, summary, risk, sources, evaluation, expires_in_s}.
CREATE OR REPLACE FUNCTION moves.ask_person(p_ending jsonb, p_question jsonb, p_actor text, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r moves.settle_request := jsonb_populate_record(NULL::moves.settle_request, p_ending);
  t moves.task := moves.lock_task(r.workflow, p_actor, p_now);
  j agentapp_job;
  a agentapp_approval;
  p agentapp_approvalpolicy;
BEGIN
  PERFORM moves.check_class(r.job);
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
    p := moves.policy_for(t, p_question -> 'content');
    r.state := CASE WHEN moves.passes_unasked(t, p, p_question, j.id) THEN 'available' ELSE r.state END;
    t := moves.drop_questions(t, 'its job asks something else', j.id);
  END IF;
  t := moves.settle_one(t, j, (SELECT s FROM agentapp_stage s WHERE s.id = j.stage_id), r, NULL);
  IF a.id IS NULL THEN
    a := moves.question(t, j, p, p_question);
    t := moves.announce(t, a, p, r.state = 'available');
  END IF;
  IF r.state = 'retryable' THEN
    PERFORM moves.wait_for(j.id, a);
  END IF;
  RETURN moves.saved(t) || jsonb_build_object('awaited', t.answer -> 'awaited', 'approval', a.id);
END $$;

-- The row of a new question.
CREATE OR REPLACE FUNCTION moves.question(t moves.task, j agentapp_job, policy agentapp_approvalpolicy, p_question jsonb)
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
  RETURN moves.ask(t, a);
END $$;

-- Tell of a new question; or that by its policy nobody need be asked. What was approved of it before, and is no longer what was
-- approved, is opened again.
CREATE OR REPLACE FUNCTION moves.announce(INOUT t moves.task, a agentapp_approval, policy agentapp_approvalpolicy, p_passes boolean)
LANGUAGE plpgsql AS $$
DECLARE
  item record;
BEGIN
  FOR item IN UPDATE agentapp_approval SET state = 'reopened', answered_at = NULL
               WHERE job_id = a.job_id AND state = 'approved' AND ask_key = a.ask_key AND asked_sha256 = a.asked_sha256
              RETURNING id LOOP
    t := moves.note(t, 'approval', item.id, 'approved', 'reopened', 'its job asks the same again');
  END LOOP;
  t := moves.note(t, 'approval', a.id, '', 'pending', a.ask_key);
  IF p_passes THEN
    t := moves.record_decision(t, a, 'approved', NULL, NULL, 'not in the sample of the policy ' || policy.name, false);
  ELSE
    PERFORM moves.tell_of_approval(t, 'approval.requested');
  END IF;
END $$;

-- Say what a job that has just begun to wait waits for. Nothing makes it due: it has no moment.
CREATE OR REPLACE FUNCTION moves.wait_for(p_job uuid, a agentapp_approval) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_job SET scheduled_at = NULL, blocked_by = jsonb_build_array(jsonb_build_object(
           'type', 'approval', 'id', a.id, 'expires_at', a.expires_at))
   WHERE id = p_job AND state = 'retryable';
END $$;

-- Withdraw the open questions of a job; without one, of all jobs of a task that wait for nobody any more.
CREATE OR REPLACE FUNCTION moves.drop_questions(INOUT t moves.task, p_reason text, p_job uuid DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
  item record;
BEGIN
  FOR item IN UPDATE agentapp_approval a SET state = 'cancelled', decided_at = t.now FROM agentapp_job j
               WHERE a.workflow_id = t.id AND a.state = 'pending' AND j.id = a.job_id
                 AND CASE WHEN p_job IS NULL THEN j.state <> 'retryable' ELSE j.id = p_job END
              RETURNING a.id LOOP
    t := moves.note(t, 'approval', item.id, 'pending', 'cancelled', p_reason);
  END LOOP;
END $$;
