-- 1
CREATE OR REPLACE FUNCTION moves.early(p_job uuid, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  w agentapp_workflow;
  j agentapp_job;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = p_job;
  IF j.state <> 'available' THEN
    RETURN jsonb_build_object('refused', j.state);
  END IF;
  SELECT * INTO w FROM agentapp_workflow WHERE id = j.workflow_id FOR NO KEY UPDATE;
  RETURN '{}';
END $$;
