-- A task under its lock: read, told about, written back once. Every move begins with moves.lock_task and ends with
-- moves.saved or moves.save.

CREATE OR REPLACE FUNCTION moves.uuid7() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  -- RFC 9562 version 7: 48 bits of milliseconds over a random version 4, whose version nibble becomes 7.
  SELECT encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
              PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
      52, 1), 53, 1), 'hex')::uuid
$$;

-- When a move happens: read it behind the locks, for it may have waited for them. Tests say a moment of their own.
CREATE OR REPLACE FUNCTION moves.moment(p_now timestamptz) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT CASE WHEN session_user = current_user THEN coalesce(p_now, clock_timestamp()) ELSE clock_timestamp() END
$$;

-- Lock a task and read it; its id is null when there is none.
CREATE OR REPLACE FUNCTION moves.lock_task(p_task uuid, p_actor text, p_now timestamptz) RETURNS moves.task
LANGUAGE plpgsql AS $$
DECLARE
  t moves.task;
BEGIN
  SELECT * INTO t FROM moves.task WHERE id = p_task FOR NO KEY UPDATE;
  t.actor := coalesce(p_actor, '');
  t.now := moves.moment(p_now);
  RETURN t;
END $$;

-- Lock the tasks of a list of requests in the order of their ids, but pass over those that somebody else holds: the
-- others need not wait for them. With p_waits it waits. So does a list that is all of one task, the parts of a fan-out: each
-- of them would wait for that row anyway, one after the other.
CREATE OR REPLACE FUNCTION moves.lock_tasks(p_tasks uuid[], p_actor text, p_waits boolean, p_now timestamptz)
RETURNS moves.task[] LANGUAGE plpgsql AS $$
DECLARE
  tasks moves.task[];
  moment timestamptz;
BEGIN
  IF p_waits OR cardinality(p_tasks) > 1 AND p_tasks[1] = ALL(p_tasks) THEN
    tasks := ARRAY(SELECT t FROM moves.task t WHERE id = ANY(p_tasks) ORDER BY id FOR NO KEY UPDATE);
  ELSE
    tasks := ARRAY(SELECT t FROM moves.task t WHERE id = ANY(p_tasks) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED);
  END IF;
  moment := moves.moment(p_now);
  FOR n IN 1 .. cardinality(tasks) LOOP
    tasks[n].actor := coalesce(p_actor, '');
    tasks[n].now := moment;
  END LOOP;
  RETURN tasks;
END $$;

-- Note a change of state; moves.save writes it into the history.
CREATE OR REPLACE FUNCTION moves.note(
  INOUT t moves.task, p_noun text, p_id uuid, p_from text, p_to text, p_reason text, p_data jsonb DEFAULT NULL
) LANGUAGE plpgsql AS $$
BEGIN
  t.log := t.log || ROW(p_noun, p_id, p_from, p_to, p_reason, p_data)::moves.event;
END $$;

CREATE OR REPLACE FUNCTION moves.set_state(INOUT t moves.task, p_to text, p_reason text) LANGUAGE plpgsql AS $$
BEGIN
  t := moves.note(t, 'workflow', NULL, t.state, p_to, p_reason);
  t.state := p_to;
  t.finished_at := CASE WHEN p_to IN ('completed', 'failed', 'cancelled') THEN t.now END;
  IF t.origin IN ('client', 'schedule') AND p_to IN ('completed', 'failed', 'cancelled', 'needs_attention', 'awaiting_approval') THEN
    PERFORM moves.tell_webhooks(t);
  ELSIF t.origin = 'child' AND t.finished_at IS NOT NULL THEN
    PERFORM moves.wake_parent(t);
  END IF;
END $$;

-- Note what the tenant's webhooks are told of: the latest change of a task. In the move itself, so that no crash loses it.
CREATE OR REPLACE FUNCTION moves.tell_webhooks(t moves.task, p_type text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF t.callback_url <> '' OR EXISTS (SELECT 1 FROM agentapp_webhookendpoint WHERE tenant_id = t.tenant_id AND is_enabled) THEN
    INSERT INTO agentapp_webhookevent (id, tenant_id, workflow_id, seq, type, created_at)
    VALUES (moves.uuid7(), t.tenant_id, t.id, t.seq + cardinality(t.log),
            coalesce(p_type, CASE t.state WHEN 'awaiting_approval' THEN 'approval.requested' ELSE 'task.' || t.state END), t.now);
  END IF;
END $$;

-- Write down what was noted of tasks, and their rows, once per move.
CREATE OR REPLACE FUNCTION moves.save(p_tasks moves.task[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  t moves.task;
BEGIN
  INSERT INTO agentapp_history (workflow_id, seq, at, noun, job_id, approval_id, from_state, to_state, actor, reason, data)
  SELECT w.id, w.seq + e.ordinality, w.now, e.noun, CASE WHEN e.noun = 'job' THEN e.id END,
         CASE WHEN e.noun = 'approval' THEN e.id END, e.from_state, e.to_state, w.actor, coalesce(e.reason, ''), e.data
    FROM unnest(p_tasks) w, unnest(w.log) WITH ORDINALITY e;
  FOREACH t IN ARRAY p_tasks LOOP
    CONTINUE WHEN t.log = '{}';
    UPDATE agentapp_workflow SET
      state = t.state, priority = t.priority, risk = t.risk, result = t.result, error = t.error, position = t.position,
      parts_left = t.parts_left, stages_total = t.stages_total, jobs_total = t.jobs_total, jobs_done = t.jobs_done,
      seq = t.seq + cardinality(t.log), tokens = t.tokens, cost_usd = t.cost_usd, unpriced_calls = t.unpriced_calls, started_at = t.started_at,
      finished_at = t.finished_at, updated_at = t.now
     WHERE id = t.id;
  END LOOP;
END $$;

-- Write a task back, and answer with what is to be published.
CREATE OR REPLACE FUNCTION moves.saved(t moves.task) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM moves.save(ARRAY[t]);
  RETURN moves.answer(t);
END $$;

CREATE OR REPLACE FUNCTION moves.answer(t moves.task) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN jsonb_build_object(
    'status', 'ok', 'task', t.id, 'state', t.state, 'seq', t.seq + cardinality(t.log), 'opened', t.opened, 'held', t.held,
    'tail', CASE WHEN t.opened = '[]'::jsonb THEN '[]'::jsonb ELSE moves.tail(t.id, t.position) END);
END $$;

-- Answer that a move is not made. Nothing of the task was written.
CREATE OR REPLACE FUNCTION moves.refused(t moves.task) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object('status', 'refused', 'state', coalesce(t.state, 'deleted'))
$$;

-- What remains to be published: the lone pending jobs that follow the open stage, up to the next person, fan-out or stage
-- that may be skipped: a canvas holds nothing that may not run.
-- (In plpgsql, because a function in SQL that is not inlined is planned again at each call.)
CREATE OR REPLACE FUNCTION moves.tail(p_workflow uuid, p_position int) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT coalesce(jsonb_agg(jsonb_build_object('id', j.id, 'type', j.type, 'queue', j.queue, 'priority', j.priority)
                              ORDER BY s.position), '[]')
      FROM agentapp_stage s
      JOIN agentapp_job j ON j.workflow_id = s.workflow_id AND j.stage_id = s.id AND j.state = 'pending'
     WHERE s.workflow_id = p_workflow AND s.position > p_position AND s.kind = 'job'
       AND s.position < coalesce((
         SELECT min(position) FROM agentapp_stage
          WHERE workflow_id = p_workflow AND position > p_position AND (kind <> 'job' OR spec ? 'when')), 32767));
END $$;
