-- A job as its worker gets it. `tokens` and `began` are added by the claim: what its gates were charged in advance, and
-- whether its task began with it. What is too large for the buffers of a socket is left out (`apart`) and read without
-- locks: a client that does not read its answer would hold the gates until it does.
CREATE OR REPLACE FUNCTION moves.claimed(w agentapp_workflow, j agentapp_job) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  answer jsonb;
BEGIN
  answer := jsonb_build_object(
    'id', j.id, 'workflow', w.id, 'root', coalesce(w.root, w.id), 'tenant', w.tenant_id, 'kind', w.kind, 'type', j.type,
    'queue', j.queue, 'model', j.model, 'tool', j.tool, 'token', j.lease_token, 'attempt', j.attempt, 'max_attempts', j.max_attempts,
    'timeout_s', j.timeout_s, 'payload', j.payload, 'checkpoint', j.checkpoint);
  RETURN CASE WHEN pg_column_size(answer) <= 65536 THEN answer
              ELSE answer - '{payload,checkpoint}'::text[] || '{"apart": true}' END;
END $$;
-- The payload and the checkpoint of a job, for the owner of its lease. p: job, token.
CREATE OR REPLACE FUNCTION moves.payload(p jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce((
    SELECT jsonb_build_object('payload', payload, 'checkpoint', checkpoint) FROM agentapp_job
     WHERE id = (p ->> 'job')::uuid AND lease_token = (p ->> 'token')::uuid AND state = 'running'), '{"status": "lost"}');
END $$;


-- Take a job: permission, gates, token, lease, attempt + 1. The caller holds the row locks of the task and of the job,
-- and has read both behind them.
--
-- With a payload the job is still pending and is opened on the way: one write of its row, both rows of history; its
-- gates were asked by moves.may_follow, because their rows must not be locked in a settle.
-- `taken` is the claimed job, or {"refused": reason}. Nothing of a task that is over is taken. A job that a gate stops is parked: it holds nothing, and its
-- attempt is not counted.
CREATE OR REPLACE FUNCTION moves.take(
  INOUT w agentapp_workflow, j agentapp_job, p jsonb, p_payload jsonb, p_now timestamptz, OUT taken jsonb
) LANGUAGE plpgsql AS $$
DECLARE
  r record;
  p_job uuid := j.id;
  s agentapp_stage;
  before text := CASE WHEN p_payload IS NULL THEN 'available' ELSE 'pending' END;
  me text := coalesce(p ->> 'worker', '');
  denied text := moves.denied(w, p_now);
  began boolean := w.state = 'pending';
  passed record;
  tokens int := 0;
BEGIN
  IF j.state IS DISTINCT FROM before OR w.finished_at IS NOT NULL THEN
    taken := jsonb_build_object('refused', 'not available');
    RETURN;
  END IF;
  IF p_payload IS NOT NULL THEN
    w := moves.append_history(w, 'job', p_job, 'pending', 'available', me, '', NULL, p_now);
  END IF;
  IF denied IS NOT NULL THEN
    UPDATE agentapp_job SET state = 'dead_lettered', finished_at = p_now, payload = coalesce(p_payload, payload),
           error = jsonb_build_object('class', 'PermissionDenied', 'kind', 'permission', 'message', denied)
     WHERE id = p_job AND state = before;
    w := moves.append_history(w, 'job', p_job, 'available', 'dead_lettered', me, denied, NULL, p_now);
    SELECT g.* INTO s FROM agentapp_stage g JOIN agentapp_job k ON k.stage_id = g.id WHERE k.id = p_job;
    IF s.spec -> 'join' ->> 'rule' = 'settled' THEN
      -- What it opens is not published from here: the dispatcher finds it.
      r := moves.close_part(w, s.id, NULL, me, NULL, p_now);
      w := r.w;
    ELSIF w.state IN ('pending', 'running') AND moves.is_blocked(w.id) THEN
      w := moves.set_task_state(w, 'needs_attention', me, denied, p_now);
    END IF;
    taken := jsonb_build_object('refused', 'permission');
    RETURN;
  END IF;

  IF p_payload IS NULL THEN
    -- The model as this worker knows it, not as the plan froze it.
    j.model := coalesce(p -> 'models' ->> j.type, j.model);
    passed := moves.pass_gates(j, w.priority, NOT began, true, p_now);
    IF passed.blockers IS NOT NULL THEN
      w := moves.park(w, j, passed.blockers, me, p_now);
      taken := jsonb_build_object('refused', 'parked');
      RETURN;
    END IF;
    tokens := coalesce(passed.tokens, 0);
    -- It runs from here on: it may have waited for the locks of its gates.
    p_now := moves.moment(p);
  END IF;
  UPDATE agentapp_job
     SET state = 'running', attempt = attempt + 1, worker = me, model = coalesce(p -> 'models' ->> type, model), process = (p ->> 'process')::bigint,
         lease_token = coalesce((p ->> 'new_token')::uuid, moves.uuid7()),
         lease_expires_at = p_now + make_interval(secs => coalesce((p ->> 'lease_s')::float, 15)), started_at = p_now,
         scheduled_at = NULL, blocked_by = NULL, payload = coalesce(p_payload, payload), priority = w.priority,
         available_at = coalesce(available_at, p_now)
   WHERE id = p_job AND state = before
  RETURNING * INTO STRICT j;
  INSERT INTO agentapp_attempt (id, job_id, number, worker, in_place, started_at, outcome, error_class, error_message, trace)
  VALUES (j.lease_token, j.id, j.attempt, me, p_payload IS NOT NULL, p_now, '', '', '', '');
  IF w.state = 'pending' THEN
    w.started_at := p_now;
    w := moves.set_task_state(w, 'running', me, 'its first job was claimed', p_now);
  END IF;
  w := moves.append_history(w, 'job', j.id, 'available', 'running', me, '',
                        jsonb_build_object('attempt', j.attempt), p_now);
  taken := moves.claimed(w, j) || jsonb_build_object('tokens', tokens, 'began', began);
END $$;

-- available -> scheduled: a gate is in the way. New jobs of its keys wait behind it, and the dispatcher publishes it when
-- there is room.
CREATE OR REPLACE FUNCTION moves.park(
  INOUT w agentapp_workflow, j agentapp_job, p_blockers jsonb, p_actor text, p_now timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
  until timestamptz := (SELECT max((b ->> 'until')::timestamptz) FROM jsonb_array_elements(p_blockers) b);
BEGIN
  UPDATE agentapp_job
     SET state = 'scheduled', scheduled_at = coalesce(until, p_now), blocked_by = p_blockers, model = j.model,
         published_at = NULL, publishes = 0
   WHERE id = j.id AND state = 'available';
  w := moves.append_history(w, 'job', j.id, 'available', 'scheduled', p_actor, 'a gate is in the way',
                        jsonb_build_object('blocked_by', p_blockers), p_now);
  UPDATE agentapp_limit SET holds = true
   WHERE key = ANY(moves.keys(j.queue, j.type, j.tenant_id, j.model, j.tool)) AND NOT holds
     AND EXISTS (SELECT 1 FROM jsonb_array_elements(p_blockers) b WHERE b ->> 'scope' = scope AND b ->> 'name' = name);
END $$;

-- Why the principal of a task may not act now, or null. As it is now, not as it was at submission. [INV6]
CREATE OR REPLACE FUNCTION moves.denied(w agentapp_workflow, p_now timestamptz) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT CASE
             WHEN t.suspended_at <= p_now THEN 'the tenant is suspended'
             WHEN k.revoked_at <= p_now THEN 'the API key of the task was revoked'
             WHEN k.expires_at <= p_now THEN 'the API key of the task has expired'
             WHEN NOT u.is_active THEN 'the person who submitted the task is no longer active'
           END
      FROM agentapp_tenant t
      LEFT JOIN agentapp_apikey k ON k.id = w.api_key_id
      LEFT JOIN auth_user u ON u.id = w.user_id
     WHERE t.id = w.tenant_id);
END $$;

-- Claim the job that a message names. A message can be late, repeated or forged: then it is refused in a word.
-- `new_token` is the claimer's own: a claim whose answer was lost is found to be done when it is made again.
CREATE OR REPLACE FUNCTION moves.claim(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r record;
  task uuid;
  w agentapp_workflow;
  j agentapp_job;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'a claim counts behind locks and needs READ COMMITTED' USING ERRCODE = '0A000',
      HINT = 'ALTER DATABASE ... SET default_transaction_isolation TO ''read committed''';
  END IF;
  -- A claim that a crash of Postgres forgets is only a lost lease: it need not wait for the disk.
  PERFORM set_config('synchronous_commit', 'off', true);
  -- Only what never changes is read before the locks: two messages of one job, or a cancellation, may be faster.
  SELECT workflow_id INTO task FROM agentapp_job WHERE id = (p ->> 'job')::uuid;
  SELECT * INTO w FROM agentapp_workflow WHERE id = task FOR NO KEY UPDATE;
  SELECT * INTO j FROM agentapp_job WHERE id = (p ->> 'job')::uuid FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('refused', 'unknown');
  ELSIF j.state = 'running' AND j.lease_token = (p ->> 'new_token')::uuid THEN
    RETURN moves.claimed(w, j);
  ELSIF j.state <> 'available' THEN
    RETURN jsonb_build_object('refused', j.state);
  ELSIF NOT coalesce(p -> 'queues' ? j.queue, false) THEN
    RETURN jsonb_build_object('refused', 'not of this worker class');
  END IF;
  r := moves.take(w, j, p, NULL, moves.moment(p));
  PERFORM moves.save_workflow(r.w);
  RETURN r.taken;
END $$;
