CREATE TYPE moves.settled AS (job uuid, attempt int);

CREATE FUNCTION moves.settled_of(INOUT w agentapp_workflow, p_job uuid, OUT settled moves.settled, OUT n int)
LANGUAGE plpgsql AS $$
DECLARE
  found jsonb := '{}';
  names text[] := '{}';
BEGIN
  found := found || jsonb_build_object('names', names);
  w.result := found;
  SELECT id, attempt INTO settled FROM agentapp_job WHERE id = p_job;
  n := settled.attempt;
END $$;

CREATE FUNCTION moves.attempts(p_settled moves.settled[]) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  each moves.settled;
  n int := 0;
BEGIN
  FOREACH each IN ARRAY p_settled LOOP
    n := n + each.attempt;
  END LOOP;
  RETURN n;
END $$;

CREATE FUNCTION moves.empty() RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN '{}';
END $$;
