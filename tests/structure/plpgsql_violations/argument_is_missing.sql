-- function moves.sum(integer) does not exist
CREATE FUNCTION moves.sum(p_a int, p_b int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT p_a + p_b $$;

CREATE FUNCTION moves.bad() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM moves.sum(1);
END $$;
