-- 10
CREATE OR REPLACE FUNCTION moves.odd(p_job uuid, r moves.settle_request, p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_job, 'a', p_now);
  j agentapp_job;
BEGIN
  -- A state in a comment is none: j.state = 'lost'
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND state = 'lost' FOR NO KEY UPDATE;
  IF t.state IN ('running', 'dead_lettered') OR j.state <> 'needs_attention' THEN
    r.state := 'done';
  END IF;
  t := moves.set_state(t, 'available', '');
  t := moves.move_job(t, j, moves.entering(j, 'finished', t.now), '');
  PERFORM moves.end_attempt(j, 'expired', NULL, t.now);
  t := moves.note(t, 'job', j.id, 'completed', 'running', '');
  UPDATE agentapp_effect e SET state = CASE WHEN e.sends > 0 THEN 'sent' ELSE 'lost' END WHERE e.id = p_job AND e.state = 'open';
  RETURN '{}';
END $$;
