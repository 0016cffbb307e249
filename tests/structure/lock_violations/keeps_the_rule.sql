-- 0
CREATE OR REPLACE FUNCTION moves.proper(
  p_task uuid, p_job uuid, p_limit int, p_tasks uuid[], p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM agentapp_job WHERE id = p_job FOR NO KEY UPDATE;
  PERFORM 1 FROM agentapp_job WHERE state = 'running' ORDER BY id FOR NO KEY UPDATE SKIP LOCKED;
  PERFORM 1 FROM agentapp_job WHERE state = 'running' AND workflow_id = ANY(p_tasks) ORDER BY id FOR NO KEY UPDATE;
  PERFORM 1 FROM agentapp_job WHERE array_position(p_tasks, workflow_id) IS NOT NULL ORDER BY id FOR NO KEY UPDATE;
  UPDATE agentapp_approval SET state = 'expired' WHERE workflow_id = p_task AND state = 'pending';
  WITH free AS (
    SELECT id FROM agentapp_job WHERE state = 'retryable' ORDER BY id LIMIT p_limit FOR UPDATE SKIP LOCKED)
  UPDATE agentapp_job j SET publishes = 0 FROM free WHERE j.id = free.id;
  WITH parts AS (SELECT id FROM agentapp_job WHERE workflow_id = p_task)
  UPDATE agentapp_job j SET publishes = 0 FROM parts WHERE j.id = parts.id;
  RETURN '{}';
END $$;
