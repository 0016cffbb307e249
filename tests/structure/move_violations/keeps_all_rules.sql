-- 0
CREATE OR REPLACE FUNCTION moves.proper(p_job uuid, p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  task uuid;
  w agentapp_workflow;
  j agentapp_job;
BEGIN
  SELECT workflow_id INTO task FROM agentapp_job WHERE id = p_job;
  SELECT * INTO w FROM agentapp_workflow WHERE id = task FOR NO KEY UPDATE;
  SELECT * INTO j FROM agentapp_job WHERE id = p_job FOR NO KEY UPDATE;
  UPDATE agentapp_job SET priority = 1 WHERE id = j.id;
  UPDATE agentapp_effect SET state = 'prepared' WHERE job_id = j.id AND state IN ('sent', 'unknown');
  RETURN '{}';
END $$;
