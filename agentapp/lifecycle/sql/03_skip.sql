-- Stages that are not opened.

-- The condition of a stage is not met. Its job is cancelled, and is no work of the task any more; for a fan-out and a
-- decision, which have none, one is made: so the history tells of every stage that was skipped.
CREATE OR REPLACE FUNCTION moves.skip(INOUT t moves.task, s agentapp_stage, j agentapp_job) LANGUAGE plpgsql AS $$
DECLARE
  why text := 'its condition is not met';
BEGIN
  UPDATE agentapp_stage SET spec = spec || '{"skipped": true}' WHERE id = s.id;
  t.position := s.position;
  t.parts_left := 0;
  IF j.id IS NULL THEN
    t := moves.note(t, 'job', moves.stand_in(t, s, 'cancelled', NULL, NULL), '', 'cancelled', why);
  ELSE
    t := moves.move_job(t, j, moves.entering(j, 'cancelled', t.now), why);
    t.jobs_total := t.jobs_total - 1;
  END IF;
END $$;

-- Make a job that stands for a stage which has none. Nobody can run the one of a decision: it has no queue.
CREATE OR REPLACE FUNCTION moves.stand_in(t moves.task, s agentapp_stage, p_state text, p_payload jsonb, p_error jsonb)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  fresh uuid := moves.uuid7();
BEGIN
  INSERT INTO agentapp_job (id, workflow_id, stage_id, tenant_id, type, queue, model, tool, state, part, payload, error,
                            priority, attempt, max_attempts, timeout_s, worker, publishes, finished_at)
  VALUES (fresh, t.id, s.id, t.tenant_id, coalesce(nullif(s.job_type, ''), s.name), coalesce(s.spec ->> 'queue', ''),
          coalesce(s.spec ->> 'model', ''), coalesce(s.spec ->> 'tool', ''), p_state, 0, p_payload, p_error, t.priority, 0,
          coalesce((s.spec ->> 'max_attempts')::int, 1), coalesce((s.spec ->> 'timeout_s')::int, 60), '', 0, t.now);
  RETURN fresh;
END $$;
