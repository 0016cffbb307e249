-- 2
CREATE OR REPLACE FUNCTION moves.cancel_it(INOUT t moves.task, j agentapp_job) LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_job SET state = 'cancelled' WHERE id = j.id AND state = j.state;
  UPDATE ONLY agentapp_job k SET (state, finished_at) = ('cancelled', t.now) WHERE k.id = j.id AND k.state = j.state;
END $$;
