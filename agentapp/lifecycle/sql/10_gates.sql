-- Gates: how many may run at once, and how fast. What refuses a job is also what explains why it waits.

-- The keys that a job is held to: one for each scope that concerns it. Sending a webhook is work of the platform's: it takes
-- nothing of what its tenant may use, and a tenant that drains is still told of what ends.
CREATE OR REPLACE FUNCTION moves.keys(p_queue text, p_type text, p_tenant bigint, p_model text, p_tool text)
RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  SELECT ARRAY['global', 'job_type:' || p_type, 'queue:' || p_queue]
      || CASE WHEN p_queue <> 'webhooks' THEN ARRAY['tenant:' || p_tenant::text] ELSE '{}' END
      || CASE WHEN p_model <> '' THEN ARRAY['model:' || p_model, 'budget:' || p_tenant::text] ELSE '{}' END
      || CASE WHEN p_tool <> '' THEN ARRAY['tool:' || p_tool] ELSE '{}' END
$$;

-- Whether a key has anything to say at a claim; if not, its row is not locked.
CREATE OR REPLACE FUNCTION moves.is_gated(l agentapp_limit, p_now timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT l.concurrency IS NOT NULL OR l.request_s IS NOT NULL OR l.token_s IS NOT NULL OR l.mode <> 'open'
      OR l.breaker <> 'closed' OR coalesce(l.closed_until > p_now, false)
$$;

-- Whether a key limits how many run, and says nothing else.
CREATE OR REPLACE FUNCTION moves.is_plain(l agentapp_limit) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT l.concurrency IS NOT NULL AND l.request_s IS NULL AND l.token_s IS NULL AND l.mode = 'open' AND l.breaker = 'closed'
     AND l.closed_until IS NULL
$$;

-- Write into the rows of these keys (all keys that are known, without any) what their gates say, in the order of the keys,
-- where it is something else. One after the other with all who do the same: else a gate that is not committed yet would be
-- missing from a key that somebody makes meanwhile.
CREATE OR REPLACE FUNCTION moves.resolve_gates(p_keys text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  l agentapp_limit;
  g agentapp_gate;
BEGIN
  PERFORM pg_advisory_xact_lock(26465, 29797);  -- "ga", "te"
  FOR l IN SELECT * FROM agentapp_limit WHERE p_keys IS NULL OR key = ANY(p_keys) ORDER BY key LOOP
    SELECT * INTO g FROM agentapp_gate
     WHERE scope = l.scope
       AND l.name LIKE replace(replace(replace(pattern, '\', '\\'), '_', '\_'), '*', '%')
       AND (tier = '' OR l.scope IN ('tenant', 'budget')
                         AND tier = (SELECT t.tier FROM agentapp_tenant t WHERE l.scope || ':' || t.id = l.key))
     ORDER BY pattern = l.name DESC, length(pattern) DESC, tier DESC LIMIT 1;
    UPDATE agentapp_limit x SET
      gate_id = n.gate_id, concurrency = n.concurrency, reserved = n.reserved, max_waiting = n.max_waiting,
      request_s = n.request_s, request_burst = n.request_burst,
      request_at = CASE WHEN n.request_s IS NOT NULL THEN x.request_at END,
      token_s = n.token_s, token_burst = n.token_burst, token_at = CASE WHEN n.token_s IS NOT NULL THEN x.token_at END,
      tokens_per_day = n.tokens_per_day, cost_usd_per_day = n.cost_usd_per_day,
      -- Another budget for the day: the next call tells whether it is used up.
      closed_until = CASE WHEN x.scope <> 'budget' THEN x.closed_until END
     FROM (SELECT g.id AS gate_id, g.tokens_per_day, g.cost_usd_per_day, g.concurrency, coalesce(g.reserved, 0) AS reserved, g.max_waiting,
                  60 / g.requests_per_min AS request_s, 60 / g.tokens_per_min AS token_s,
                  greatest(1, coalesce(nullif(g.request_burst, 0), ceil(g.requests_per_min / 30), 1))::int AS request_burst,
                  greatest(1, coalesce(nullif(g.token_burst, 0), ceil(g.tokens_per_min / 6), 1))::int AS token_burst) n
    WHERE x.key = l.key
      AND (x.gate_id, x.concurrency, x.reserved, x.max_waiting, x.request_s, x.request_burst, x.token_s, x.token_burst,
           x.tokens_per_day, x.cost_usd_per_day)
          IS DISTINCT FROM (n.gate_id, n.concurrency, n.reserved, n.max_waiting, n.request_s, n.request_burst, n.token_s,
                            n.token_burst, n.tokens_per_day, n.cost_usd_per_day);
  END LOOP;
END $$;

-- Make the rows of those of these keys that were never used before.
CREATE OR REPLACE FUNCTION moves.ensure_limits(p_keys text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  fresh text[] := ARRAY(SELECT k FROM unnest(p_keys) k WHERE NOT EXISTS (SELECT 1 FROM agentapp_limit WHERE key = k));
BEGIN
  INSERT INTO agentapp_limit (key, scope, name, reserved, request_burst, token_burst, slowdown, breaker, calls, failures,
                              opens, mode, mode_by, mode_reason, holds, slots, waiting, per_s, run_s, tokens_each)
  SELECT k, split_part(k, ':', 1),
         CASE WHEN k = 'global' THEN 'global'
              WHEN k LIKE 'tenant:%' OR k LIKE 'budget:%'
              THEN coalesce((SELECT slug FROM agentapp_tenant WHERE id = split_part(k, ':', 2)::bigint), k)
              ELSE substr(k, strpos(k, ':') + 1) END,
         0, 1, 1, 1, 'closed', 0, 0, 0, 'open', '', '', false, 0, 0, 0, 0, 0
    FROM unnest(fresh) k ORDER BY k
  ON CONFLICT (key) DO NOTHING;
  PERFORM moves.resolve_gates(fresh);
END $$;

CREATE OR REPLACE FUNCTION moves.ensure_keys(p_keys text[], p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM moves.ensure_limits(p_keys);
  RETURN '{}';
END $$;

-- The moment at which a meter lets the next one pass, by the generic cell rate algorithm: `p_at` is the theoretical
-- arrival time, `p_each_s` what the next one adds to it, `p_burst_s` how far ahead of time it may be after that.
CREATE OR REPLACE FUNCTION moves.passes_at(
  p_at timestamptz, p_each_s float, p_burst_s float, p_now timestamptz
) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT greatest(coalesce(p_at, p_now), p_now) + make_interval(secs => p_each_s - greatest(p_burst_s, p_each_s))
$$;

-- What is in the way of a job at one key: null, or a reason with the moment at which it may be over.
CREATE OR REPLACE FUNCTION moves.blocker(
  l agentapp_limit, p_running bigint, p_tokens int, p_urgent boolean, p_begun boolean, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  why text;
  until timestamptz;
  cap int := l.concurrency - CASE WHEN p_urgent THEN 0 ELSE l.reserved END;
BEGIN
  IF l.mode = 'paused' OR l.mode = 'draining' AND NOT p_begun THEN
    RETURN jsonb_build_object('type', 'gate', 'scope', l.scope, 'name', l.name, 'why', l.mode, 'by', l.mode_by,
                              'reason', l.mode_reason, 'since', l.mode_at);
  ELSIF l.closed_until > p_now THEN
    RETURN jsonb_build_object('type', 'gate', 'scope', l.scope, 'name', l.name, 'until', l.closed_until,
                              'why', CASE WHEN l.scope = 'budget' THEN 'budget' WHEN l.breaker = 'closed' THEN 'provider'
                                          ELSE 'breaker' END);
  ELSIF p_running >= cap THEN
    RETURN jsonb_build_object('type', 'gate', 'scope', l.scope, 'name', l.name, 'why', 'concurrency', 'limit', cap,
                              'running', p_running);
  END IF;
  IF l.request_s IS NOT NULL THEN
    until := moves.passes_at(l.request_at, l.request_s * l.slowdown, l.request_burst * l.request_s * l.slowdown, p_now);
    why := CASE WHEN until > p_now THEN 'requests' END;
  END IF;
  IF why IS NULL AND l.token_s IS NOT NULL THEN
    until := moves.passes_at(l.token_at, p_tokens * l.token_s * l.slowdown, l.token_burst * l.token_s * l.slowdown,
                                   p_now);
    why := CASE WHEN until > p_now THEN 'tokens' END;
  END IF;
  RETURN CASE WHEN why IS NOT NULL THEN
    jsonb_build_object('type', 'gate', 'scope', l.scope, 'name', l.name, 'why', why, 'until', until,
                       'limit', round((60 / coalesce(CASE why WHEN 'tokens' THEN l.token_s ELSE l.request_s END, 1)
                                       / l.slowdown)::numeric, 2)) END;
END $$;
