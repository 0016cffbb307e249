-- unused variable "n"
-- never read variable "m"
-- unused parameter "p_job"
CREATE FUNCTION moves.bad(p_job uuid) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  n int;
  m int;
BEGIN
  m := 1;
  RETURN 2;
END $$;
