-- Notices: a person tells the client of a task what became of a dead letter.

-- Add a notice to the task that a client asked for; the dead letter may be one of a part of it. A row of the history, which
-- streams tell, and an event of webhooks. The same words about the same failure are one notice.
CREATE OR REPLACE FUNCTION moves.notify(
  p_workflow uuid, p_job uuid, p_actor text, p_text text, p_most int, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
  told jsonb;
  blocked jsonb;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND tenant_id = t.tenant_id;
  blocked := moves.letter_problem(t, j);
  IF blocked IS NOT NULL THEN
    RETURN blocked;
  ELSIF t.origin NOT IN ('client', 'schedule') THEN
    RETURN jsonb_build_object('status', 'no client', 'state', t.state);
  END IF;
  SELECT coalesce(notices, '[]') INTO told FROM agentapp_workflow WHERE id = t.id;
  IF EXISTS (SELECT FROM jsonb_array_elements(told) n
              WHERE n ->> 'job' = j.id::text AND n ->> 'text' = p_text AND (n ->> 'at')::timestamptz >= j.finished_at) THEN
    RETURN moves.saved(t);
  ELSIF jsonb_array_length(told) >= p_most THEN
    RETURN jsonb_build_object('status', 'enough', 'state', t.state);
  END IF;
  UPDATE agentapp_workflow
     SET notices = told || jsonb_build_object('at', t.now, 'by', t.actor, 'job', j.id, 'text', p_text)
   WHERE id = t.id AND state = t.state;
  t := moves.note(t, 'workflow', NULL, t.state, t.state, p_text, jsonb_build_object('notice', true, 'job', j.id));
  PERFORM moves.tell_webhooks(t, 'task.notice');
  RETURN moves.saved(t);
END $$;
