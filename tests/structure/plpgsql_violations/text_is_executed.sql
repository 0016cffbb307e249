-- text type variable is not sanitized
CREATE FUNCTION moves.bad(p_table text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE 'DELETE FROM ' || p_table;
END $$;
