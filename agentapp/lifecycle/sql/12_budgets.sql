-- What the models of a tenant may use in a day: reserved before a call, settled after it.

-- Reserve what a call may use at most, for so many seconds. [C5]
--
-- p_call: the id of the call, under which it is settled; p_cost_usd: null where the price is not known. `status`: ok; wait:
-- it does not fit beside what others have reserved, for `wait_s` seconds at most; used up: it does not fit into the rest of
-- this day, and the gate of the budget is closed until the next one; too large: it fits into no day; unpriced: there is a budget
-- of money, and nobody knows what the call costs.
CREATE OR REPLACE FUNCTION moves.reserve_spending(
  p_tenant bigint, p_call uuid, p_tokens bigint, p_cost_usd numeric, p_seconds float, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves.moment(p_now);
  budget agentapp_limit;
  used agentapp_tenantday;
  others record;
  next_day timestamptz := date_trunc('day', moment, 'UTC') + interval '1 day';
BEGIN
  -- A reservation that a crash forgets was for a call of a process that has lost its connection too.
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT * INTO budget FROM agentapp_limit WHERE key = 'budget:' || p_tenant;
  IF budget.tokens_per_day IS NULL AND budget.cost_usd_per_day IS NULL THEN
    RETURN '{"status": "ok"}';
  ELSIF budget.cost_usd_per_day IS NOT NULL AND p_cost_usd IS NULL THEN
    RETURN '{"status": "unpriced"}';
  END IF;
  IF moves.exceeds(budget, p_tokens, p_cost_usd) THEN
    RETURN jsonb_build_object('status', 'too large', 'tokens', budget.tokens_per_day, 'cost_usd', budget.cost_usd_per_day);
  END IF;
  used := moves.day_of(p_tenant, moment);
  SELECT coalesce(sum(tokens), 0) AS tokens, coalesce(sum(cost_usd), 0) AS cost_usd,
         extract(epoch FROM min(expires_at) - moment) AS wait_s INTO others
    FROM agentapp_reservation WHERE day_id = used.id AND expires_at > moment AND id <> p_call;
  IF moves.exceeds(budget, used.tokens + p_tokens, used.cost_usd + coalesce(p_cost_usd, 0)) THEN
    PERFORM moves.close_budget(budget, next_day, moment);
    RETURN jsonb_build_object('status', 'used up', 'until', next_day, 'tokens', used.tokens, 'cost_usd', used.cost_usd);
  ELSIF moves.exceeds(budget, used.tokens + others.tokens + p_tokens,
                      used.cost_usd + others.cost_usd + coalesce(p_cost_usd, 0)) THEN
    RETURN jsonb_build_object('status', 'wait', 'wait_s', others.wait_s);
  END IF;
  INSERT INTO agentapp_reservation (id, day_id, tokens, cost_usd, expires_at)
  VALUES (p_call, used.id, p_tokens, coalesce(p_cost_usd, 0), moment + make_interval(secs => p_seconds))
  ON CONFLICT (id) DO NOTHING;
  RETURN '{"status": "ok"}';
END $$;

-- Whether the models of a tenant have a budget of the day.
CREATE OR REPLACE FUNCTION moves.is_budgeted(p_tenant bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT 1 FROM agentapp_limit WHERE key = 'budget:' || p_tenant
                    AND (tokens_per_day IS NOT NULL OR cost_usd_per_day IS NOT NULL));
END $$;

CREATE OR REPLACE FUNCTION moves.exceeds(p_budget agentapp_limit, p_tokens numeric, p_cost_usd numeric) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(p_tokens > p_budget.tokens_per_day, false) OR coalesce(p_cost_usd > p_budget.cost_usd_per_day, false)
$$;

-- Lock what a tenant has used in the day of a moment. Made with the first call of a day that is held to a budget, from what
-- was called before without one.
CREATE OR REPLACE FUNCTION moves.day_of(p_tenant bigint, p_now timestamptz) RETURNS agentapp_tenantday LANGUAGE plpgsql AS $$
DECLARE
  found agentapp_tenantday;
  today date := (p_now AT TIME ZONE 'UTC')::date;
BEGIN
  SELECT * INTO found FROM agentapp_tenantday d WHERE d.tenant_id = p_tenant AND d.day = today FOR NO KEY UPDATE;
  IF found.id IS NULL THEN
    INSERT INTO agentapp_tenantday (tenant_id, day, tokens, cost_usd)
    SELECT p_tenant, today, coalesce(sum(c.prompt_tokens + c.completion_tokens), 0), coalesce(sum(c.cost_usd), 0)
      FROM agentapp_modelcall c
     -- Ids begin with their time: only calls of this day are read.
     WHERE c.id >= moves.first_id(date_trunc('day', p_now, 'UTC')) AND c.tenant_id = p_tenant
       AND c.started_at >= date_trunc('day', p_now, 'UTC')
    ON CONFLICT (tenant_id, day) DO NOTHING;
    SELECT * INTO found FROM agentapp_tenantday d WHERE d.tenant_id = p_tenant AND d.day = today FOR NO KEY UPDATE;
  END IF;
  RETURN found;
END $$;

-- Count for the day what was called while no budget held, such as between two gates: a row says at least what the calls of its
-- day say. What was counted of a call whose use nobody knows stays.
CREATE OR REPLACE FUNCTION moves.recount_days(p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  start timestamptz := date_trunc('day', moves.moment(p_now), 'UTC');
  today date := (start AT TIME ZONE 'UTC')::date;
  days int;
BEGIN
  PERFORM 1 FROM agentapp_tenantday WHERE day = today ORDER BY id FOR NO KEY UPDATE;
  UPDATE agentapp_tenantday d
     SET tokens = greatest(d.tokens, c.tokens), cost_usd = greatest(d.cost_usd, c.cost_usd)
    FROM (SELECT tenant_id, sum(prompt_tokens + completion_tokens) AS tokens, sum(cost_usd) AS cost_usd
            FROM agentapp_modelcall WHERE id >= moves.first_id(start) AND started_at >= start GROUP BY tenant_id) c
   WHERE d.day = today AND c.tenant_id = d.tenant_id;
  GET DIAGNOSTICS days = ROW_COUNT;
  RETURN jsonb_build_object('days', days);
END $$;

-- The first id (UUID version 7) of a moment.
CREATE OR REPLACE FUNCTION moves.first_id(p_at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- The tenant's jobs that call models wait until the next day, or for another budget. Not if it has become another one since.
CREATE OR REPLACE FUNCTION moves.close_budget(b agentapp_limit, p_until timestamptz, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_limit SET closed_until = p_until
   WHERE key = b.key AND closed_until IS DISTINCT FROM p_until
     AND (tokens_per_day, cost_usd_per_day) IS NOT DISTINCT FROM (b.tokens_per_day, b.cost_usd_per_day);
  IF FOUND THEN
    PERFORM moves.record_gate_change(b.key, 'used up', NULL, jsonb_build_object('closed_until', p_until), 'budget',
                                     'the budget of the day is used up', p_now);
  END IF;
END $$;

-- A call is over: what it has used takes the place of what it had reserved, once; null: nobody knows, so all of that. A call of
-- a process that was taken for dead is counted too.
CREATE OR REPLACE FUNCTION moves.settle_spending(p_call uuid, p_tokens bigint, p_cost_usd numeric, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r agentapp_reservation;
BEGIN
  SELECT * INTO r FROM agentapp_reservation WHERE id = p_call;
  -- Locked before the reservation goes, in the order of moves.reserve_spending.
  PERFORM 1 FROM agentapp_tenantday WHERE id = r.day_id FOR NO KEY UPDATE;
  DELETE FROM agentapp_reservation WHERE id = p_call;
  IF FOUND THEN
    UPDATE agentapp_tenantday
       SET tokens = tokens + coalesce(p_tokens, r.tokens), cost_usd = cost_usd + coalesce(p_cost_usd, r.cost_usd)
     WHERE id = r.day_id;
  END IF;
  RETURN '{}';
END $$;
