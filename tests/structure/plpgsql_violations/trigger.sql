-- record "new" has no field "colour"
-- no table has this trigger
CREATE FUNCTION moves.bad() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.colour := 'red';
  RETURN NEW;
END $$;
CREATE TRIGGER bad BEFORE UPDATE ON agentapp_job FOR EACH ROW EXECUTE FUNCTION moves.bad();

CREATE FUNCTION moves.idle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RETURN NEW;
END $$;
