-- Tasks that are not to begin before a moment.

-- Why the first stage of a task could not be opened, null where it could: opened, and undone.
CREATE OR REPLACE FUNCTION moves.first_problem(t moves.task) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  opened moves.task;
BEGIN
  BEGIN
    opened := moves.advance(t);
    RAISE EXCEPTION 'undone' USING ERRCODE = 'AA000';
  EXCEPTION WHEN SQLSTATE 'AA000' THEN
    RETURN opened.problem;
  END;
END $$;

-- scheduled -> pending: its time has come, and its first stage opens.
CREATE OR REPLACE FUNCTION moves.begin_scheduled(p_workflow uuid, p_actor text, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
BEGIN
  IF t.id IS NULL OR t.state <> 'scheduled' OR t.run_at > t.now THEN
    RETURN moves.refused(t);
  END IF;
  t := moves.set_state(t, 'pending', 'its time has come');
  t := moves.advance(t);
  RETURN moves.saved(t);
END $$;
