-- Which model a job calls. People change it in rows, which are read when a worker takes the job.

-- The choice of a model that holds for a tenant and a job type: null where there is none, or where the job type asks no chat
-- model. A row of the tenant goes before one of all tenants, and then a row of the job type before one of all job types.
CREATE OR REPLACE FUNCTION moves.choice_of(p_tenant bigint, p_type text, p_asking text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_type = ANY(p_asking) THEN
    RETURN (
      SELECT to_jsonb(c) - '{note,updated_at}'::text[] FROM agentapp_modelchoice c
       WHERE (c.tenant_id = p_tenant OR c.tenant_id IS NULL) AND c.job_type IN (p_type, '')
       ORDER BY c.tenant_id IS NULL, c.job_type = '' LIMIT 1);
  END IF;
  RETURN NULL;
END $$;

-- Whether calls of a model would fail now, or wait for longer than a moment: it is paused, its breaker is open, or its provider
-- asked to be left alone. That its gate is full is no such thing.
CREATE OR REPLACE FUNCTION moves.is_model_out(p_name text, p_now timestamptz) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (
    SELECT 1 FROM agentapp_limit WHERE key = 'model:' || p_name
       AND (mode = 'paused' OR breaker <> 'closed' AND closed_until > p_now OR closed_until > p_now + interval '10 seconds'));
END $$;

-- The name under which the gates count the calls of a choice now: its model, or its fallback while that one is out. Null: there
-- is no choice.
CREATE OR REPLACE FUNCTION moves.chosen_model(p_choice jsonb, p_now timestamptz) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_choice ->> 'fallback_limit_name' <> '' AND moves.is_model_out(p_choice ->> 'limit_name', p_now)
     AND NOT moves.is_model_out(p_choice ->> 'fallback_limit_name', p_now) THEN
    RETURN p_choice ->> 'fallback_limit_name';
  END IF;
  RETURN p_choice ->> 'limit_name';
END $$;

-- The model that a worker calls for a job that it takes: what was chosen, else what the worker itself is set to, else what the
-- plan froze.
CREATE OR REPLACE FUNCTION moves.model_of(j agentapp_job, p_taker moves.taker, p_now timestamptz) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce(moves.chosen_model(p_taker.choice, p_now), p_taker.models ->> j.type, j.model);
END $$;

-- The names of the limits of models that jobs may need, with those of fallbacks.
CREATE OR REPLACE FUNCTION moves.model_keys(p_choice jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  SELECT ARRAY(SELECT 'model:' || name FROM unnest(ARRAY[p_choice ->> 'limit_name', p_choice ->> 'fallback_limit_name']) name
                WHERE name <> '')
$$;

-- running -> running: an attempt goes on with another model, if that one's gate lets it pass. `tokens` were charged to it,
-- and `budgeted` is as in moves.claimed: a job that called none has not been told.
CREATE OR REPLACE FUNCTION moves.switch_model(p_job uuid, p_token uuid, p_model text, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  j agentapp_job;
  l agentapp_limit;
  tokens int;
  blocker jsonb;
  budgeted boolean;
BEGIN
  PERFORM moves.check_class(p_job);
  -- What a crash forgets is a count that is one too low until the attempt ends.
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND lease_token = p_token AND state = 'running' FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost', 'state', (SELECT state FROM agentapp_job WHERE id = p_job));
  END IF;
  budgeted := moves.is_budgeted(j.tenant_id);
  tokens := coalesce((SELECT tokens_each FROM agentapp_limit WHERE key = 'job_type:' || j.type), 0);
  IF j.model = p_model THEN
    -- The answer of an earlier call of mine was lost: it is counted there, and charged.
    RETURN jsonb_build_object('status', 'ok', 'tokens', tokens, 'budgeted', budgeted);
  END IF;
  PERFORM moves.ensure_limits(ARRAY['model:' || p_model]);
  SELECT * INTO l FROM agentapp_limit WHERE key = 'model:' || p_model FOR NO KEY UPDATE;
  -- Counted and charged behind the lock, in a statement of its own and at a moment of its own.
  moment := moves.moment(p_now);
  blocker := moves.blocker(l, (SELECT count(*) FROM agentapp_job WHERE state = 'running' AND model = p_model AND id <> j.id),
                           tokens, j.priority = 0, true, moment);
  IF blocker IS NOT NULL THEN
    -- One that called none waits there from its next claim on.
    UPDATE agentapp_job SET model = p_model WHERE id = j.id AND model = '';
    RETURN jsonb_build_object('status', 'blocked', 'blocker', blocker);
  END IF;
  PERFORM moves.charge(ARRAY[l.key], tokens, j.timeout_s, moment);
  UPDATE agentapp_job SET model = p_model WHERE id = j.id;
  RETURN jsonb_build_object('status', 'ok', 'tokens', tokens, 'budgeted', budgeted);
END $$;
