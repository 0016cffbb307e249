-- Moves of dead letters. All of them run under the task's row lock, so that nobody else moves its jobs.

-- Why this is no dead letter of a task that can go on: null, or the answer.
CREATE OR REPLACE FUNCTION moves.letter_problem(t moves.task, j agentapp_job) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN j.id IS NULL OR j.state <> 'dead_lettered'
              THEN jsonb_build_object('status', 'no dead letter', 'state', j.state)
              WHEN t.finished_at IS NOT NULL THEN jsonb_build_object('status', 'over', 'state', t.state) END
$$;

-- What must be known before a dead letter may run again: null, or why not. [D7]
--
-- `sent` is no hindrance: the runtime asks the provider under the same key, and where it cannot it says `unknown`.
-- With effect_happened = false a person has found out that nothing arrived.
CREATE OR REPLACE FUNCTION moves.replay_blocker(
  t moves.task, j agentapp_job, p_effect_happened boolean, p_died_before timestamptz, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  keys jsonb;
  blocked jsonb := moves.letter_problem(t, j);
BEGIN
  IF blocked IS NOT NULL THEN
    RETURN blocked;
  ELSIF j.finished_at > p_died_before THEN
    RETURN jsonb_build_object('status', 'died again', 'state', j.state);
  ELSIF p_effect_happened IS NOT DISTINCT FROM false THEN
    blocked := moves.send_blocker(j, p_now);
    IF blocked IS NOT NULL THEN
      RETURN blocked;
    END IF;
    -- One that was confirmed meanwhile did happen; of a send that began after this death a person can know nothing yet.
    UPDATE agentapp_effect SET state = 'prepared', unfinished = NULL
     WHERE id IN (SELECT id FROM moves.uncertain_effects(j)) AND state IN ('sent', 'unknown')
       AND sent_at <= j.finished_at;
    RETURN NULL;
  END IF;
  SELECT jsonb_agg(key ORDER BY key) INTO keys FROM moves.uncertain_effects(j) WHERE state = 'unknown';
  RETURN CASE WHEN keys IS NOT NULL THEN jsonb_build_object('status', 'unknown effect', 'effects', keys) END;
END $$;

-- A decision that could not be opened has no body to run, and no output that a person may make up.
CREATE OR REPLACE FUNCTION moves.decision_blocker(j agentapp_job) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN CASE WHEN (SELECT kind FROM agentapp_stage WHERE id = j.stage_id) = 'decision'
              THEN jsonb_build_object('status', 'decision') END;
END $$;

-- The task goes on when no dead letter is in its way any more.
CREATE OR REPLACE FUNCTION moves.unblock(INOUT t moves.task, p_reason text) LANGUAGE plpgsql AS $$
BEGIN
  IF t.state = 'needs_attention' AND NOT moves.is_blocked(t) THEN
    t := moves.set_state(t, 'running', p_reason);
  END IF;
END $$;

-- Under the join rule "settled" a dead letter had been counted as done, unless it stands for a stage that did not open.
CREATE OR REPLACE FUNCTION moves.recount(INOUT t moves.task, s agentapp_stage) LANGUAGE plpgsql AS $$
BEGIN
  IF s.position = t.position AND s.spec -> 'join' ->> 'rule' = 'settled' AND NOT s.spec ? 'unopened' THEN
    t.parts_left := t.parts_left + 1;
  END IF;
END $$;

-- Make a dead letter available again, with a fresh attempt budget; its attempts and history stay.
-- It must have died by p_died_before.
CREATE OR REPLACE FUNCTION moves.replay(
  p_workflow uuid, p_job uuid, p_actor text, p_reason text, p_payload jsonb DEFAULT NULL,
  p_effect_happened boolean DEFAULT NULL, p_died_before timestamptz DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
  k agentapp_job;
  refused jsonb;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND workflow_id = t.id FOR NO KEY UPDATE;
  refused := coalesce(moves.replay_blocker(t, j, p_effect_happened, p_died_before, p_now), moves.decision_blocker(j));
  IF refused IS NOT NULL THEN
    RETURN refused;
  END IF;
  k := moves.entering(CASE WHEN p_payload IS NULL THEN j ELSE moves.edit_payload(j, p_payload) END, 'available', t.now);
  k.attempt := 0;
  k.replay := j.replay + 1;
  k.published_at := t.now;
  k.publishes := 1;
  t := moves.move_job(t, j, k, p_reason, jsonb_strip_nulls(jsonb_build_object(
    'edited', p_payload IS NOT NULL, 'attempts_before', j.attempt, 'effect_happened', p_effect_happened)));
  t := moves.recount(t, (SELECT s FROM agentapp_stage s WHERE s.id = j.stage_id));
  t := moves.unblock(t, p_reason);
  t.opened := jsonb_build_array(moves.link(k));
  RETURN moves.saved(t);
END $$;

-- Replay a dead letter from an earlier stage (or its own, as a whole): the way from there is done once more.
CREATE OR REPLACE FUNCTION moves.replay_from(
  p_workflow uuid, p_job uuid, p_actor text, p_from_stage text, p_effect_happened boolean DEFAULT NULL,
  p_reason text DEFAULT '', p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
  why text := 'replayed from ' || p_from_stage || coalesce(': ' || nullif(p_reason, ''), '');
  j agentapp_job;
  s agentapp_stage;
  names jsonb;
  refused jsonb;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND workflow_id = t.id FOR NO KEY UPDATE;
  SELECT * INTO s FROM agentapp_stage WHERE id = j.stage_id;
  IF s.position < t.position OR t.parts_left = 0 THEN
    RETURN jsonb_build_object('status', 'passed', 'state', t.state);
  END IF;
  names := moves.stage_names(t.id, moves.path(t.id, 1, s.position));
  IF NOT names ? p_from_stage THEN
    RETURN jsonb_build_object('status', 'no such stage', 'stages', names);
  END IF;
  refused := moves.replay_blocker(t, j, p_effect_happened, NULL, p_now);
  IF refused IS NOT NULL THEN
    RETURN refused;
  END IF;
  t := moves.do_again(t, s, p_from_stage, why);
  t := moves.unblock(t, why);
  t := moves.advance(t);
  RETURN moves.saved(t);
END $$;

-- Give the open stage up, and put the way from an earlier one behind it. What is done once more is read by no binding:
-- the copies find what their first rounds had found.
CREATE OR REPLACE FUNCTION moves.do_again(INOUT t moves.task, s agentapp_stage, p_from text, p_reason text)
LANGUAGE plpgsql AS $$
DECLARE
  first int := moves.latest(t.id, p_from, s.position);
  noted int := cardinality(t.log);
BEGIN
  t := moves.end_jobs(t, s.id, '', p_reason);
  -- One note each: copies take the place of these jobs in the count.
  t.jobs_total := t.jobs_total - (cardinality(t.log) - noted);
  t := moves.drop_questions(t, p_reason);
  t.parts_left := 0;
  t := moves.go_back(t, s.position, p_from, NULL);
  UPDATE agentapp_stage SET spec = spec || '{"superseded": true}'
   WHERE workflow_id = t.id AND position BETWEEN first AND s.position;
END $$;
