-- 2
CREATE OR REPLACE FUNCTION moves.forget(p_workflow uuid, p_actor text, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
BEGIN
  t := moves.set_state(t, 'cancelled', 'forgotten');
  PERFORM moves.saved(t);
  PERFORM moves.save(ARRAY[t]);
  RETURN '{}';
END $$;
