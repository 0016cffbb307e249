-- Moves of effects. Each send has a number and belongs to the attempt that began it: an attempt that lost its job says
-- nothing about a later send. [D7]

-- Until when the sender of an effect holds its job, or null: nobody sends it now. p_job is who asks. An expired lease can
-- still be renewed, until the rescuer ends it. A worker of the previous release writes no sender; the job that it sends for
-- is then taken for it.
CREATE OR REPLACE FUNCTION moves.sent_until(e agentapp_effect, p_job uuid) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT j.lease_expires_at FROM agentapp_job j
     WHERE e.state = 'sent' AND j.id = e.job_id AND j.id IS DISTINCT FROM p_job AND j.state = 'running'
       AND (e.sender_sends IS DISTINCT FROM e.sends OR j.lease_token = e.sender));
END $$;

-- Begin an effect under its key: written down before the provider is called. Only the owner of the lease may begin.
--
-- p: workflow, job, token, tenant, key, type, request_sha256; asked_sends: the provider was asked about this send, and has
-- not seen it. While another sender holds its lease the answer is `sending`, with `until`.
CREATE OR REPLACE FUNCTION moves.begin_effect(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  until timestamptz;
  e agentapp_effect;
BEGIN
  -- Without the lock of the task, which its other jobs need: a move that ends a task locks its jobs first.
  PERFORM 1 FROM agentapp_job WHERE id = (p ->> 'job')::uuid AND lease_token = (p ->> 'token')::uuid AND state = 'running'
     FOR NO KEY UPDATE;
  IF NOT FOUND OR EXISTS (SELECT 1 FROM agentapp_workflow
                           WHERE id = (p ->> 'workflow')::uuid AND finished_at IS NOT NULL) THEN
    RETURN jsonb_build_object('status', 'lost');
  END IF;
  INSERT INTO agentapp_effect (id, tenant_id, key, type, state, workflow_id, job_id, request_sha256, sends, prepared_at)
  VALUES (moves.uuid7(), (p ->> 'tenant')::bigint, p ->> 'key', p ->> 'type', 'prepared', (p ->> 'workflow')::uuid,
          (p ->> 'job')::uuid, p ->> 'request_sha256', 0, moves.moment(p))
  ON CONFLICT (tenant_id, key) DO NOTHING;
  SELECT * INTO STRICT e FROM agentapp_effect
   WHERE tenant_id = (p ->> 'tenant')::bigint AND key = p ->> 'key' FOR NO KEY UPDATE;
  moment := moves.moment(p);
  until := moves.sent_until(e, (p ->> 'job')::uuid);
  -- Prepared means: an earlier call certainly sent nothing, or there was none.
  IF e.state = 'prepared' OR until IS NULL AND e.state IN ('sent', 'unknown') AND e.sends = (p ->> 'asked_sends')::int THEN
    UPDATE agentapp_effect
       SET state = 'sent', sends = sends + 1, sent_at = moment, job_id = (p ->> 'job')::uuid,
           sender = (p ->> 'token')::uuid, sender_sends = sends + 1, request_sha256 = p ->> 'request_sha256'
     WHERE id = e.id AND state = e.state
    RETURNING * INTO STRICT e;
    RETURN jsonb_build_object('status', 'begun', 'id', e.id, 'sends', e.sends);
  END IF;
  RETURN jsonb_build_object('status', CASE WHEN until IS NULL THEN e.state ELSE 'sending' END, 'id', e.id, 'sends', e.sends,
                            'until', until, 'request_sha256', e.request_sha256, 'response', e.response);
END $$;

-- What a send has come to, short of an answer: `prepared`, it has certainly changed nothing; `unknown`, nobody can tell.
--
-- p: effect, sends, to; token of the sender, or job of somebody who found an earlier send. Refused when a later send has
-- begun, or when another sender holds its lease.
CREATE OR REPLACE FUNCTION moves.end_send(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  e agentapp_effect;
BEGIN
  SELECT * INTO e FROM agentapp_effect WHERE id = (p ->> 'effect')::uuid FOR NO KEY UPDATE;
  IF NOT FOUND OR e.state <> 'sent' OR e.sends <> (p ->> 'sends')::int
     OR p ? 'token' AND e.sender IS DISTINCT FROM (p ->> 'token')::uuid
     OR NOT p ? 'token' AND moves.sent_until(e, (p ->> 'job')::uuid) IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'refused', 'state', e.state);
  END IF;
  UPDATE agentapp_effect SET state = p ->> 'to' WHERE id = e.id AND state = 'sent';
  RETURN jsonb_build_object('status', 'ok', 'state', p ->> 'to');
END $$;
