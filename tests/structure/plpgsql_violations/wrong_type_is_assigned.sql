-- cast "text" value to "integer" type
-- invalid input syntax for type json
-- invalid input syntax for type integer: "many"
-- cast "jsonb" value to "timestamp with time zone" type
CREATE FUNCTION moves.bad_default(p jsonb) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  n int := p ->> 'n';
BEGIN
  RETURN n;
END $$;

CREATE FUNCTION moves.bad_literal() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  made jsonb := '{';
BEGIN
  RETURN made;
END $$;

CREATE FUNCTION moves.bad_moment(p jsonb) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
BEGIN
  moment := p -> 'now';
  RETURN moment;
END $$;

CREATE FUNCTION moves.bad_return() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RETURN 'many';
END $$;
