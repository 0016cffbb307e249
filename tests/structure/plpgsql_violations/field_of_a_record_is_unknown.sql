-- never read variable "r"
-- never read variable "s"
-- record "r" has no field "helt"
-- record "s" has no field "colour"
CREATE FUNCTION moves.opened(OUT opened jsonb, OUT held int) LANGUAGE plpgsql AS $$
BEGIN
  opened := '[]';
  held := 0;
END $$;

CREATE FUNCTION moves.bad() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  r record;
BEGIN
  r := moves.opened();
  RETURN r.helt;
END $$;

CREATE FUNCTION moves.worse() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  s record;
BEGIN
  SELECT id, attempt INTO s FROM agentapp_job LIMIT 1;
  RETURN s.colour;
END $$;
