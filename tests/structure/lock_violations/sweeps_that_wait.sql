-- 6
-- The same for all that are due, whoever holds one of them.
CREATE OR REPLACE FUNCTION moves.make_all_due(p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM agentapp_job WHERE state = 'retryable' AND scheduled_at < now() ORDER BY id FOR NO KEY UPDATE;
  UPDATE agentapp_job SET state = 'available' WHERE state = 'retryable' AND scheduled_at < now();
  WITH due AS (SELECT id FROM agentapp_job WHERE state = 'retryable' LIMIT 200)
  UPDATE agentapp_job j SET publishes = 0 FROM due WHERE j.id = due.id;
  DELETE FROM agentapp_approval WHERE state = 'pending' AND expires_at < now();
  PERFORM 1 FROM agentapp_workflow WHERE id = ANY(ARRAY(SELECT workflow_id FROM agentapp_job)) FOR SHARE;
  RETURN '{}';
END $$;

CREATE OR REPLACE FUNCTION moves.expire_all(p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  task uuid;
BEGIN
  FOR task IN SELECT id FROM agentapp_workflow WHERE deadline_at < now() LOOP
    PERFORM moves.lock_task(task, 'dispatcher', now());
  END LOOP;
  RETURN '{}';
END $$;
