-- unused parameter "p_settled"
-- record "p_settled" has no field "colour"
-- cannot cast type record to moves.settled
CREATE TYPE moves.settled AS (job uuid, attempt int);

CREATE FUNCTION moves.bad(p_settled moves.settled) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN p_settled.colour;
END $$;

CREATE FUNCTION moves.worse() RETURNS moves.settled LANGUAGE plpgsql AS $$
BEGIN
  RETURN ROW(gen_random_uuid(), 1, 'too many')::moves.settled;
END $$;
