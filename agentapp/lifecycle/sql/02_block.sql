-- The next stage of a plan cannot be opened: a dead letter stands for it, and its task needs attention. A person replays
-- an earlier stage, or where the stage has a job of its own that job with another payload, resolves it, or cancels.
--
-- A fan-out and a decision have no job yet: one is made for them, the only part of its stage. Nobody can run the one of a
-- decision: it has no queue. `unopened` in the spec says that even a join that waits for no success is blocked.
CREATE OR REPLACE FUNCTION moves.block_stage(
  INOUT w agentapp_workflow, p_problem text, p_bound jsonb, p_actor text, p_now timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
  s agentapp_stage;
  letter uuid;
  before text := '';
  why jsonb := jsonb_build_object('class', 'StageNotOpened', 'kind', 'permanent', 'message', p_problem);
  kept jsonb := CASE WHEN pg_column_size(p_bound) <= 65536 THEN p_bound END;
BEGIN
  SELECT * INTO s FROM agentapp_stage WHERE workflow_id = w.id AND opened_at IS NULL ORDER BY position LIMIT 1;
  IF NOT FOUND THEN
    RAISE EXCEPTION '%', p_problem;
  END IF;
  UPDATE agentapp_stage
     SET opened_at = p_now, parts = 1, spec = spec || '{"unopened": true}',
         -- Where dead letters count as done, this one does until it is replayed.
         parts_left = CASE WHEN spec -> 'join' ->> 'rule' = 'settled' THEN 0 ELSE 1 END
   WHERE id = s.id;
  UPDATE agentapp_job SET state = 'dead_lettered', payload = kept, error = why, finished_at = p_now
   WHERE workflow_id = w.id AND stage_id = s.id AND state = 'pending'
  RETURNING id, 'pending' INTO letter, before;
  IF NOT FOUND THEN
    INSERT INTO agentapp_job (id, workflow_id, stage_id, tenant_id, type, queue, model, tool, state, part, payload, error,
                              priority, attempt, max_attempts, timeout_s, worker, publishes, finished_at)
    VALUES (moves.uuid7(), w.id, s.id, w.tenant_id, coalesce(nullif(s.job_type, ''), s.name),
            coalesce(s.spec ->> 'queue', ''), coalesce(s.spec ->> 'model', ''), coalesce(s.spec ->> 'tool', ''),
            'dead_lettered', 0, kept, why, w.priority, 0, coalesce((s.spec ->> 'max_attempts')::int, 1),
            coalesce((s.spec ->> 'timeout_s')::int, 60), '', 0, p_now)
    RETURNING id, '' INTO letter, before;
    w.jobs_total := w.jobs_total + 1;
  END IF;
  w.position := s.position;
  w := moves.append_history(w, 'job', letter, before, 'dead_lettered', p_actor, p_problem, NULL, p_now);
  IF w.state IN ('pending', 'running') THEN
    w := moves.set_task_state(w, 'needs_attention', p_actor, p_problem, p_now);
  END IF;
END $$;
