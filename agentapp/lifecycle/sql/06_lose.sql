-- End the attempt of a worker that is gone. p_ending: a moves.settle_request; its token is the lease of the attempt that was
-- decided about: where another attempt has begun since, the decision is out of date. The lease must have run out, or be the
-- one that the process held when it was seen last (a process that is gone renews nothing), or it is certain that the process
-- has ended.
CREATE OR REPLACE FUNCTION moves.lose(
  p_ending jsonb, p_actor text, p_is_certain boolean, p_process bigint, p_seen timestamptz,
  p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r moves.settle_request := jsonb_populate_record(NULL::moves.settle_request, p_ending);
  t moves.task := moves.lock_task(r.workflow, p_actor, p_now);
  j agentapp_job;
BEGIN
  SELECT * INTO j FROM agentapp_job
   WHERE id = r.job AND workflow_id = t.id AND state = 'running' AND lease_token = r.token
     AND (lease_expires_at < t.now OR p_is_certain OR process = p_process AND lease_expires_at = p_seen)
     FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost');
  END IF;
  t := moves.settle_one(t, j, (SELECT s FROM agentapp_stage s WHERE s.id = j.stage_id), r, NULL);
  PERFORM moves.save(ARRAY[t]);
  RETURN t.answer;
END $$;
