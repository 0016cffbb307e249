-- Dead letters that do not run again: finished by hand, or put away.

-- Finish a dead letter by hand: a person has done its work, or knows what came of it, and enters the output. An output
-- that its task cannot go on with is refused (22023), and nothing is stored.
CREATE OR REPLACE FUNCTION moves.resolve(
  p_workflow uuid, p_job uuid, p_actor text, p_output jsonb, p_reason text, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
  k agentapp_job;
  s agentapp_stage;
  blocked jsonb;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND workflow_id = t.id FOR NO KEY UPDATE;
  blocked := coalesce(moves.letter_problem(t, j), moves.decision_blocker(j), moves.send_blocker(j, p_now));
  IF blocked IS NOT NULL THEN
    RETURN blocked;
  END IF;
  SELECT * INTO s FROM agentapp_stage WHERE id = j.stage_id;
  t.problem := moves.output_problem(t.id, s, p_output);
  IF t.problem IS NULL THEN
    k := moves.entering(j, 'completed', t.now);
    k.output := p_output;
    t := moves.move_job(t, j, k, p_reason, jsonb_build_object(
      'by_hand', true, 'effects', moves.confirm_by_hand(j, t.actor, t.now)));
    t.jobs_done := t.jobs_done + 1;
    t := moves.recount(t, s);
    t := moves.close_part(t, s, k.output);
    -- The stage may be open still, and this dead letter have been the last.
    t := moves.unblock(t, p_reason);
  END IF;
  IF t.problem IS NOT NULL THEN
    RAISE EXCEPTION '%', t.problem USING ERRCODE = '22023';
  END IF;
  RETURN moves.saved(t);
END $$;

-- Effects of which nobody knew the end count as happened; returns their keys.
CREATE OR REPLACE FUNCTION moves.confirm_by_hand(j agentapp_job, p_actor text, p_now timestamptz) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  keys jsonb;
BEGIN
  WITH known AS (
    UPDATE agentapp_effect SET state = 'confirmed', confirmed_at = p_now,
           response = jsonb_build_object('resolved_by', p_actor)
     WHERE id IN (SELECT id FROM moves.uncertain_effects(j)) AND state IN ('sent', 'unknown') RETURNING key)
  SELECT coalesce(jsonb_agg(key ORDER BY key), '[]') INTO keys FROM known;
  RETURN keys;
END $$;

-- Put a dead letter away whose task is over: its join did not wait for it, and nothing can be done about it any more.
CREATE OR REPLACE FUNCTION moves.archive(
  p_workflow uuid, p_job uuid, p_actor text, p_reason text, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND workflow_id = t.id FOR NO KEY UPDATE;
  IF NOT FOUND OR j.state <> 'dead_lettered' OR t.finished_at IS NULL THEN
    RETURN moves.refused(t);
  END IF;
  t := moves.move_job(t, j, moves.entering(j, 'cancelled', t.now), p_reason);
  RETURN moves.saved(t);
END $$;
