-- Moves of dead letters. All of them run under the task's row lock, so that nobody else moves its jobs.

-- From which stages a dead letter can be replayed: none once the task has gone on without it.
CREATE OR REPLACE FUNCTION moves.stages_before(p jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('stages', coalesce((
    SELECT moves.stage_names(s.workflow_id, moves.path(s.workflow_id, s.position)) FROM agentapp_job j
      JOIN agentapp_stage s ON s.id = j.stage_id JOIN agentapp_workflow w ON w.id = j.workflow_id
     WHERE j.id = (p ->> 'job')::uuid AND s.closed_at IS NULL AND w.finished_at IS NULL), '[]'))
$$;

-- What must be known before a dead letter may run again: null, or why not. [D7]
--
-- `sent` is no hindrance: the runtime asks the provider under the same key, and where it cannot it says `unknown`.
-- With effect_happened = false a person has found out that nothing arrived.
CREATE OR REPLACE FUNCTION moves.replay_blocker(w agentapp_workflow, j agentapp_job, p jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  keys jsonb;
  blocked jsonb;
BEGIN
  IF j.id IS NULL OR j.state <> 'dead_lettered' THEN
    RETURN jsonb_build_object('status', 'no dead letter', 'state', j.state);
  ELSIF w.finished_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'over', 'state', w.state);
  ELSIF j.finished_at > (p ->> 'died_before')::timestamptz THEN
    RETURN jsonb_build_object('status', 'died again', 'state', j.state);
  ELSIF (p ->> 'effect_happened')::boolean IS NOT DISTINCT FROM false THEN
    blocked := moves.send_blocker(j, p);
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

-- Write the task's row back, and answer with what is to be published.
CREATE OR REPLACE FUNCTION moves.saved(w agentapp_workflow, p_opened jsonb, p_held int) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM moves.save_workflow(w);
  RETURN jsonb_build_object('status', 'ok', 'state', w.state, 'opened', p_opened, 'held', p_held,
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
  refused := coalesce(moves.replay_blocker(w, j, p), moves.decision_blocker(j));
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
  RETURN moves.saved(w, jsonb_build_array(moves.link(j)), 0);
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
  RETURN moves.saved(r.w, r.opened, r.held);
END $$;

-- Finish a dead letter by hand: a person has done its work, or knows what came of it, and enters the output. An output
-- that its task cannot go on with is refused (22023), and nothing is stored.
-- p: workflow, job, actor, output, reason.
CREATE OR REPLACE FUNCTION moves.resolve(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r record;
  moment timestamptz;
  me text := p ->> 'actor';
  w agentapp_workflow;
  j agentapp_job;
  keys jsonb;
  blocked jsonb;
  unusable text;
BEGIN
  SELECT * INTO w FROM agentapp_workflow WHERE id = (p ->> 'workflow')::uuid FOR NO KEY UPDATE;
  moment := moves.moment(p);
  SELECT * INTO j FROM agentapp_job WHERE id = (p ->> 'job')::uuid AND workflow_id = w.id FOR NO KEY UPDATE;
  IF j.id IS NULL OR j.state <> 'dead_lettered' THEN
    RETURN jsonb_build_object('status', 'no dead letter', 'state', j.state);
  ELSIF w.finished_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'over', 'state', w.state);
  ELSIF moves.decision_blocker(j) IS NOT NULL THEN
    RETURN moves.decision_blocker(j);
  END IF;
  blocked := moves.send_blocker(j, p);
  IF blocked IS NOT NULL THEN
    RETURN blocked;
  END IF;
  unusable := moves.unusable_output(j.id, w, p -> 'output');
  IF unusable IS NOT NULL THEN
    RAISE EXCEPTION '%', unusable USING ERRCODE = '22023';
  END IF;
  WITH known AS (
    UPDATE agentapp_effect SET state = 'confirmed', confirmed_at = moment,
           response = jsonb_build_object('resolved_by', me)
     WHERE id IN (SELECT id FROM moves.uncertain_effects(j)) AND state IN ('sent', 'unknown') RETURNING key)
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
  IF r.problem IS NOT NULL THEN
    RAISE EXCEPTION '%', r.problem USING ERRCODE = '22023';
  END IF;
  RETURN moves.saved(w, r.opened, r.held);
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
