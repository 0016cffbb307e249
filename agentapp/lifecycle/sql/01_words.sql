-- Small words that the moves are made of. All of them run inside the transaction of a move, under the task's row lock.

CREATE OR REPLACE FUNCTION moves.uuid7() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  -- RFC 9562 version 7: 48 bits of milliseconds over a random version 4, whose version nibble becomes 7.
  SELECT encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
              PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
      52, 1), 53, 1), 'hex')::uuid
$$;

-- When a move happens: read it behind the locks, for it may have waited for them. Tests say a moment of their own.
CREATE OR REPLACE FUNCTION moves.moment(p jsonb) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT coalesce((p ->> 'now')::timestamptz, clock_timestamp())
$$;

-- Append one history row; the caller writes w.seq back with the rest of the task's row.
CREATE OR REPLACE FUNCTION moves.append_history(
  INOUT w agentapp_workflow, p_noun text, p_id uuid, p_from text, p_to text, p_actor text, p_reason text, p_data jsonb,
  p_now timestamptz
) LANGUAGE plpgsql AS $$
BEGIN
  w.seq := w.seq + 1;
  INSERT INTO agentapp_history (workflow_id, seq, at, noun, job_id, approval_id, from_state, to_state, actor, reason, data)
  VALUES (w.id, w.seq, p_now, p_noun,
          CASE WHEN p_noun = 'job' THEN p_id END, CASE WHEN p_noun = 'approval' THEN p_id END,
          p_from, p_to, coalesce(p_actor, ''), coalesce(p_reason, ''), p_data);
END $$;

CREATE OR REPLACE FUNCTION moves.set_task_state(
  INOUT w agentapp_workflow, p_to text, p_actor text, p_reason text, p_now timestamptz
) LANGUAGE plpgsql AS $$
BEGIN
  w := moves.append_history(w, 'workflow', NULL, w.state, p_to, p_actor, p_reason, NULL, p_now);
  w.state := p_to;
  IF p_to IN ('completed', 'failed', 'cancelled') THEN
    w.finished_at := p_now;
  ELSE
    w.finished_at := NULL;
  END IF;
END $$;

-- Write the task's row back, once per move.
CREATE OR REPLACE FUNCTION moves.save_workflow(w agentapp_workflow) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_workflow SET
    state = w.state, priority = w.priority, risk = w.risk, result = w.result, error = w.error, position = w.position,
    stages_total = w.stages_total, jobs_total = w.jobs_total, jobs_done = w.jobs_done, seq = w.seq, tokens = w.tokens,
    cost_usd = w.cost_usd, started_at = w.started_at, finished_at = w.finished_at
  WHERE id = w.id;
END $$;

-- Read one source of a binding: the client's input or the latest closed stage of that name before p_before.
CREATE OR REPLACE FUNCTION moves.source(w agentapp_workflow, p_from text, p_before int)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  s agentapp_stage;
BEGIN
  IF p_from = 'input' THEN
    RETURN w.input;
  END IF;
  SELECT * INTO s FROM agentapp_stage
   WHERE workflow_id = w.id AND name = p_from AND closed_at IS NOT NULL AND position < p_before
     AND NOT spec ? 'superseded'
   ORDER BY position DESC LIMIT 1;
  IF NOT FOUND THEN
    RETURN NULL;
  ELSIF s.kind = 'decision' THEN
    RETURN s.output;
  ELSIF s.kind = 'fan_out' THEN
    RETURN (SELECT coalesce(jsonb_agg(output ORDER BY part), '[]') FROM agentapp_job
             WHERE workflow_id = w.id AND stage_id = s.id AND state = 'completed');
  END IF;
  RETURN (SELECT output FROM agentapp_job WHERE workflow_id = w.id AND stage_id = s.id LIMIT 1);
END $$;

-- Resolve {name: {"from", "path", "optional"} | {"const"}} to {name: value}; what leads nowhere is left out, so that
-- the signature's default holds or the check against the signature names what is missing.
CREATE OR REPLACE FUNCTION moves.bind(w agentapp_workflow, p_bind jsonb, p_before int)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  bound jsonb := '{}';
  item record;
  value jsonb;
BEGIN
  FOR item IN SELECT b.key, b.value AS path FROM jsonb_each(p_bind) b LOOP
    IF item.path ? 'const' THEN
      bound := bound || jsonb_build_object(item.key, item.path -> 'const');
      CONTINUE;
    END IF;
    value := moves.source(w, item.path ->> 'from', p_before);
    IF jsonb_array_length(item.path -> 'path') > 0 THEN
      value := value #> ARRAY(SELECT jsonb_array_elements_text(item.path -> 'path'));
    END IF;
    IF value IS NOT NULL AND NOT (value = 'null'::jsonb AND (item.path ->> 'optional')::boolean) THEN
      bound := bound || jsonb_build_object(item.key, value);
    END IF;
  END LOOP;
  RETURN bound;
END $$;

-- A job as a message names it; `held`: it waits as a row until the dispatcher publishes it.
CREATE OR REPLACE FUNCTION moves.link(j agentapp_job) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object('id', j.id, 'type', j.type, 'queue', j.queue, 'priority', j.priority,
                            'held', j.state = 'available' AND j.published_at IS NULL)
$$;
