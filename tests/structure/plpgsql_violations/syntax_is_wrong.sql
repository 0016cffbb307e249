-- missing expression at or near "THEN"
-- syntax error at or near
CREATE FUNCTION moves.bad() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF THEN END IF;
END;
END $$;

CREATE FUNCTION moves.worse() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT FROM WHERE);
END $$;
