-- A new task that begins at a stage of an earlier one. What lies before is copied: closed stages with their completed
-- jobs, as they were; an approval is good for one run, so that of a decision which approved nothing is left to read. The rest
-- is planned again and opened.
-- p_stages is the plan from p_from_stage on; without p_input it has that of its origin. A fork waits to begin like any
-- task, and counts like one. It has as long as its origin had, from now on.
CREATE OR REPLACE FUNCTION moves.fork(
  p_id uuid, p_origin uuid, p_actor text, p_api_key bigint, p_user bigint, p_from_stage text, p_stages jsonb,
  p_result_bind jsonb, p_tenant_mark int, p_hard_mark int, p_soft_mark int, p_input jsonb DEFAULT NULL,
  p_request_key text DEFAULT NULL, p_request_sha256 text DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task;
  moment timestamptz;
  o agentapp_workflow;
  first int;
  entrance jsonb;
BEGIN
  -- Nothing moves in the origin, and nothing of it is deleted, until the copies are written.
  SELECT * INTO o FROM agentapp_workflow WHERE id = p_origin FOR SHARE;
  moment := moves.moment(p_now);
  SELECT max(s.position) INTO first FROM agentapp_stage s
   WHERE s.workflow_id = o.id AND s.name = p_from_stage AND moves.is_reached(o, s);
  IF first IS NULL THEN
    RETURN jsonb_build_object('status', 'not reached', 'stages', (
      SELECT coalesce(jsonb_agg(DISTINCT s.name), '[]') FROM agentapp_stage s
       WHERE s.workflow_id = o.id AND moves.is_reached(o, s)));
  END IF;
  entrance := moves.entrance(o.tenant_id, p_tenant_mark, p_hard_mark, p_soft_mark, p_id, p_request_key, p_request_sha256, moment);
  IF entrance ?| '{refused,known}' THEN
    RETURN entrance;
  END IF;
  PERFORM moves.copy_task(o, p_id, p_api_key, p_user, p_input, p_result_bind, moment);
  t := moves.lock_task(p_id, p_actor, p_now);
  t.now := moment;
  t := moves.note(t, 'workflow', NULL, '', 'pending', 'forked from ' || p_from_stage,
                  jsonb_build_object('forked_from', o.id, 'edited', p_input IS NOT NULL));
  t := moves.copy_stages(t, o.id, first);
  t := moves.start_plan(t, p_stages);
  RETURN moves.saved(t);
END $$;

-- The row of a fork, of which nothing is done yet, and what was said to its origin.
CREATE OR REPLACE FUNCTION moves.copy_task(
  o agentapp_workflow, p_id uuid, p_api_key bigint, p_user bigint, p_input jsonb, p_result_bind jsonb, p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_workflow (id, tenant_id, api_key_id, user_id, kind, version, state, priority, risk, input, labels,
                                 result_bind, position, parts_left, stages_total, jobs_total, jobs_done, seq, tokens,
                                 cost_usd, created_at, deadline_at, forked_from, root, origin, callback_url, continues)
  VALUES (p_id, o.tenant_id, p_api_key, p_user, o.kind, o.version, 'pending', o.priority, o.risk,
          coalesce(p_input, o.input), o.labels, p_result_bind, 0, 0, 0, 0, 0, 0, 0, 0,
          p_now, p_now + (o.deadline_at - greatest(o.created_at, o.run_at)), o.id,
          coalesce(o.root, o.id), CASE o.origin WHEN 'child' THEN 'client' ELSE o.origin END, '', o.continues);
  INSERT INTO agentapp_message (id, tenant_id, workflow_id, number, text, is_untrusted, actor, created_at)
  SELECT moves.uuid7(), tenant_id, p_id, number, text, is_untrusted, actor, created_at FROM agentapp_message
   WHERE workflow_id = o.id ORDER BY number;
END $$;

-- Tell whether a task has come as far as this stage.
CREATE OR REPLACE FUNCTION moves.is_reached(w agentapp_workflow, s agentapp_stage) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT NOT s.spec ? 'superseded' AND s.position <= w.position
$$;

CREATE OR REPLACE FUNCTION moves.copy_stages(INOUT t moves.task, p_origin uuid, p_first int) LANGUAGE plpgsql AS $$
DECLARE
  fresh moves.event[];
BEGIN
  WITH kept AS (
    SELECT s.*, row_number() OVER (ORDER BY s.position) AS place FROM agentapp_stage s
     WHERE s.workflow_id = p_origin AND s.position < p_first AND NOT s.spec ? 'superseded'
  ), copied AS (
    INSERT INTO agentapp_stage (workflow_id, position, name, kind, job_type, round, spec, output)
    SELECT t.id, place, name, kind, job_type, round,
           CASE WHEN output ->> 'decision' = 'approved' THEN spec || '{"skipped": true}' ELSE spec END,
           CASE WHEN output ->> 'decision' = 'approved' THEN NULL ELSE output END
      FROM kept ORDER BY place
    RETURNING id, position
  )
  INSERT INTO agentapp_job (id, workflow_id, stage_id, tenant_id, type, queue, model, tool, state, part, payload, output,
                            priority, attempt, max_attempts, timeout_s, worker, publishes, finished_at)
  SELECT moves.uuid7(), t.id, copied.id, t.tenant_id, j.type, j.queue, j.model, j.tool, 'completed', j.part, j.payload, j.output,
         t.priority, 0, j.max_attempts, j.timeout_s, '', 0, t.now
    FROM kept JOIN copied ON copied.position = kept.place
    JOIN agentapp_job j ON j.workflow_id = p_origin AND j.stage_id = kept.id AND j.state = 'completed'
   ORDER BY kept.place, j.part;
  SELECT count(*) INTO t.stages_total FROM agentapp_stage WHERE workflow_id = t.id;
  SELECT coalesce(array_agg(ROW('job', j.id, '', 'completed', 'done in its origin', NULL)::moves.event
                            ORDER BY s.position, j.part), '{}')
    INTO fresh FROM agentapp_job j JOIN agentapp_stage s ON s.id = j.stage_id WHERE j.workflow_id = t.id;
  t.log := t.log || fresh;
  t.position := t.stages_total;
  t.jobs_total := t.jobs_total + cardinality(fresh);
  t.jobs_done := t.jobs_done + cardinality(fresh);
END $$;
