-- 4
CREATE OR REPLACE FUNCTION moves.look_at_all(p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  j agentapp_job;
BEGIN
  -- The oldest of one queue may be all of them.
  FOR j IN SELECT * FROM agentapp_job WHERE state = 'available' ORDER BY published_at LIMIT 200 LOOP
    PERFORM moves.publish_again(j.id, j.publishes);
  END LOOP;
  WITH found AS (SELECT id FROM agentapp_job k WHERE k.state = 'available' AND k.queue = 'model')
  UPDATE agentapp_job j SET publishes = 0 FROM found WHERE j.id = found.id;
  RETURN (SELECT jsonb_agg(j.id) FROM agentapp_job j WHERE j.state IN ('available', 'retryable')
             AND EXISTS (SELECT 1 FROM agentapp_limit l WHERE l.key = 'queue:' || j.queue LIMIT 1))
      || (SELECT jsonb_agg(x.id) FROM (SELECT id FROM agentapp_job WHERE state = 'running' LIMIT 9
                                        UNION ALL SELECT id FROM agentapp_job WHERE state = 'available') x);
END $$;
