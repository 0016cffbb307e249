-- 3
CREATE OR REPLACE FUNCTION moves.resume_it(p_workflow uuid, p_job uuid, p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  is_open boolean := EXISTS (SELECT 1 FROM agentapp_limit WHERE mode = 'open');
BEGIN
  IF EXISTS (SELECT 1 FROM agentapp_job WHERE id = p_job AND state = 'retryable') THEN
    RETURN '{}';
  END IF;
  PERFORM 1 FROM agentapp_stage s JOIN agentapp_job j ON j.stage_id = s.id WHERE j.id = p_job;
  PERFORM 1 FROM agentapp_workflow WHERE id = p_workflow FOR NO KEY UPDATE;
  RETURN '{}';
END $$;
