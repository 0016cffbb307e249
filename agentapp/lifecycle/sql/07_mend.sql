-- Moves that people and the dispatcher make on jobs that do not run.

-- Cancel every job of a task that is not done; attempts that run lose their lease and can no longer store anything.
CREATE OR REPLACE FUNCTION agentapp_cancel_jobs_v1(INOUT w agentapp_workflow, p_actor text, p_reason text, p_now timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
  item record;
BEGIN
  FOR item IN SELECT id, state, lease_token FROM agentapp_job
               WHERE workflow_id = w.id AND state NOT IN ('completed', 'cancelled') ORDER BY id FOR NO KEY UPDATE LOOP
    UPDATE agentapp_job SET state = 'cancelled', lease_token = NULL, lease_expires_at = NULL, finished_at = p_now
     WHERE id = item.id;
    UPDATE agentapp_attempt SET finished_at = p_now, outcome = 'cancelled' WHERE id = item.lease_token;
    w := agentapp_note_v1(w, 'job', item.id, item.state, 'cancelled', p_actor, p_reason, NULL, p_now);
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION agentapp_cancel_v1(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := coalesce((p ->> 'now')::timestamptz, clock_timestamp());
  w agentapp_workflow;
  item record;
BEGIN
  SELECT * INTO w FROM agentapp_workflow WHERE id = (p ->> 'workflow')::uuid FOR NO KEY UPDATE;
  IF w.finished_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'refused', 'state', w.state);
  END IF;
  w := agentapp_cancel_jobs_v1(w, p ->> 'actor', p ->> 'reason', moment);
  FOR item IN UPDATE agentapp_approval SET state = 'cancelled', decided_at = moment
               WHERE workflow_id = w.id AND state = 'pending' RETURNING id LOOP
    w := agentapp_note_v1(w, 'approval', item.id, 'pending', 'cancelled', p ->> 'actor', p ->> 'reason', NULL, moment);
  END LOOP;
  w.error := jsonb_build_object('class', 'Cancelled', 'message', p ->> 'reason');
  w := agentapp_note_task_v1(w, 'cancelled', p ->> 'actor', p ->> 'reason', moment);
  PERFORM agentapp_keep_v1(w);
  RETURN jsonb_build_object('status', 'ok', 'state', w.state);
END $$;

-- Make a dead letter available again, with a fresh attempt budget; its attempts and history stay.
CREATE OR REPLACE FUNCTION agentapp_replay_v1(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := coalesce((p ->> 'now')::timestamptz, clock_timestamp());
  w agentapp_workflow;
  j agentapp_job;
BEGIN
  SELECT * INTO w FROM agentapp_workflow WHERE id = (p ->> 'workflow')::uuid FOR NO KEY UPDATE;
  UPDATE agentapp_job
     SET state = 'available', attempt = 0, payload = coalesce(p -> 'payload', payload), finished_at = NULL,
         available_at = moment, published_at = moment, publishes = 1
   WHERE id = (p ->> 'job')::uuid AND state = 'dead_lettered' AND w.finished_at IS NULL
  RETURNING * INTO j;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'refused', 'state', w.state);
  END IF;
  w := agentapp_note_v1(w, 'job', j.id, 'dead_lettered', 'available', p ->> 'actor', 'replayed',
                        jsonb_build_object('edited', p ? 'payload', 'attempts_before', p -> 'attempts'), moment);
  -- Under the join rule "settled" the dead letter had been counted as done.
  UPDATE agentapp_stage SET parts_left = parts_left + 1
   WHERE id = j.stage_id AND closed_at IS NULL AND spec -> 'join' ->> 'rule' = 'settled';
  IF w.state = 'needs_attention' AND NOT agentapp_is_blocked_v1(w.id) THEN
    w := agentapp_note_task_v1(w, 'running', p ->> 'actor', 'replayed', moment);
  END IF;
  PERFORM agentapp_keep_v1(w);
  RETURN jsonb_build_object(
    'status', 'ok', 'state', w.state, 'tail', agentapp_tail_v1(w.id, w.position),
    'opened', jsonb_build_array(jsonb_build_object(
      'id', j.id, 'type', j.type, 'queue', j.queue, 'priority', j.priority)));
END $$;

-- A job whose time has come (back-off over, gate open) becomes available.
CREATE OR REPLACE FUNCTION agentapp_make_due_v1(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := coalesce((p ->> 'now')::timestamptz, clock_timestamp());
  w agentapp_workflow;
  j agentapp_job;
  before text;
BEGIN
  SELECT * INTO w FROM agentapp_workflow WHERE id = (p ->> 'workflow')::uuid FOR NO KEY UPDATE;
  SELECT state INTO before FROM agentapp_job WHERE id = (p ->> 'job')::uuid;
  UPDATE agentapp_job
     SET state = 'available', scheduled_at = NULL, available_at = moment, published_at = moment, publishes = 1
   WHERE id = (p ->> 'job')::uuid AND state IN ('retryable', 'scheduled') AND scheduled_at <= moment
  RETURNING * INTO j;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'refused', 'state', w.state);
  END IF;
  w := agentapp_note_v1(w, 'job', j.id, before, 'available', p ->> 'actor', 'due', NULL, moment);
  PERFORM agentapp_keep_v1(w);
  RETURN jsonb_build_object(
    'status', 'ok', 'state', w.state, 'tail', agentapp_tail_v1(w.id, w.position),
    'opened', jsonb_build_array(jsonb_build_object(
      'id', j.id, 'type', j.type, 'queue', j.queue, 'priority', j.priority)));
END $$;

-- Begin an effect under its key: written down before the provider is called. Only the owner of the lease may begin. [D7]
CREATE OR REPLACE FUNCTION agentapp_begin_effect_v1(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := coalesce((p ->> 'now')::timestamptz, clock_timestamp());
  e agentapp_effect;
BEGIN
  PERFORM 1 FROM agentapp_job WHERE id = (p ->> 'job')::uuid AND lease_token = (p ->> 'token')::uuid AND state = 'running'
     FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost');
  END IF;
  INSERT INTO agentapp_effect (id, tenant_id, key, type, state, workflow_id, job_id, request_sha256, sends, prepared_at, sent_at)
  VALUES (agentapp_uuid7(), (p ->> 'tenant')::bigint, p ->> 'key', p ->> 'type', 'sent', (p ->> 'workflow')::uuid,
          (p ->> 'job')::uuid, p ->> 'request_sha256', 1, moment, moment)
  ON CONFLICT (tenant_id, key) DO NOTHING
  RETURNING * INTO e;
  IF FOUND THEN
    RETURN jsonb_build_object('status', 'begun', 'id', e.id);
  END IF;
  SELECT * INTO STRICT e FROM agentapp_effect
   WHERE tenant_id = (p ->> 'tenant')::bigint AND key = p ->> 'key' FOR NO KEY UPDATE;
  -- Prepared means: an earlier call certainly sent nothing. With `again`, the provider was asked and said the same.
  IF e.state = 'prepared' OR (p ->> 'again')::boolean AND e.state IN ('sent', 'unknown') THEN
    UPDATE agentapp_effect SET state = 'sent', sends = sends + 1, sent_at = moment, job_id = (p ->> 'job')::uuid,
           request_sha256 = p ->> 'request_sha256'
     WHERE id = e.id;
    RETURN jsonb_build_object('status', 'begun', 'id', e.id);
  END IF;
  RETURN jsonb_build_object('status', e.state, 'id', e.id, 'request_sha256', e.request_sha256, 'response', e.response);
END $$;

-- What remains to be published for one available job.
CREATE OR REPLACE FUNCTION agentapp_remaining_v1(p jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'state', w.state, 'tail', agentapp_tail_v1(w.id, w.position),
    'opened', jsonb_build_array(jsonb_build_object(
      'id', j.id, 'type', j.type, 'queue', j.queue, 'priority', j.priority)))
    FROM agentapp_job j JOIN agentapp_workflow w ON w.id = j.workflow_id WHERE j.id = (p ->> 'job')::uuid
$$;
