-- control reached end of function without RETURN
-- control reached end of function without RETURN
CREATE FUNCTION moves.bad(p_n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  IF p_n > 0 THEN
    RETURN 1;
  END IF;
END $$;

CREATE FUNCTION moves.worse(p_n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  PERFORM p_n;
END $$;
