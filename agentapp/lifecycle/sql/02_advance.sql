-- Open whatever comes next in a plan, or end the task. Returns the jobs that became available.
--
-- With p_take (a claim's worker, queues, lease_s) a single next job of one of its queues is taken at once: `taken`; or
-- it follows: {"follow": true}, its worker claims it at once, behind the locks of its gates.
-- Of what is opened, only what there is room for is published now; the links say which.
-- A stage opens once: `opened_at IS NULL` is the guard, under the task's row lock. An empty fan-out is closed at once.
CREATE OR REPLACE FUNCTION moves.advance(
  INOUT w agentapp_workflow, p_actor text, p_take jsonb, p_now timestamptz, OUT opened jsonb, OUT taken jsonb
) LANGUAGE plpgsql AS $$
DECLARE
  r record;
  s agentapp_stage;
  j agentapp_job;
  item record;
  approval uuid;
  bound jsonb;
  elements jsonb;
  n int;
  follows boolean := false;
  room int;
BEGIN
  opened := '[]';
  LOOP
    SELECT * INTO s FROM agentapp_stage WHERE workflow_id = w.id AND opened_at IS NULL ORDER BY position LIMIT 1;
    IF NOT FOUND THEN
      w.result := moves.bind(w, w.result_bind, 32767);
      IF w.jobs_done < w.jobs_total THEN
        -- Parts that a join did not wait for: nobody needs them any more.
        w := moves.end_jobs(w, NULL, 'dead_lettered', p_actor, 'its task is done without it', p_now);
      END IF;
      w := moves.set_task_state(w, 'completed', p_actor, 'its last stage is done', p_now);
      RETURN;
    END IF;
    w.position := s.position;
    bound := moves.bind(w, s.spec -> 'bind', s.position);

    IF s.kind = 'job' THEN
      UPDATE agentapp_stage SET opened_at = p_now, parts = 1, parts_left = 1 WHERE id = s.id;
      IF p_take -> 'queues' ? (s.spec ->> 'queue') THEN
        SELECT * INTO STRICT j FROM agentapp_job WHERE workflow_id = w.id AND stage_id = s.id;
        j.model := coalesce(p_take -> 'models' ->> j.type, j.model);
        follows := true;
        IF moves.may_follow((p_take ->> 'job')::uuid, j, p_now) THEN
          r := moves.take(w, j, p_take, bound, p_now);
          w := r.w;
          taken := r.taken;
          RETURN;
        END IF;
      END IF;
      room := CASE WHEN follows THEN 1 ELSE moves.room_for_stage(w, s, 1, p_now) END;
      UPDATE agentapp_job
         SET state = 'available', payload = bound, priority = w.priority, available_at = p_now,
             published_at = CASE WHEN room > 0 THEN p_now END, publishes = room
       WHERE workflow_id = w.id AND stage_id = s.id AND state = 'pending'
      RETURNING * INTO STRICT j;
      w := moves.append_history(w, 'job', j.id, 'pending', 'available', p_actor, '', NULL, p_now);
      opened := jsonb_build_array(moves.link(j) || jsonb_build_object('follows', follows));
      RETURN;

    ELSIF s.kind = 'decision' THEN
      UPDATE agentapp_stage SET opened_at = p_now, parts = 1, parts_left = 1 WHERE id = s.id;
      approval := moves.uuid7();
      INSERT INTO agentapp_approval (id, workflow_id, stage_id, tenant_id, state, content, content_sha256, draft,
                                     sources, evaluation, risk, approved_sha256, reason, created_at, expires_at)
      VALUES (approval, w.id, s.id, w.tenant_id, 'pending', bound -> 'content', bound ->> 'content_sha256',
              bound -> 'content', coalesce(bound -> 'sources', '[]'), bound -> 'evaluation',
              coalesce(bound ->> 'risk', w.risk), '', '', p_now,
              p_now + make_interval(secs => (bound ->> 'expires_in_s')::float));
      w := moves.append_history(w, 'approval', approval, '', 'pending', p_actor, '', NULL, p_now);
      w := moves.set_task_state(w, 'awaiting_approval', p_actor, 'a person must decide', p_now);
      RETURN;
    END IF;

    elements := moves.bind(w, jsonb_build_object('over', s.spec -> 'over'), s.position) -> 'over';
    IF elements IS NULL OR jsonb_typeof(elements) <> 'array' THEN
      RAISE EXCEPTION 'stage % fans out over something that is not a list', s.name USING ERRCODE = '22023';
    END IF;
    n := jsonb_array_length(elements);
    w.jobs_total := w.jobs_total + n;
    room := moves.room_for_stage(w, s, n, p_now);
    UPDATE agentapp_stage
       SET opened_at = p_now, parts = n, closed_at = CASE WHEN n = 0 THEN p_now END,
           parts_left = CASE WHEN s.spec -> 'join' ->> 'rule' = 'at_least'
                             THEN least((s.spec -> 'join' ->> 'n')::int, n) ELSE n END
     WHERE id = s.id;
    FOR item IN SELECT e.value, e.ordinality - 1 AS part FROM jsonb_array_elements(elements) WITH ORDINALITY e LOOP
      INSERT INTO agentapp_job (id, workflow_id, stage_id, tenant_id, type, queue, model, tool, state, part, payload,
                                priority, attempt, max_attempts, timeout_s, worker, publishes, available_at, published_at)
      VALUES (moves.uuid7(), w.id, s.id, w.tenant_id, s.job_type, s.spec ->> 'queue', coalesce(s.spec ->> 'model', ''),
              coalesce(s.spec ->> 'tool', ''), 'available', item.part,
              bound || jsonb_build_object(s.spec ->> 'each', item.value), w.priority,
              0, (s.spec ->> 'max_attempts')::int, (s.spec ->> 'timeout_s')::int, '', (item.part < room)::int, p_now,
              CASE WHEN item.part < room THEN p_now END)
      RETURNING * INTO j;
      w := moves.append_history(w, 'job', j.id, '', 'available', p_actor, '', NULL, p_now);
      opened := opened || moves.link(j);
    END LOOP;
    IF n > 0 THEN
      RETURN;
    END IF;
  END LOOP;
END $$;

-- How many of n jobs of a stage are published at once.
CREATE OR REPLACE FUNCTION moves.room_for_stage(w agentapp_workflow, s agentapp_stage, p_n int, p_now timestamptz)
RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RETURN moves.room(s.spec ->> 'queue', s.job_type, w.tenant_id, coalesce(s.spec ->> 'model', ''),
                          coalesce(s.spec ->> 'tool', ''), p_n, w.state <> 'pending', p_now);
END $$;

-- Plan the jobs of stages that have exactly one, as pending: a canvas can then name them before they are due.
CREATE OR REPLACE FUNCTION moves.plan_jobs(INOUT w agentapp_workflow, p_first int, p_last int)
LANGUAGE plpgsql AS $$
DECLARE
  n int;
BEGIN
  INSERT INTO agentapp_job (id, workflow_id, stage_id, tenant_id, type, queue, model, tool, state, part, priority,
                            attempt, max_attempts, timeout_s, worker, publishes)
  SELECT moves.uuid7(), w.id, s.id, w.tenant_id, s.job_type, s.spec ->> 'queue', coalesce(s.spec ->> 'model', ''),
         coalesce(s.spec ->> 'tool', ''), 'pending', 0, w.priority, 0, (s.spec ->> 'max_attempts')::int, (s.spec ->> 'timeout_s')::int, '', 0
    FROM agentapp_stage s
   WHERE s.workflow_id = w.id AND s.kind = 'job' AND s.position BETWEEN p_first AND p_last
   ORDER BY s.position;
  GET DIAGNOSTICS n = ROW_COUNT;
  w.jobs_total := w.jobs_total + n;
END $$;

-- What remains to be published: the lone pending jobs that follow the open stage, up to the next person or fan-out.
-- (In plpgsql, because a function in SQL that is not inlined is planned anew at each call.)
CREATE OR REPLACE FUNCTION moves.tail(p_workflow uuid, p_position int) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT coalesce(jsonb_agg(jsonb_build_object('id', j.id, 'type', j.type, 'queue', j.queue, 'priority', j.priority)
                              ORDER BY s.position), '[]')
      FROM agentapp_stage s
      JOIN agentapp_job j ON j.workflow_id = s.workflow_id AND j.stage_id = s.id AND j.state = 'pending'
     WHERE s.workflow_id = p_workflow AND s.position > p_position AND s.kind = 'job'
       AND s.position < coalesce((SELECT min(position) FROM agentapp_stage
                                   WHERE workflow_id = p_workflow AND position > p_position AND kind <> 'job'), 32767));
END $$;
