-- Open whatever comes next in a plan, or end the task. Returns the jobs that became available.
--
-- With p_take (a claim's worker, queues, lease_s) a single next job of one of its queues is taken at once: `taken`; or
-- it follows: {"follow": true}, its worker claims it at once, behind the locks of its gates.
-- Of what is opened, only what there is room for is published now; the links say which, and `held` counts the others.
-- A stage that cannot be opened is no error of the move that came to it: the task needs attention, and `problem` says
-- why.
CREATE OR REPLACE FUNCTION moves.advance(
  INOUT w agentapp_workflow, p_actor text, p_take jsonb, p_now timestamptz,
  OUT opened jsonb, OUT taken jsonb, OUT held int, OUT problem text
) LANGUAGE plpgsql AS $$
DECLARE
  r record;
BEGIN
  BEGIN
    r := moves.open_next(w, p_actor, p_take, p_now);
    w := r.w;
    opened := r.opened;
    taken := r.taken;
    held := r.held;
    problem := r.problem;
  EXCEPTION WHEN data_exception OR integrity_constraint_violation OR plpgsql_error THEN
    -- What nobody has foreseen. What was written since the BEGIN is undone; a deadlock or an outage is no such case.
    GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT;
    opened := '[]';
    held := 0;
    w := moves.block_stage(w, problem, NULL, p_actor, p_now);
  END;
END $$;

-- The next stages, up to one that has something to do. A stage opens once: `opened_at IS NULL` is the guard, under the
-- task's row lock. An empty fan-out is closed at once.
CREATE OR REPLACE FUNCTION moves.open_next(
  INOUT w agentapp_workflow, p_actor text, p_take jsonb, p_now timestamptz,
  OUT opened jsonb, OUT taken jsonb, OUT held int, OUT problem text
) LANGUAGE plpgsql AS $$
DECLARE
  r record;
  s agentapp_stage;
  bound jsonb;
BEGIN
  opened := '[]';
  held := 0;
  LOOP
    SELECT * INTO s FROM agentapp_stage WHERE workflow_id = w.id AND opened_at IS NULL ORDER BY position LIMIT 1;
    IF NOT FOUND THEN
      w := moves.finish(w, p_actor, p_now);
      RETURN;
    END IF;
    w.position := s.position;
    bound := moves.bind(w, s.spec -> 'bind', s.position);
    problem := moves.stage_problem(w, s, bound);
    IF problem IS NOT NULL THEN
      w := moves.block_stage(w, problem, bound, p_actor, p_now);
      RETURN;
    ELSIF s.kind = 'job' THEN
      r := moves.open_job(w, s, bound, p_actor, p_take, p_now);
      w := r.w;
      opened := r.opened;
      taken := r.taken;
      RETURN;
    ELSIF s.kind = 'decision' THEN
      w := moves.open_decision(w, s, bound, p_actor, p_now);
      RETURN;
    END IF;
    r := moves.open_fan_out(w, s, bound, p_actor, p_now);
    w := r.w;
    IF r.n > 0 THEN
      opened := r.opened;
      held := r.held;
      RETURN;
    END IF;
  END LOOP;
END $$;

-- The last stage is done.
CREATE OR REPLACE FUNCTION moves.finish(INOUT w agentapp_workflow, p_actor text, p_now timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
  w.result := moves.bind(w, w.result_bind, 32767);
  IF w.jobs_done < w.jobs_total THEN
    -- Parts that a join did not wait for: nobody needs them any more.
    w := moves.end_jobs(w, NULL, 'dead_lettered', p_actor, 'its task is done without it', p_now);
  END IF;
  w := moves.set_task_state(w, 'completed', p_actor, 'its last stage is done', p_now);
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
         coalesce(s.spec ->> 'tool', ''), 'pending', 0, w.priority, 0, (s.spec ->> 'max_attempts')::int,
         (s.spec ->> 'timeout_s')::int, '', 0
    FROM agentapp_stage s
   WHERE s.workflow_id = w.id AND s.kind = 'job' AND s.position BETWEEN p_first AND p_last
   ORDER BY s.position;
  GET DIAGNOSTICS n = ROW_COUNT;
  w.jobs_total := w.jobs_total + n;
END $$;

-- What remains to be published: the lone pending jobs that follow the open stage, up to the next person or fan-out.
-- (In plpgsql, because a function in SQL that is not inlined is planned again at each call.)
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
