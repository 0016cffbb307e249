-- Go on in a plan: close a part of the open stage, and with its last part open the next one, or end the task.
--
-- p_taker is the worker that asks, or null. A single next job of one of its queues is taken at once: `taken`; or it follows:
-- {"follows": true}, its worker claims it at once, behind the locks of its gates. Of what is opened, only what there is room
-- for is published now.

-- A part of a stage is done with: its job is completed, or is a dead letter that counts as done. What is late, because its
-- join was met without it, changes nothing any more.
CREATE OR REPLACE FUNCTION moves.close_part(INOUT t moves.task, s agentapp_stage, p_output jsonb, p_taker moves.taker DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
  found jsonb;
BEGIN
  IF s.position <> t.position OR t.parts_left = 0 THEN
    RETURN;
  END IF;
  t.parts_left := t.parts_left - 1;
  IF t.parts_left > 0 THEN
    RETURN;
  END IF;
  IF t.state = 'needs_attention' THEN
    t := moves.set_state(t, 'running', 'its join is met');
  END IF;
  IF s.spec ? 'sets' THEN
    found := moves.values_set(t.id, s, p_output);
    -- A finding may make a task more urgent than the client asked for, never less.
    t.priority := least(t.priority, coalesce((found ->> 'priority')::numeric, t.priority));
    t.risk := coalesce(found ->> 'risk', t.risk);
  END IF;
  t := moves.repeat(t, s, p_output);
  t := moves.advance(t, p_taker);
END $$;

-- Go round again where a stage that is done asks for it. Of a lone job it is known by now that it can; a fan-out or a decision
-- that names no stage before it goes on.
CREATE OR REPLACE FUNCTION moves.repeat(INOUT t moves.task, s agentapp_stage, p_output jsonb) LANGUAGE plpgsql AS $$
BEGIN
  IF s.spec ? 'repeat' AND moves.goes_back(t.id, s, p_output)
     AND moves.can_go_back(t.id, s.position, s.spec -> 'repeat' ->> 'back_to') THEN
    t := moves.go_back(t, s.position, s.spec -> 'repeat' ->> 'back_to', s.round + 1);
  END IF;
END $$;

-- Open whatever comes next, or end the task. A stage that cannot be opened is no error of the move that came to it: the
-- task needs attention, and `problem` says why. What is skipped or empty is closed at once.
CREATE OR REPLACE FUNCTION moves.advance(INOUT t moves.task, p_taker moves.taker DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
  why text;
BEGIN
  LOOP
    BEGIN
      t := moves.open_next(t, p_taker);
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR plpgsql_error THEN
      -- What nobody has foreseen. What was written since the BEGIN is undone; a deadlock or an outage is no such case.
      GET STACKED DIAGNOSTICS why = MESSAGE_TEXT;
      t := moves.block_stage(t, why, NULL);
    END;
    EXIT WHEN t.parts_left > 0 OR t.finished_at IS NOT NULL;
  END LOOP;
END $$;

-- The next stage. A stage opens once, because the position of a task only grows, under its lock.
CREATE OR REPLACE FUNCTION moves.open_next(INOUT t moves.task, p_taker moves.taker) LANGUAGE plpgsql AS $$
DECLARE
  s agentapp_stage;
  next record;
  bound jsonb;
  elements jsonb;
  why text;
BEGIN
  SELECT stage, job INTO next FROM agentapp_stage stage
    LEFT JOIN agentapp_job job ON job.workflow_id = t.id AND job.stage_id = stage.id AND job.state = 'pending'
   WHERE stage.workflow_id = t.id AND stage.position > t.position ORDER BY stage.position LIMIT 1;
  IF NOT FOUND THEN
    t := moves.finish(t);
    RETURN;
  END IF;
  s := next.stage;
  IF s.spec ? 'when' AND NOT moves.is_met(t.id, s.spec -> 'when', s.position) THEN
    t := moves.skip(t, s, next.job);
    RETURN;
  END IF;
  bound := moves.bind(t.id, s.spec -> 'bind', s.position);
  elements := CASE WHEN s.kind = 'fan_out' THEN moves.elements(t.id, s) END;
  why := moves.stage_problem(s, bound, elements);
  IF why IS NOT NULL THEN
    t := moves.block_stage(t, why, bound);
    RETURN;
  END IF;
  t.position := s.position;
  IF s.kind = 'job' THEN
    t := moves.open_job(t, s, next.job, bound, p_taker);
  ELSIF s.kind = 'decision' THEN
    t := moves.open_decision(t, s, bound);
  ELSE
    t := moves.open_fan_out(t, s, bound, elements);
    IF t.parts_left = 0 THEN
      t := moves.repeat(t, s, NULL);
    END IF;
  END IF;
END $$;

-- The last stage is done. A conversation goes round again for a message that came too late for its last turn.
CREATE OR REPLACE FUNCTION moves.finish(INOUT t moves.task) LANGUAGE plpgsql AS $$
DECLARE
  hears jsonb;
BEGIN
  IF EXISTS (SELECT 1 FROM agentapp_message WHERE workflow_id = t.id) THEN
    hears := moves.hears(t.id);
    IF moves.unread(t.id, hears) > 0 AND moves.can_go_back(t.id, t.position, hears ->> 'back_to') THEN
      t := moves.go_back(t, t.position, hears ->> 'back_to', 0);
      RETURN;
    END IF;
  END IF;
  t.result := moves.bind(t.id, t.result_bind, 32767);
  IF t.jobs_done < t.jobs_total THEN
    -- Parts that a join did not wait for: nobody needs them any more.
    t := moves.end_jobs(t, NULL, 'dead_lettered', 'its task is done without it');
    t := moves.drop_questions(t, 'its task is done without it');
  END IF;
  t := moves.set_state(t, 'completed', 'its last stage is done');
END $$;

-- A job has become a dead letter: where its join counts it as done the task goes on, else it needs attention if nothing
-- else can close the stage.
CREATE OR REPLACE FUNCTION moves.bury(INOUT t moves.task, s agentapp_stage, p_why text) LANGUAGE plpgsql AS $$
BEGIN
  IF s.spec -> 'join' ->> 'rule' = 'settled' THEN
    t := moves.close_part(t, s, NULL);
  ELSIF t.state IN ('pending', 'running') AND moves.is_blocked(t) THEN
    t := moves.set_state(t, 'needs_attention', p_why);
  END IF;
END $$;

-- Tell whether a dead letter stands in the way: the open stage cannot close without it.
CREATE OR REPLACE FUNCTION moves.is_blocked(t moves.task) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN t.parts_left > 0 AND EXISTS (
    SELECT 1 FROM agentapp_stage s
      JOIN agentapp_job j ON j.workflow_id = s.workflow_id AND j.stage_id = s.id AND j.state = 'dead_lettered'
     WHERE s.workflow_id = t.id AND s.position = t.position
       AND (s.kind <> 'fan_out' OR s.spec ? 'unopened' OR s.spec -> 'join' ->> 'rule' = 'all'
            OR s.spec -> 'join' ->> 'rule' = 'at_least' AND t.parts_left > (
                 SELECT count(*) FROM agentapp_job r WHERE r.workflow_id = t.id AND r.stage_id = s.id
                    AND r.state NOT IN ('completed', 'dead_lettered', 'cancelled'))));
END $$;
