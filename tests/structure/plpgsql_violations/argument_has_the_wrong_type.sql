-- unused parameter "p"
-- function moves.half(text) does not exist
CREATE FUNCTION moves.half(p_n int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT p_n / 2 $$;

CREATE FUNCTION moves.bad(p jsonb) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RETURN moves.half(p ->> 'n');
END $$;
