-- Jobs that wait until a moment that a gate named, and need not wait any more.

-- Whether a limit that these jobs are held to would make them wait until a moment now. What else would stop them, they wait
-- for in the backlog.
CREATE OR REPLACE FUNCTION moves.is_put_off(p_keys text[], p_now timestamptz) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
  tokens int := (SELECT max(tokens_each) FROM agentapp_limit WHERE key = ANY(p_keys));
BEGIN
  RETURN EXISTS (
    SELECT 1 FROM agentapp_limit l WHERE l.key = ANY(p_keys) AND moves.is_gated(l, p_now)
       AND moves.blocker(l, 0, tokens, true, true, p_now) ->> 'until' IS NOT NULL);
END $$;

-- Make parked jobs due of which nothing would stop a claim until a moment: another model was chosen, a person has resumed the
-- key or changed its gate, the provider has answered somebody else. Their kinds are looked at, not each of them.
CREATE OR REPLACE FUNCTION moves.wake_parked(p_asking text[], p_limit int, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves.moment(p_now);
  n int;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  WITH kinds AS MATERIALIZED (
    SELECT DISTINCT queue, type, tenant_id, model, tool FROM agentapp_job WHERE state = 'scheduled' AND scheduled_at > moment
       AND NOT moves.is_held(blocked_by)
  ), free AS MATERIALIZED (
    SELECT * FROM kinds k
     WHERE NOT moves.is_put_off(moves.keys(k.queue, k.type, k.tenant_id, coalesce(
             moves.chosen_model(moves.choice_of(k.tenant_id, k.type, p_asking), moment), k.model), k.tool), moment)
  ), woken AS (
    SELECT j.id FROM agentapp_job j JOIN free f USING (queue, type, tenant_id, model, tool)
     WHERE j.state = 'scheduled' AND j.scheduled_at > moment AND NOT moves.is_held(j.blocked_by)
     ORDER BY j.scheduled_at LIMIT p_limit FOR NO KEY UPDATE OF j SKIP LOCKED)
  UPDATE agentapp_job j SET scheduled_at = moment FROM woken WHERE j.id = woken.id AND j.state = 'scheduled';
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN jsonb_build_object('woken', n);
END $$;

-- Jobs that wait for a model of a choice that is gone, and have none now, wait for the model of their plan again. p_models:
-- the names that the choice gave; p_tenant, p_type: whom it was for.
CREATE OR REPLACE FUNCTION moves.forget_choice(
  p_models text[], p_tenant bigint, p_type text, p_asking text[], p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  WITH left_over AS (
    SELECT j.id FROM agentapp_job j
     WHERE (j.state = 'available' AND j.published_at IS NULL OR j.state IN ('scheduled', 'retryable'))
       AND j.model = ANY(p_models) AND j.type = ANY(p_asking) AND (p_type = '' OR j.type = p_type)
       AND (p_tenant IS NULL OR j.tenant_id = p_tenant) AND moves.choice_of(j.tenant_id, j.type, p_asking) IS NULL
       FOR NO KEY UPDATE SKIP LOCKED)
  UPDATE agentapp_job j SET model = coalesce(s.spec ->> 'model', '')
    FROM left_over, agentapp_stage s WHERE j.id = left_over.id AND s.id = j.stage_id;
  RETURN '{}';
END $$;
