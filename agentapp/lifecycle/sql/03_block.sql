-- The next stage of a plan cannot be opened: a dead letter stands for it, and its task needs attention. A person replays
-- an earlier stage, or where the stage has a job of its own that job with another payload, resolves it, or cancels.
--
-- A fan-out and a decision have no job yet: one is made for them, the only part of its stage. `unopened` in the spec says that even a join that waits for no success is blocked.
CREATE OR REPLACE FUNCTION moves.block_stage(INOUT t moves.task, p_problem text, p_bound jsonb) LANGUAGE plpgsql AS $$
DECLARE
  s agentapp_stage;
  letter uuid;
  before text;
  why jsonb := jsonb_build_object('class', 'StageNotOpened', 'kind', 'permanent', 'message', p_problem);
  kept jsonb := CASE WHEN pg_column_size(p_bound) <= 65536 THEN p_bound END;
BEGIN
  SELECT * INTO s FROM agentapp_stage WHERE workflow_id = t.id AND position > t.position ORDER BY position LIMIT 1;
  IF NOT FOUND THEN
    RAISE EXCEPTION '%', p_problem;
  END IF;
  UPDATE agentapp_stage SET spec = spec || '{"unopened": true}' WHERE id = s.id;
  UPDATE agentapp_job SET state = 'dead_lettered', payload = kept, error = why, finished_at = t.now
   WHERE workflow_id = t.id AND stage_id = s.id AND state = 'pending'
  RETURNING id, 'pending' INTO letter, before;
  IF NOT FOUND THEN
    before := '';
    letter := moves.stand_in(t, s, 'dead_lettered', kept, why);
    t.jobs_total := t.jobs_total + 1;
  END IF;
  t.position := s.position;
  t.parts_left := 1;
  t.problem := p_problem;
  t := moves.note(t, 'job', letter, before, 'dead_lettered', p_problem);
  IF t.state IN ('pending', 'running') THEN
    t := moves.set_state(t, 'needs_attention', p_problem);
  END IF;
END $$;
