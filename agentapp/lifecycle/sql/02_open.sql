-- Open one stage: a job, a decision, or the parts of a fan-out. moves.stage_problem has found nothing against it.

CREATE OR REPLACE FUNCTION moves.open_job(
  INOUT w agentapp_workflow, s agentapp_stage, p_bound jsonb, p_actor text, p_take jsonb, p_now timestamptz,
  OUT opened jsonb, OUT taken jsonb
) LANGUAGE plpgsql AS $$
DECLARE
  r record;
  j agentapp_job;
  follows boolean := false;
  room int;
BEGIN
  opened := '[]';
  UPDATE agentapp_stage SET opened_at = p_now, parts = 1, parts_left = 1 WHERE id = s.id;
  IF p_take -> 'queues' ? (s.spec ->> 'queue') THEN
    SELECT * INTO STRICT j FROM agentapp_job WHERE workflow_id = w.id AND stage_id = s.id FOR NO KEY UPDATE;
    j.model := coalesce(p_take -> 'models' ->> j.type, j.model);
    follows := true;
    IF moves.may_follow((p_take ->> 'job')::uuid, j, p_now) THEN
      r := moves.take(w, j, p_take, p_bound, p_now);
      w := r.w;
      taken := r.taken;
      RETURN;
    END IF;
  END IF;
  room := CASE WHEN follows THEN 1 ELSE moves.room_for_stage(w, s, 1, p_now) END;
  UPDATE agentapp_job
     SET state = 'available', payload = p_bound, priority = w.priority, available_at = p_now,
         published_at = CASE WHEN room > 0 THEN p_now END, publishes = room
   WHERE workflow_id = w.id AND stage_id = s.id AND state = 'pending'
  RETURNING * INTO STRICT j;
  w := moves.append_history(w, 'job', j.id, 'pending', 'available', p_actor, '', NULL, p_now);
  opened := jsonb_build_array(moves.link(j) || jsonb_build_object('follows', follows));
END $$;

CREATE OR REPLACE FUNCTION moves.open_decision(
  INOUT w agentapp_workflow, s agentapp_stage, p_bound jsonb, p_actor text, p_now timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
  approval uuid := moves.uuid7();
BEGIN
  UPDATE agentapp_stage SET opened_at = p_now, parts = 1, parts_left = 1 WHERE id = s.id;
  INSERT INTO agentapp_approval (id, workflow_id, stage_id, tenant_id, state, content, content_sha256, draft,
                                 sources, evaluation, risk, approved_sha256, reason, created_at, expires_at)
  VALUES (approval, w.id, s.id, w.tenant_id, 'pending', p_bound -> 'content', p_bound ->> 'content_sha256',
          p_bound -> 'content', coalesce(p_bound -> 'sources', '[]'), p_bound -> 'evaluation',
          coalesce(p_bound ->> 'risk', w.risk), '', '', p_now,
          p_now + make_interval(secs => (p_bound ->> 'expires_in_s')::float));
  w := moves.append_history(w, 'approval', approval, '', 'pending', p_actor, '', NULL, p_now);
  w := moves.set_task_state(w, 'awaiting_approval', p_actor, 'a person must decide', p_now);
END $$;

-- One job for each element, in one statement per table: a loop took quadratic time (10,000 parts: 15 s).
CREATE OR REPLACE FUNCTION moves.open_fan_out(
  INOUT w agentapp_workflow, s agentapp_stage, p_bound jsonb, p_actor text, p_now timestamptz,
  OUT n int, OUT opened jsonb, OUT held int
) LANGUAGE plpgsql AS $$
DECLARE
  elements jsonb := moves.elements(w, s);
  room int;
BEGIN
  n := jsonb_array_length(elements);
  room := moves.room_for_stage(w, s, n, p_now);
  held := greatest(0, n - room);
  UPDATE agentapp_stage
     SET opened_at = p_now, parts = n, closed_at = CASE WHEN n = 0 THEN p_now END,
         parts_left = CASE WHEN s.spec -> 'join' ->> 'rule' = 'at_least'
                           THEN least((s.spec -> 'join' ->> 'n')::int, n) ELSE n END
   WHERE id = s.id;
  INSERT INTO agentapp_job (id, workflow_id, stage_id, tenant_id, type, queue, model, tool, state, part, payload,
                            priority, attempt, max_attempts, timeout_s, worker, publishes, available_at, published_at)
  SELECT moves.uuid7(), w.id, s.id, w.tenant_id, s.job_type, s.spec ->> 'queue', coalesce(s.spec ->> 'model', ''),
         coalesce(s.spec ->> 'tool', ''), 'available', e.ordinality - 1,
         p_bound || jsonb_build_object(s.spec ->> 'each', e.value), w.priority, 0, (s.spec ->> 'max_attempts')::int,
         (s.spec ->> 'timeout_s')::int, '', (e.ordinality <= room)::int, p_now, CASE WHEN e.ordinality <= room THEN p_now END
    FROM jsonb_array_elements(elements) WITH ORDINALITY e;
  INSERT INTO agentapp_history (workflow_id, seq, at, noun, job_id, from_state, to_state, actor, reason)
  SELECT w.id, w.seq + j.part + 1, p_now, 'job', j.id, '', 'available', coalesce(p_actor, ''), ''
    FROM agentapp_job j WHERE j.workflow_id = w.id AND j.stage_id = s.id;
  w.seq := w.seq + n;
  w.jobs_total := w.jobs_total + n;
  SELECT coalesce(jsonb_agg(moves.link(j) ORDER BY j.part), '[]') INTO opened
    FROM agentapp_job j WHERE j.workflow_id = w.id AND j.stage_id = s.id AND j.part < room;
END $$;

-- What a fan-out goes over; whatever is there, list or not.
CREATE OR REPLACE FUNCTION moves.elements(w agentapp_workflow, s agentapp_stage) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN moves.bind(w, jsonb_build_object('over', s.spec -> 'over'), s.position) -> 'over';
END $$;
