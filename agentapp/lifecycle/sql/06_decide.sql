-- A person's decision. It binds the hash of what the page showed; the second one to decide is told so. [G3]
CREATE OR REPLACE FUNCTION moves.decide(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  r record;
  w agentapp_workflow;
  a agentapp_approval;
  s agentapp_stage;
  decision text := p ->> 'to';
  opened jsonb := '[]';
  held int := 0;
BEGIN
  SELECT * INTO w FROM agentapp_workflow WHERE id = (p ->> 'workflow')::uuid FOR NO KEY UPDATE;
  moment := moves.moment(p);
  SELECT * INTO a FROM agentapp_approval
   WHERE id = (p ->> 'approval')::uuid AND workflow_id = w.id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'decided', 'state', 'deleted');
  ELSIF a.state <> 'pending' OR w.state <> 'awaiting_approval' THEN
    RETURN jsonb_build_object('status', 'decided', 'state', a.state);
  ELSIF a.expires_at <= moment THEN
    RETURN jsonb_build_object('status', 'expired', 'state', a.state);
  ELSIF a.content_sha256 <> p ->> 'content_sha256' THEN
    RETURN jsonb_build_object('status', 'changed', 'state', a.state);
  END IF;
  SELECT * INTO s FROM agentapp_stage WHERE id = a.stage_id;
  IF decision = 'changes_requested' AND NOT moves.can_go_back(w.id, s.position, s.spec ->> 'back_to') THEN
    RETURN jsonb_build_object('status', 'no way back', 'state', a.state, 'stage', s.spec ->> 'back_to');
  END IF;
  UPDATE agentapp_approval
     SET state = decision, decided_at = moment, decided_by_user_id = (p ->> 'user')::int,
         decided_by_key_id = (p ->> 'api_key')::bigint, reason = coalesce(p ->> 'reason', ''),
         content = coalesce(p -> 'content', content),
         content_sha256 = coalesce(p ->> 'new_sha256', content_sha256),
         approved_sha256 = CASE WHEN decision = 'approved' THEN coalesce(p ->> 'new_sha256', content_sha256) ELSE '' END
   WHERE id = a.id AND state = 'pending'
  RETURNING * INTO STRICT a;
  w := moves.append_history(w, 'approval', a.id, 'pending', decision, p ->> 'actor', p ->> 'reason',
                        jsonb_build_object('content_sha256', a.content_sha256, 'edited', p ? 'content'), moment);

  IF decision = 'rejected' THEN
    w := moves.cancel_jobs(w, p ->> 'actor', 'rejected', moment);
    w.result := jsonb_build_object('outcome', 'rejected', 'reason', p ->> 'reason');
    w := moves.set_task_state(w, 'completed', p ->> 'actor', 'rejected', moment);
  ELSE
    UPDATE agentapp_stage
       SET output = jsonb_build_object('approval_id', a.id, 'decision', decision, 'content_sha256', a.approved_sha256,
                                       'remark', CASE WHEN decision = 'changes_requested' THEN p ->> 'reason' END)
     WHERE id = a.stage_id RETURNING * INTO s;
    w := moves.set_task_state(w, 'running', p ->> 'actor', replace(decision, '_', ' '), moment);
    IF decision = 'changes_requested' THEN
      w := moves.go_back(w, s.position, s.spec ->> 'back_to', 0);
    END IF;
    r := moves.close_part(w, a.stage_id, NULL, p ->> 'actor', NULL, moment);
    w := r.w;
    opened := r.opened;
    held := r.held;
  END IF;
  PERFORM moves.save_workflow(w);
  RETURN jsonb_build_object('status', 'ok', 'state', w.state, 'opened', opened, 'held', held,
                            'tail', moves.tail(w.id, w.position));
END $$;

-- Open an approved decision again, because what would be sent is not what was approved.
-- p: as in settle, plus approval, content (as it is now), new_sha256.
CREATE OR REPLACE FUNCTION moves.reopen(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  w agentapp_workflow;
  j agentapp_job;
  a agentapp_approval;
  s agentapp_stage;
  fresh uuid := moves.uuid7();
BEGIN
  SELECT * INTO w FROM agentapp_workflow WHERE id = (p ->> 'workflow')::uuid FOR NO KEY UPDATE;
  moment := moves.moment(p);
  UPDATE agentapp_job
     SET state = 'pending', lease_token = NULL, lease_expires_at = NULL, published_at = NULL, payload = NULL
   WHERE id = (p ->> 'job')::uuid AND state = 'running' AND lease_token = (p ->> 'token')::uuid
  RETURNING * INTO j;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost');
  END IF;
  UPDATE agentapp_attempt SET finished_at = moment, outcome = 'failed', error_class = 'ContentChanged',
         error_message = p ->> 'reason' WHERE id = (p ->> 'token')::uuid;
  UPDATE agentapp_stage SET opened_at = NULL, parts_left = 0 WHERE id = j.stage_id;
  w := moves.append_history(w, 'job', j.id, 'running', 'pending', p ->> 'actor', p ->> 'reason', NULL, moment);
  UPDATE agentapp_approval SET state = 'reopened' WHERE id = (p ->> 'approval')::uuid AND state = 'approved'
  RETURNING * INTO STRICT a;
  w := moves.append_history(w, 'approval', a.id, 'approved', 'reopened', p ->> 'actor', p ->> 'reason', NULL, moment);
  UPDATE agentapp_stage SET closed_at = NULL, parts_left = 1, output = NULL WHERE id = a.stage_id RETURNING * INTO s;
  INSERT INTO agentapp_approval (id, workflow_id, stage_id, tenant_id, state, content, content_sha256, draft, sources,
                                 evaluation, risk, approved_sha256, reason, created_at, expires_at)
  VALUES (fresh, w.id, a.stage_id, a.tenant_id, 'pending', p -> 'content', p ->> 'new_sha256', a.draft, a.sources,
          a.evaluation, a.risk, '', '', moment, moment + (a.expires_at - a.created_at));
  w := moves.append_history(w, 'approval', fresh, '', 'pending', p ->> 'actor', p ->> 'reason', NULL, moment);
  w.position := s.position;
  w := moves.set_task_state(w, 'awaiting_approval', p ->> 'actor', p ->> 'reason', moment);
  PERFORM moves.save_workflow(w);
  RETURN jsonb_build_object('status', 'ok', 'state', w.state, 'opened', '[]'::jsonb, 'tail', '[]'::jsonb);
END $$;
