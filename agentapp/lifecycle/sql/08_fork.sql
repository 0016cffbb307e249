-- A new task that begins at a stage of an earlier one. What lies before is copied: closed stages with their completed
-- jobs, as they were; a decision only where it sent the task back. The rest is planned again and opened.
-- p: id, origin, actor, api_key, user, from_stage, input (or that of the origin), stages (the plan from from_stage on),
-- result_bind, and the marks of moves.queue_pressure: a fork waits to begin like any task, and counts like one. It has as
-- long as its origin had, from now on.
CREATE OR REPLACE FUNCTION moves.fork(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r record;
  moment timestamptz;
  me text := p ->> 'actor';
  o agentapp_workflow;
  w agentapp_workflow;
  first int;
  n int;
  pressure jsonb;
BEGIN
  -- Nothing moves in the origin, and nothing of it is deleted, until the copies are written.
  SELECT * INTO o FROM agentapp_workflow WHERE id = (p ->> 'origin')::uuid FOR SHARE;
  moment := moves.moment(p);
  pressure := moves.queue_pressure(o.tenant_id, p);
  IF pressure ? 'refused' THEN
    RETURN jsonb_build_object('status', 'too many', 'pressure', pressure);
  END IF;
  SELECT max(s.position) INTO first FROM agentapp_stage s
   WHERE s.workflow_id = o.id AND s.name = p ->> 'from_stage' AND moves.is_reached(s);
  IF first IS NULL THEN
    RETURN jsonb_build_object('status', 'not reached', 'stages', (
      SELECT coalesce(jsonb_agg(DISTINCT s.name), '[]') FROM agentapp_stage s
       WHERE s.workflow_id = o.id AND moves.is_reached(s)));
  END IF;
  INSERT INTO agentapp_workflow (id, tenant_id, api_key_id, user_id, kind, version, state, priority, risk, input, labels,
                                 result_bind, position, stages_total, jobs_total, jobs_done, seq, tokens, cost_usd,
                                 created_at, deadline_at, forked_from, root)
  VALUES ((p ->> 'id')::uuid, o.tenant_id, (p ->> 'api_key')::bigint, (p ->> 'user')::bigint, o.kind, o.version,
          'pending', o.priority, o.risk, coalesce(p -> 'input', o.input), o.labels, coalesce(p -> 'result_bind', '{}'), 0, 0, 0, 0, 0, 0,
          0, moment, moment + (o.deadline_at - o.created_at), o.id, coalesce(o.root, o.id))
  RETURNING * INTO w;
  w := moves.append_history(w, 'workflow', NULL, '', 'pending', me, 'forked from ' || (p ->> 'from_stage'),
                        jsonb_build_object('forked_from', o.id, 'edited', p ? 'input'), moment);
  w := moves.copy_stages(w, o.id, first, me, moment);
  n := w.stages_total;
  INSERT INTO agentapp_stage (workflow_id, position, name, kind, job_type, round, spec, parts, parts_left)
  SELECT w.id, n + ordinality, value ->> 'name', value ->> 'kind', value ->> 'job_type', 0, value -> 'spec', 0, 0
    FROM jsonb_array_elements(p -> 'stages') WITH ORDINALITY;
  w.stages_total := n + jsonb_array_length(p -> 'stages');
  w := moves.plan_jobs(w, n + 1, w.stages_total);
  r := moves.advance(w, me, NULL, moment);
  IF r.problem IS NOT NULL THEN
    RAISE EXCEPTION '%', r.problem USING ERRCODE = '22023';
  END IF;
  RETURN moves.saved(r.w, r.opened, r.held);
END $$;

-- Tell whether a task has come as far as this stage: everything before it is closed.
CREATE OR REPLACE FUNCTION moves.is_reached(s agentapp_stage) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT NOT s.spec ? 'superseded' AND NOT EXISTS (
    SELECT 1 FROM agentapp_stage b
     WHERE b.workflow_id = s.workflow_id AND b.position < s.position AND b.closed_at IS NULL)
$$;

CREATE OR REPLACE FUNCTION moves.copy_stages(
  INOUT w agentapp_workflow, p_origin uuid, p_first int, p_actor text, p_now timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
  n int;
BEGIN
  WITH kept AS (
    SELECT s.*, row_number() OVER (ORDER BY s.position) AS place,
           (SELECT count(*) FROM agentapp_job j
             WHERE j.workflow_id = p_origin AND j.stage_id = s.id AND j.state = 'completed') AS done
      FROM agentapp_stage s
     WHERE s.workflow_id = p_origin AND s.position < p_first AND NOT s.spec ? 'superseded'
       AND (s.kind <> 'decision' OR s.output ->> 'decision' = 'changes_requested')
  ), copied AS (
    INSERT INTO agentapp_stage (workflow_id, position, name, kind, job_type, round, spec, parts, parts_left, output,
                                opened_at, closed_at)
    SELECT w.id, place, name, kind, job_type, round, spec, CASE kind WHEN 'decision' THEN 1 ELSE done END, 0, output,
           p_now, p_now
      FROM kept ORDER BY place
    RETURNING id, position
  )
  INSERT INTO agentapp_job (id, workflow_id, stage_id, tenant_id, type, queue, model, tool, state, part, payload, output,
                            priority, attempt, max_attempts, timeout_s, worker, publishes, finished_at)
  SELECT moves.uuid7(), w.id, copied.id, w.tenant_id, j.type, j.queue, j.model, j.tool, 'completed', j.part, j.payload, j.output,
         w.priority, 0, j.max_attempts, j.timeout_s, '', 0, p_now
    FROM kept JOIN copied ON copied.position = kept.place
    JOIN agentapp_job j ON j.workflow_id = p_origin AND j.stage_id = kept.id AND j.state = 'completed'
   ORDER BY kept.place, j.part;
  SELECT count(*) INTO w.stages_total FROM agentapp_stage WHERE workflow_id = w.id;
  INSERT INTO agentapp_history (workflow_id, seq, at, noun, job_id, from_state, to_state, actor, reason)
  SELECT w.id, w.seq + row_number() OVER (ORDER BY s.position, j.part), p_now, 'job', j.id, '', 'completed', coalesce(p_actor, ''),
         'done in its origin'
    FROM agentapp_job j JOIN agentapp_stage s ON s.id = j.stage_id WHERE j.workflow_id = w.id;
  GET DIAGNOSTICS n = ROW_COUNT;
  w.seq := w.seq + n;
  w.jobs_total := w.jobs_total + n;
  w.jobs_done := w.jobs_done + n;
END $$;
