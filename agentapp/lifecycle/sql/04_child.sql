-- Tasks that a stage of another task stands for.

-- Write down a task for the job that runs it, as its owner: for the same principal, as urgent as its parent. Once for each
-- job and replay: p_id is made of them. [B3]
--
-- The job is locked before anything is written: either it has been cancelled before, and there is nothing to do, or who cancels
-- it finds this task.
CREATE OR REPLACE FUNCTION moves.submit_child(
  p_id uuid, p_job uuid, p_token uuid, p_actor text, p_kind text, p_version int, p_input jsonb, p_stages jsonb, p_result_bind jsonb,
  p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  p agentapp_workflow;
BEGIN
  PERFORM moves.check_class(p_job);
  PERFORM 1 FROM agentapp_job WHERE id = p_job AND lease_token = p_token AND state = 'running' FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost', 'state', (SELECT state FROM agentapp_job WHERE id = p_job));
  ELSIF EXISTS (SELECT 1 FROM agentapp_workflow WHERE id = p_id) THEN
    RETURN '{"status": "known"}';
  END IF;
  SELECT w.* INTO p FROM agentapp_workflow w JOIN agentapp_job j ON j.workflow_id = w.id WHERE j.id = p_job;
  RETURN moves.submit(p_id, p.tenant_id, p.api_key_id, p.user_id, p_actor, p_kind, p_version, p.priority, p_input, p.labels,
                      p_stages, p_result_bind, NULL, 1, 1, 1, NULL, '', 'child', p.id, NULL, NULL,
                      moves.traceparent(p.id, p.traceparent), p_now);
END $$;

-- A task that another one waits for is over: the job that runs it need not wait until it looks again. Its row alone, without the
-- lock of its task: what is busy now looks again by itself.
CREATE OR REPLACE FUNCTION moves.wake_parent(t moves.task) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  WITH waiting AS (
    SELECT id FROM agentapp_job
     WHERE workflow_id = t.parent AND type = 'run_task' AND state = 'retryable' AND scheduled_at > t.now
       FOR NO KEY UPDATE SKIP LOCKED)
  UPDATE agentapp_job j SET scheduled_at = t.now FROM waiting WHERE j.id = waiting.id;
END $$;
