-- Moves of dead letters, and forks. All of them run under the task's row lock, so that nobody else moves its jobs.

-- The way from the first stage to position p_last as the plan has it: each stage once, in its latest round, without
-- what was superseded. (What lies between may hold several rounds of a loop.)
CREATE OR REPLACE FUNCTION moves.path(p_workflow uuid, p_last int) RETURNS int[] LANGUAGE plpgsql STABLE AS $$
DECLARE
  s record;
  way int[] := '{}';
  names text[] := '{}';
  before int;
BEGIN
  FOR s IN SELECT position, name FROM agentapp_stage
            WHERE workflow_id = p_workflow AND position <= p_last AND NOT spec ? 'superseded' ORDER BY position LOOP
    before := array_position(names, s.name::text);
    IF before IS NOT NULL THEN
      way := way[1:before - 1];
      names := names[1:before - 1];
    END IF;
    way := way || s.position::int;
    names := names || s.name::text;
  END LOOP;
  RETURN way;
END $$;

CREATE OR REPLACE FUNCTION moves.stage_names(p_workflow uuid, p_positions int[]) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT coalesce(jsonb_agg(name ORDER BY position), '[]') FROM agentapp_stage
   WHERE workflow_id = p_workflow AND position = ANY(p_positions)
$$;

-- From which stages a dead letter can be replayed: none once the task has gone on without it.
CREATE OR REPLACE FUNCTION moves.stages_before(p jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('stages', coalesce((
    SELECT moves.stage_names(s.workflow_id, moves.path(s.workflow_id, s.position)) FROM agentapp_job j
      JOIN agentapp_stage s ON s.id = j.stage_id JOIN agentapp_workflow w ON w.id = j.workflow_id
     WHERE j.id = (p ->> 'job')::uuid AND s.closed_at IS NULL AND w.finished_at IS NULL), '[]'))
$$;

-- Go round again: copy the way from the latest p_back_to up to position p_after, and put the copies behind it.
-- Without p_round each copy stays in its round.
CREATE OR REPLACE FUNCTION moves.go_back(INOUT w agentapp_workflow, p_after int, p_back_to text, p_round int)
LANGUAGE plpgsql AS $$
DECLARE
  way int[] := moves.path(w.id, p_after);
  first int;
  n int;
BEGIN
  SELECT max(position) INTO STRICT first FROM agentapp_stage
   WHERE workflow_id = w.id AND name = p_back_to AND position = ANY(way);
  way := way[array_position(way, first):];
  n := cardinality(way);
  UPDATE agentapp_stage SET position = position + n WHERE workflow_id = w.id AND position > p_after;
  INSERT INTO agentapp_stage (workflow_id, position, name, kind, job_type, round, spec, parts, parts_left)
  SELECT w.id, p_after + u.place, s.name, s.kind, s.job_type, coalesce(p_round, s.round), s.spec, 0, 0
    FROM unnest(way) WITH ORDINALITY AS u(position, place)
    JOIN agentapp_stage s ON s.workflow_id = w.id AND s.position = u.position ORDER BY u.place;
  w.stages_total := w.stages_total + n;
  w := moves.plan_jobs(w, p_after + 1, p_after + n);
END $$;

-- The effects that a dead letter began and nobody knows the end of. `error.effect` names one that another job began.
CREATE OR REPLACE FUNCTION moves.uncertain_effects(j agentapp_job) RETURNS SETOF agentapp_effect LANGUAGE sql STABLE AS $$
  SELECT * FROM agentapp_effect e
   WHERE e.state IN ('sent', 'unknown') AND e.tenant_id = j.tenant_id
     AND (e.workflow_id = j.workflow_id AND e.job_id = j.id OR e.id = (j.error ->> 'effect')::uuid)
$$;

-- What must be known before a dead letter may run again: null, or why not. [D7]
--
-- `sent` is no hindrance: the runtime asks the provider under the same key, and where it cannot it says `unknown`.
-- With effect_happened = false a person has found out that nothing arrived.
CREATE OR REPLACE FUNCTION moves.replay_blocker(w agentapp_workflow, j agentapp_job, p jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  keys jsonb;
BEGIN
  IF j.id IS NULL OR j.state <> 'dead_lettered' THEN
    RETURN jsonb_build_object('status', 'no dead letter', 'state', j.state);
  ELSIF w.finished_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'over', 'state', w.state);
  ELSIF j.finished_at > (p ->> 'died_before')::timestamptz THEN
    RETURN jsonb_build_object('status', 'died again', 'state', j.state);
  ELSIF (p ->> 'effect_happened')::boolean IS NOT DISTINCT FROM false THEN
    UPDATE agentapp_effect SET state = 'prepared' WHERE id IN (SELECT id FROM moves.uncertain_effects(j));
    RETURN NULL;
  END IF;
  SELECT jsonb_agg(key ORDER BY key) INTO keys FROM moves.uncertain_effects(j) WHERE state = 'unknown';
  RETURN CASE WHEN keys IS NOT NULL THEN jsonb_build_object('status', 'unknown effect', 'effects', keys) END;
END $$;

-- The task goes on when no dead letter is in its way any more.
CREATE OR REPLACE FUNCTION moves.unblock(INOUT w agentapp_workflow, p_actor text, p_reason text, p_now timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
  IF w.state = 'needs_attention' AND NOT moves.is_blocked(w.id) THEN
    w := moves.set_task_state(w, 'running', p_actor, p_reason, p_now);
  END IF;
END $$;

-- Under the join rule "settled" a dead letter had been counted as done.
CREATE OR REPLACE FUNCTION moves.recount(p_stage bigint) RETURNS void LANGUAGE sql AS $$
  UPDATE agentapp_stage SET parts_left = parts_left + 1
   WHERE id = p_stage AND closed_at IS NULL AND spec -> 'join' ->> 'rule' = 'settled'
$$;

CREATE OR REPLACE FUNCTION moves.replayed(w agentapp_workflow, p_opened jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM moves.save_workflow(w);
  RETURN jsonb_build_object('status', 'ok', 'state', w.state, 'opened', p_opened,
                            'tail', CASE WHEN p_opened = '[]'::jsonb THEN '[]'::jsonb
                                         ELSE moves.tail(w.id, w.position) END);
END $$;

-- Make a dead letter available again, with a fresh attempt budget; its attempts and history stay.
-- p: workflow, job, actor, reason; payload, effect_happened, died_before (it must have died by then).
CREATE OR REPLACE FUNCTION moves.replay(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  w agentapp_workflow;
  j agentapp_job;
  refused jsonb;
  spent int;
BEGIN
  SELECT * INTO w FROM agentapp_workflow WHERE id = (p ->> 'workflow')::uuid FOR NO KEY UPDATE;
  moment := moves.moment(p);
  SELECT * INTO j FROM agentapp_job WHERE id = (p ->> 'job')::uuid AND workflow_id = w.id FOR NO KEY UPDATE;
  refused := moves.replay_blocker(w, j, p);
  IF refused IS NOT NULL THEN
    RETURN refused;
  END IF;
  spent := j.attempt;
  -- A checkpoint belongs to the payload that it was made of.
  UPDATE agentapp_job
     SET state = 'available', attempt = 0, payload = coalesce(p -> 'payload', payload), finished_at = NULL,
         checkpoint = CASE WHEN p ? 'payload' THEN NULL ELSE checkpoint END,
         available_at = moment, published_at = moment, publishes = 1
   WHERE id = j.id AND state = 'dead_lettered'
  RETURNING * INTO STRICT j;
  w := moves.append_history(w, 'job', j.id, 'dead_lettered', 'available', p ->> 'actor', p ->> 'reason',
                        jsonb_strip_nulls(jsonb_build_object('edited', p ? 'payload', 'attempts_before', spent,
                                                             'effect_happened', p -> 'effect_happened')), moment);
  PERFORM moves.recount(j.stage_id);
  w := moves.unblock(w, p ->> 'actor', p ->> 'reason', moment);
  RETURN moves.replayed(w, jsonb_build_array(moves.link(j)));
END $$;

-- Cancel what a stage has not done: the run goes back to before it. Copies take the place of these jobs in the count.
CREATE OR REPLACE FUNCTION moves.cancel_stage(
  INOUT w agentapp_workflow, s agentapp_stage, p_actor text, p_reason text, p_now timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
  before int := w.seq;
BEGIN
  w := moves.end_jobs(w, s.id, '', p_actor, p_reason, p_now);
  -- One history row each.
  w.jobs_total := w.jobs_total - (w.seq - before);
END $$;

-- Replay a dead letter from an earlier stage (or its own, as a whole): the way from there is done once more.
-- p: workflow, job, actor, from_stage, effect_happened.
CREATE OR REPLACE FUNCTION moves.replay_from(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r record;
  moment timestamptz;
  me text := p ->> 'actor';
  why text := 'replayed from ' || (p ->> 'from_stage');
  w agentapp_workflow;
  j agentapp_job;
  s agentapp_stage;
  names jsonb;
  refused jsonb;
  first int;
BEGIN
  SELECT * INTO w FROM agentapp_workflow WHERE id = (p ->> 'workflow')::uuid FOR NO KEY UPDATE;
  moment := moves.moment(p);
  SELECT * INTO j FROM agentapp_job WHERE id = (p ->> 'job')::uuid AND workflow_id = w.id FOR NO KEY UPDATE;
  SELECT * INTO s FROM agentapp_stage WHERE id = j.stage_id;
  IF s.closed_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'passed', 'state', w.state);
  END IF;
  names := moves.stage_names(w.id, moves.path(w.id, s.position));
  IF NOT names ? (p ->> 'from_stage') THEN
    RETURN jsonb_build_object('status', 'no such stage', 'stages', names);
  END IF;
  refused := moves.replay_blocker(w, j, p);
  IF refused IS NOT NULL THEN
    RETURN refused;
  END IF;
  SELECT max(position) INTO first FROM agentapp_stage
   WHERE workflow_id = w.id AND name = p ->> 'from_stage' AND position <= s.position AND NOT spec ? 'superseded';
  w := moves.cancel_stage(w, s, me, why, moment);
  w := moves.go_back(w, s.position, p ->> 'from_stage', NULL);
  -- What is done once more is read by no binding: the copies find what their first rounds had found.
  UPDATE agentapp_stage SET closed_at = coalesce(closed_at, moment), spec = spec || '{"superseded": true}'
   WHERE workflow_id = w.id AND position BETWEEN first AND s.position;
  w := moves.unblock(w, me, why, moment);
  r := moves.advance(w, me, NULL, moment);
  RETURN moves.replayed(r.w, r.opened);
END $$;

-- Finish a dead letter by hand: a person has done its work, or knows what came of it, and enters the output.
-- p: workflow, job, actor, output, reason.
CREATE OR REPLACE FUNCTION moves.resolve(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r record;
  moment timestamptz;
  me text := p ->> 'actor';
  w agentapp_workflow;
  j agentapp_job;
  keys jsonb;
BEGIN
  SELECT * INTO w FROM agentapp_workflow WHERE id = (p ->> 'workflow')::uuid FOR NO KEY UPDATE;
  moment := moves.moment(p);
  SELECT * INTO j FROM agentapp_job WHERE id = (p ->> 'job')::uuid AND workflow_id = w.id FOR NO KEY UPDATE;
  IF j.id IS NULL OR j.state <> 'dead_lettered' THEN
    RETURN jsonb_build_object('status', 'no dead letter', 'state', j.state);
  ELSIF w.finished_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'over', 'state', w.state);
  END IF;
  WITH known AS (
    UPDATE agentapp_effect SET state = 'confirmed', confirmed_at = moment,
           response = jsonb_build_object('resolved_by', me)
     WHERE id IN (SELECT id FROM moves.uncertain_effects(j)) RETURNING key)
  SELECT coalesce(jsonb_agg(key ORDER BY key), '[]') INTO keys FROM known;
  UPDATE agentapp_job SET state = 'completed', output = p -> 'output', checkpoint = NULL, finished_at = moment
   WHERE id = j.id AND state = 'dead_lettered'
  RETURNING * INTO STRICT j;
  w := moves.append_history(w, 'job', j.id, 'dead_lettered', 'completed', me, p ->> 'reason',
                        jsonb_build_object('by_hand', true, 'effects', keys), moment);
  w.jobs_done := w.jobs_done + 1;
  PERFORM moves.recount(j.stage_id);
  r := moves.close_part(w, j.stage_id, j.output, me, NULL, moment);
  -- The stage may be open still, and this dead letter have been the last.
  w := moves.unblock(r.w, me, p ->> 'reason', moment);
  RETURN moves.replayed(w, r.opened);
END $$;

-- A new task that begins at a stage of an earlier one. What lies before is copied: closed stages with their completed
-- jobs, as they were; a decision only where it sent the task back. The rest is planned anew and opened.
-- p: id, origin, actor, api_key, user, from_stage, input (or that of the origin), stages (the plan from from_stage on),
-- result_bind.
CREATE OR REPLACE FUNCTION moves.fork(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r record;
  moment timestamptz;
  me text := p ->> 'actor';
  o agentapp_workflow;
  w agentapp_workflow;
  first int;
  n int;
BEGIN
  -- Nothing moves in the origin, and nothing of it is deleted, until the copies are written.
  SELECT * INTO o FROM agentapp_workflow WHERE id = (p ->> 'origin')::uuid FOR SHARE;
  moment := moves.moment(p);
  SELECT max(s.position) INTO first FROM agentapp_stage s
   WHERE s.workflow_id = o.id AND s.name = p ->> 'from_stage' AND moves.is_reached(s);
  IF first IS NULL THEN
    RETURN jsonb_build_object('status', 'not reached', 'stages', (
      SELECT coalesce(jsonb_agg(DISTINCT s.name), '[]') FROM agentapp_stage s
       WHERE s.workflow_id = o.id AND moves.is_reached(s)));
  END IF;
  INSERT INTO agentapp_workflow (id, tenant_id, api_key_id, user_id, kind, version, state, priority, risk, input, labels,
                                 result_bind, position, stages_total, jobs_total, jobs_done, seq, tokens, cost_usd,
                                 created_at, forked_from, root)
  VALUES ((p ->> 'id')::uuid, o.tenant_id, (p ->> 'api_key')::bigint, (p ->> 'user')::bigint, o.kind, o.version,
          'pending', o.priority, o.risk, coalesce(p -> 'input', o.input), o.labels, p -> 'result_bind', 0, 0, 0, 0, 0, 0,
          0, moment, o.id, coalesce(o.root, o.id))
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
  IF n > 0 THEN
    w.started_at := moment;
    w := moves.set_task_state(w, 'running', me, 'what lies before was done in its origin', moment);
  END IF;
  r := moves.advance(w, me, NULL, moment);
  w := r.w;
  RETURN moves.replayed(w, r.opened);
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
  item record;
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
  FOR item IN SELECT j.id FROM agentapp_job j JOIN agentapp_stage s ON s.id = j.stage_id
               WHERE j.workflow_id = w.id ORDER BY s.position, j.part LOOP
    w := moves.append_history(w, 'job', item.id, '', 'completed', p_actor, 'done in its origin', NULL, p_now);
    w.jobs_total := w.jobs_total + 1;
    w.jobs_done := w.jobs_done + 1;
  END LOOP;
END $$;

-- Put a dead letter away whose task is over: its join did not wait for it, and nothing can be done about it any more.
CREATE OR REPLACE FUNCTION moves.archive(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  w agentapp_workflow;
BEGIN
  SELECT * INTO w FROM agentapp_workflow WHERE id = (p ->> 'workflow')::uuid FOR NO KEY UPDATE;
  moment := moves.moment(p);
  UPDATE agentapp_job SET state = 'cancelled', finished_at = moment
   WHERE id = (p ->> 'job')::uuid AND workflow_id = w.id AND state = 'dead_lettered' AND w.finished_at IS NOT NULL;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'refused', 'state', w.state);
  END IF;
  w := moves.append_history(w, 'job', (p ->> 'job')::uuid, 'dead_lettered', 'cancelled', p ->> 'actor', p ->> 'reason', NULL,
                        moment);
  PERFORM moves.save_workflow(w);
  RETURN jsonb_build_object('status', 'ok', 'state', w.state);
END $$;
