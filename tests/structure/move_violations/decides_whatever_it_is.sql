-- 2
CREATE OR REPLACE FUNCTION moves.decide_it(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM agentapp_workflow WHERE id = (p ->> 'workflow')::uuid FOR NO KEY UPDATE;
  UPDATE agentapp_approval SET decided_at = now(), state = 'approved' WHERE id = (p ->> 'approval')::uuid;
  -- A guard in a comment is none: AND state = 'pending'
  WITH known AS (UPDATE agentapp_effect e SET state = 'confirmed' WHERE e.id = (p ->> 'effect')::uuid RETURNING e.id)
  SELECT count(*) FROM known;
  RETURN '{}';
END $$;
