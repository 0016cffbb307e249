-- column "colour" does not exist
-- column "colour" of relation "agentapp_job" does not exist
CREATE FUNCTION moves.bad(p_job uuid) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  IF p_job IS NULL THEN
    RETURN (SELECT colour FROM agentapp_job WHERE id = p_job);
  END IF;
  UPDATE agentapp_job SET colour = 'red' WHERE id = p_job;
  RETURN 1;
END $$;
