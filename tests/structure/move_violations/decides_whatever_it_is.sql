-- 2
CREATE OR REPLACE FUNCTION moves.decide_it(p_workflow uuid, p_approval uuid, p_effect uuid, p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM agentapp_workflow WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE agentapp_approval SET decided_at = now(), state = 'approved' WHERE id = p_approval;
  -- A guard in a comment is none: AND state = 'pending'
  WITH known AS (UPDATE agentapp_effect e SET state = 'confirmed' WHERE e.id = p_effect RETURNING e.id)
  SELECT count(*) FROM known;
  RETURN '{}';
END $$;
