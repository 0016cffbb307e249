-- 0
CREATE OR REPLACE FUNCTION moves.look_at_each(p_task uuid, p_limit int, p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  many int := (SELECT count(*) FROM agentapp_job WHERE state = 'available' AND published_at IS NULL);
BEGIN
  IF EXISTS (SELECT 1 FROM agentapp_job WHERE state = 'available' AND workflow_id = p_task) THEN
    RETURN '{}';
  END IF;
  RETURN (
    WITH RECURSIVE list AS (
      (SELECT queue FROM agentapp_job WHERE state = 'available' ORDER BY queue LIMIT 1)
      UNION ALL
      SELECT n.* FROM list CROSS JOIN LATERAL (
        SELECT j.queue FROM agentapp_job j WHERE j.state = 'available' AND j.queue > list.queue ORDER BY j.queue LIMIT 1) n)
    SELECT jsonb_agg(found.id) FROM list CROSS JOIN LATERAL (
      SELECT k.id FROM agentapp_job k WHERE k.state = 'available' AND k.queue = list.queue LIMIT p_limit) found);
END $$;
