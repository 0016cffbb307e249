-- Messages that clients say to a conversation.

-- What the last stage of a plan says of messages: {"back_to", "heard", "interrupts"}; null where a task takes none.
CREATE OR REPLACE FUNCTION moves.hears(p_task uuid) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT spec -> 'hears' FROM agentapp_stage WHERE workflow_id = p_task ORDER BY position DESC LIMIT 1);
END $$;

-- How many messages of a task no turn has read. What was read is what the latest turn that counts has stored with its
-- output: a turn that is killed, or superseded, has read nothing.
CREATE OR REPLACE FUNCTION moves.unread(p_task uuid, p_hears jsonb) RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE
  most int := (SELECT max(number) FROM agentapp_message WHERE workflow_id = p_task);
  heard jsonb;
  read numeric := 0;
BEGIN
  IF most IS NULL OR p_hears IS NULL THEN
    RETURN 0;
  END IF;
  heard := moves.bind(p_task, jsonb_build_object('x', p_hears -> 'heard'), 32767) -> 'x';
  IF jsonb_typeof(heard) = 'number' THEN
    read := (heard #>> '{}')::numeric;
  END IF;
  -- A person may have entered the output: what is no count has read nothing, as in conversation.heard_by().
  RETURN CASE WHEN read BETWEEN 0 AND most THEN most - floor(read) WHEN read BETWEEN most AND 2147483647 THEN 0 ELSE most END;
END $$;

-- Say something to a task that is not over. One after the other, under the lock of the task: so a message comes before the
-- end of its task, which then goes round again, or after it, and the answer is `over`. `next`: the task that goes on with
-- the conversation, if there is one. Where the kind says so, the turn that runs is begun again with the message.
CREATE OR REPLACE FUNCTION moves.say(
  p_workflow uuid, p_id uuid, p_actor text, p_text text, p_is_untrusted boolean, p_most int,
  p_request_key text DEFAULT NULL, p_request_sha256 text DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
  hears jsonb := moves.hears(t.id);
  known jsonb := moves.known_request(t.tenant_id, p_request_key, p_request_sha256);
BEGIN
  IF known IS NOT NULL THEN
    RETURN known;
  ELSIF t.id IS NULL OR hears IS NULL THEN
    RETURN jsonb_build_object('status', 'no conversation', 'state', coalesce(t.state, 'deleted'));
  ELSIF t.finished_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'over', 'state', t.state, 'next', moves.follower(t.id));
  ELSIF moves.unread(t.id, hears) >= p_most THEN
    RETURN jsonb_build_object('status', 'full', 'state', t.state);
  END IF;
  IF p_request_key IS NOT NULL THEN
    INSERT INTO agentapp_idempotencykey (tenant_id, key, request_sha256, workflow_id, created_at)
    VALUES (t.tenant_id, p_request_key, p_request_sha256, p_id, t.now) ON CONFLICT (tenant_id, key) DO NOTHING;
    IF NOT FOUND THEN
      RETURN moves.known_request(t.tenant_id, p_request_key, p_request_sha256);
    END IF;
  END IF;
  PERFORM moves.add_message(t.id, t.tenant_id, p_id, p_actor, p_text, p_is_untrusted, t.now);
  IF (hears ->> 'interrupts')::boolean THEN
    t := moves.interrupt(t, hears ->> 'back_to');
  END IF;
  RETURN moves.saved(t);
END $$;

CREATE OR REPLACE FUNCTION moves.add_message(
  p_task uuid, p_tenant bigint, p_id uuid, p_actor text, p_text text, p_is_untrusted boolean, p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_message (id, tenant_id, workflow_id, number, text, is_untrusted, actor, created_at)
  SELECT p_id, p_tenant, p_task, coalesce(max(number), 0) + 1, p_text, p_is_untrusted, p_actor, p_now
    FROM agentapp_message WHERE workflow_id = p_task;
END $$;

-- The turn that runs loses its lease, and is available again in the same attempt: what it was about to answer is not stored.
CREATE OR REPLACE FUNCTION moves.interrupt(INOUT t moves.task, p_stage text) LANGUAGE plpgsql AS $$
DECLARE
  j agentapp_job;
  s agentapp_stage;
  r moves.settle_request;
BEGIN
  SELECT * INTO s FROM agentapp_stage WHERE workflow_id = t.id AND position = t.position AND name = p_stage;
  SELECT * INTO j FROM agentapp_job WHERE workflow_id = t.id AND stage_id = s.id AND state = 'running' FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  r.state := 'available';
  r.outcome := 'handed_back';
  r.reason := 'interrupted by a message';
  PERFORM moves.end_attempt(j, r.outcome, NULL, t.now);
  t := moves.end_run(t, j, s, r, NULL);
END $$;

-- The newest task that goes on with the conversation of one that is over. A fork is a conversation of its own.
CREATE OR REPLACE FUNCTION moves.follower(p_task uuid) RETURNS uuid LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    WITH RECURSIVE later AS (
      SELECT id, 1 AS n FROM agentapp_workflow WHERE continues = p_task AND forked_from IS NULL
      UNION ALL
      SELECT w.id, n + 1 FROM later JOIN agentapp_workflow w ON w.continues = later.id AND w.forked_from IS NULL
    )
    SELECT id FROM later ORDER BY n DESC LIMIT 1);
END $$;

-- A new task that goes on with the conversation of a completed one: its input, and a message to begin with. Of several who
-- say something at the same moment one makes it; the others find it as `next`.
CREATE OR REPLACE FUNCTION moves.follow_up(
  p_id uuid, p_origin uuid, p_actor text, p_api_key bigint, p_user bigint, p_version int, p_input jsonb, p_stages jsonb,
  p_result_bind jsonb, p_tenant_mark int, p_hard_mark int, p_soft_mark int, p_message uuid, p_text text,
  p_is_untrusted boolean, p_request_key text DEFAULT NULL, p_request_sha256 text DEFAULT NULL,
  p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  o agentapp_workflow;
  answer jsonb;
BEGIN
  -- Nothing of the origin is deleted until its follow-up is written.
  SELECT * INTO o FROM agentapp_workflow WHERE id = p_origin FOR NO KEY UPDATE;
  IF moves.hears(o.id) IS NULL OR o.state IS DISTINCT FROM 'completed' THEN
    RETURN jsonb_build_object('status', 'no conversation', 'state', coalesce(o.state, 'deleted'));
  ELSIF moves.follower(o.id) IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'over', 'state', o.state, 'next', moves.follower(o.id));
  END IF;
  answer := moves.submit(
    p_id, o.tenant_id, p_api_key, p_user, p_actor, o.kind, p_version, o.priority, p_input, o.labels, p_stages, p_result_bind,
    extract(epoch FROM o.deadline_at - greatest(o.created_at, o.run_at))::float, p_tenant_mark, p_hard_mark, p_soft_mark,
    p_request_key => p_request_key, p_request_sha256 => p_request_sha256, p_now => p_now);
  IF answer ?| '{refused,known}' THEN
    RETURN answer;
  END IF;
  UPDATE agentapp_workflow SET continues = o.id, callback_url = o.callback_url WHERE id = p_id;
  PERFORM moves.add_message(p_id, o.tenant_id, p_message, p_actor, p_text, p_is_untrusted, (answer ->> 'created_at')::timestamptz);
  RETURN answer;
END $$;
