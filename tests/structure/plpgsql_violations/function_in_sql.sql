-- column "colour" does not exist
-- return type mismatch in function declared to return integer
CREATE FUNCTION moves.bad() RETURNS text LANGUAGE sql STABLE AS $$ SELECT colour FROM agentapp_job $$;
CREATE FUNCTION moves.worse() RETURNS int LANGUAGE sql STABLE AS $$ SELECT queue FROM agentapp_job $$;
