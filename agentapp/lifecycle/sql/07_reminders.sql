-- Reminders and escalations of approvals that wait. [G2]

-- Remind of an approval, or escalate it: from then on more groups decide. Each once, however many dispatchers ask; of both at
-- once the escalation alone. Lists show it again, whatever was snoozed. Refused where neither is due.
CREATE OR REPLACE FUNCTION moves.remind(p_workflow uuid, p_approval uuid, p_actor text, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
  a agentapp_approval;
  said text;
BEGIN
  SELECT * INTO a FROM agentapp_approval WHERE id = p_approval AND workflow_id = t.id FOR NO KEY UPDATE;
  IF a.id IS NULL OR a.expires_at <= t.now OR NOT moves.is_asked(t, a) THEN
    RETURN moves.refused(t);
  ELSIF a.escalate_at <= t.now THEN
    said := 'escalated';
  ELSIF a.remind_at <= t.now THEN
    said := 'reminded';
  ELSE
    RETURN moves.refused(t);
  END IF;
  UPDATE agentapp_approval
     SET snoozed_until = NULL,
         remind_at = CASE WHEN remind_at > t.now THEN remind_at END,
         escalate_at = CASE WHEN escalate_at > t.now THEN escalate_at END,
         mail_at = CASE WHEN (a.policy -> 'mails_approvers')::boolean THEN t.now ELSE mail_at END,
         escalated_at = CASE WHEN said = 'escalated' THEN t.now ELSE escalated_at END
   WHERE id = a.id AND state = 'pending';
  t := moves.note(t, 'approval', a.id, 'pending', 'pending', said);
  PERFORM moves.tell_of_approval(t, 'approval.' || said);
  RETURN moves.saved(t) || jsonb_build_object('said', said);
END $$;

-- Note for webhooks what happened to an approval of a task that a client knows.
CREATE OR REPLACE FUNCTION moves.tell_of_approval(t moves.task, p_type text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF t.origin IN ('client', 'schedule') THEN
    PERFORM moves.tell_webhooks(t, p_type);
  END IF;
END $$;
