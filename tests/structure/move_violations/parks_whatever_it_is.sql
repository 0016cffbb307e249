-- 2
CREATE OR REPLACE FUNCTION moves.park_it(INOUT w agentapp_workflow, j agentapp_job) LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_job
     SET state = 'scheduled', scheduled_at = now()
   WHERE id = j.id;
END $$;
