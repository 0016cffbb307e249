-- unused parameter "p_job"
-- relation "agentapp_jobs" does not exist
CREATE FUNCTION moves.bad(p_job uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM agentapp_jobs WHERE id = p_job;
END $$;
