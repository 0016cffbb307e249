-- unused parameter "j"
-- record "j" has no field "colour"
CREATE FUNCTION moves.bad(j agentapp_job) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN j.colour;
END $$;
