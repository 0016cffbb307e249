-- 0
CREATE OR REPLACE FUNCTION moves.even(p_job uuid, p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_job, 'a', p_now);
  j agentapp_job;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND state = 'running' FOR NO KEY UPDATE;
  IF t.state IN ('running', 'needs_attention') AND j.state IS DISTINCT FROM 'dead_lettered' THEN
    t := moves.move_job(t, j, moves.entering(j, 'retryable', t.now), '');
  END IF;
  t := moves.note(t, 'approval', p_job, 'approved', 'reopened', '');
  RETURN jsonb_build_object('status', CASE t.state WHEN 'completed' THEN 'over' ELSE 'open' END, 'state', coalesce(t.state, 'deleted'));
END $$;
