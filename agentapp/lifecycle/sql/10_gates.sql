-- Gates: how many may run at once, and how fast. What refuses a job is also what explains why it waits.

-- The keys that a job is held to: one for each scope that concerns it.
CREATE OR REPLACE FUNCTION moves.keys(p_queue text, p_type text, p_tenant bigint, p_model text, p_tool text)
RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  SELECT ARRAY['global', 'job_type:' || p_type, 'queue:' || p_queue, 'tenant:' || p_tenant]
      || CASE WHEN p_model <> '' THEN ARRAY['model:' || p_model] ELSE '{}' END
      || CASE WHEN p_tool <> '' THEN ARRAY['tool:' || p_tool] ELSE '{}' END
$$;

-- Whether a key has anything to say at a claim; if not, its row is not locked.
CREATE OR REPLACE FUNCTION moves.is_gated(l agentapp_limit, p_now timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT l.concurrency IS NOT NULL OR l.request_s IS NOT NULL OR l.token_s IS NOT NULL OR l.mode <> 'open'
      OR l.breaker <> 'closed' OR coalesce(l.closed_until > p_now, false)
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
       AND (tier = '' OR l.scope = 'tenant' AND tier = (SELECT t.tier FROM agentapp_tenant t WHERE 'tenant:' || t.id = l.key))
     ORDER BY pattern = l.name DESC, length(pattern) DESC, tier DESC LIMIT 1;
    UPDATE agentapp_limit x SET
      gate_id = n.gate_id, concurrency = n.concurrency, reserved = n.reserved, max_waiting = n.max_waiting,
      request_s = n.request_s, request_burst = n.request_burst,
      request_at = CASE WHEN n.request_s IS NOT NULL THEN x.request_at END,
      token_s = n.token_s, token_burst = n.token_burst, token_at = CASE WHEN n.token_s IS NOT NULL THEN x.token_at END
     FROM (SELECT g.id AS gate_id, g.concurrency, coalesce(g.reserved, 0) AS reserved, g.max_waiting,
                  60 / g.requests_per_min AS request_s, 60 / g.tokens_per_min AS token_s,
                  greatest(1, coalesce(nullif(g.request_burst, 0), ceil(g.requests_per_min / 30), 1))::int AS request_burst,
                  greatest(1, coalesce(nullif(g.token_burst, 0), ceil(g.tokens_per_min / 6), 1))::int AS token_burst) n
    WHERE x.key = l.key
      AND (x.gate_id, x.concurrency, x.reserved, x.max_waiting, x.request_s, x.request_burst, x.token_s, x.token_burst)
          IS DISTINCT FROM (n.gate_id, n.concurrency, n.reserved, n.max_waiting, n.request_s, n.request_burst, n.token_s,
                            n.token_burst);
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
              WHEN k LIKE 'tenant:%' THEN coalesce((SELECT slug FROM agentapp_tenant WHERE 'tenant:' || id = k), k)
              ELSE substr(k, strpos(k, ':') + 1) END,
         0, 1, 1, 1, 'closed', 0, 0, 0, 'open', '', '', false, 0, 0, 0, 0, 0
    FROM unnest(fresh) k ORDER BY k
  ON CONFLICT (key) DO NOTHING;
  PERFORM moves.resolve_gates(fresh);
END $$;

CREATE OR REPLACE FUNCTION moves.ensure_keys(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM moves.ensure_limits(ARRAY(SELECT jsonb_array_elements_text(p -> 'keys')));
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
                              'why', CASE WHEN l.breaker = 'closed' THEN 'provider' ELSE 'breaker' END);
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

-- What runs of the kinds that a job belongs to, by scope; with p_published, what is published too.
CREATE OR REPLACE FUNCTION moves.count_busy(
  p_type text, p_tenant bigint, p_model text, p_tool text, p_published boolean,
  OUT global bigint, OUT job_type bigint, OUT tenant bigint, OUT model bigint, OUT tool bigint
) LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_published THEN
    SELECT count(*), count(*) FILTER (WHERE b.type = p_type), count(*) FILTER (WHERE b.tenant_id = p_tenant),
           count(*) FILTER (WHERE b.model = p_model), count(*) FILTER (WHERE b.tool = p_tool)
      INTO global, job_type, tenant, model, tool
      FROM (SELECT r.type, r.tenant_id, r.model, r.tool FROM agentapp_job r WHERE r.state = 'running'
             UNION ALL
            SELECT r.type, r.tenant_id, r.model, r.tool FROM agentapp_job r
             WHERE r.state = 'available' AND r.published_at IS NOT NULL AND r.publishes < moves.unclaimed_after()) b;
  ELSE
    SELECT count(*), count(*) FILTER (WHERE r.type = p_type), count(*) FILTER (WHERE r.tenant_id = p_tenant),
           count(*) FILTER (WHERE r.model = p_model), count(*) FILTER (WHERE r.tool = p_tool)
      INTO global, job_type, tenant, model, tool FROM agentapp_job r WHERE r.state = 'running';
  END IF;
END $$;

CREATE OR REPLACE FUNCTION moves.busy_of_scope(
  p_scope text, p_global bigint, p_job_type bigint, p_tenant bigint, p_model bigint, p_tool bigint
) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_scope WHEN 'global' THEN p_global WHEN 'job_type' THEN p_job_type WHEN 'tenant' THEN p_tenant
                      WHEN 'model' THEN p_model WHEN 'tool' THEN p_tool ELSE 0 END
$$;

-- Let a job pass all of its gates, or none of them. [E1] [E2] INV5
--
-- The rows of its keys are locked in their order, and only then what runs is counted, in a statement of its own: it
-- sees every claim that was committed before the last lock was got. `blockers` is null when it passed, and its share of
-- every meter is taken; else all that is in its way. Without p_take nothing is locked nor taken: that is an explanation.
-- The caller has locked the job, which comes before gates in the order of locks.
CREATE OR REPLACE FUNCTION moves.pass_gates(
  j agentapp_job, p_priority int, p_begun boolean, p_take boolean, p_now timestamptz, OUT blockers jsonb, OUT tokens int
) LANGUAGE plpgsql AS $$
DECLARE
  keys text[] := moves.keys(j.queue, j.type, j.tenant_id, j.model, j.tool);
  known int;
  gated boolean;
  counted boolean;
  metered boolean;
  busy record;
BEGIN
  SELECT count(*), bool_or(moves.is_gated(x, p_now)), bool_or(x.concurrency IS NOT NULL),
         bool_or(x.request_s IS NOT NULL OR x.token_s IS NOT NULL OR x.breaker <> 'closed'), max(x.tokens_each)
    INTO known, gated, counted, metered, tokens FROM agentapp_limit x WHERE x.key = ANY(keys);
  IF known < cardinality(keys) AND p_take THEN
    PERFORM moves.ensure_limits(keys);
    SELECT true, true, true INTO gated, counted, metered;
  END IF;
  IF NOT coalesce(gated, false) THEN
    RETURN;
  END IF;
  IF p_take THEN
    SELECT bool_or(locked.concurrency IS NOT NULL) INTO counted FROM (
      SELECT x.concurrency FROM agentapp_limit x WHERE x.key = ANY(keys) AND moves.is_gated(x, p_now)
      ORDER BY x.key FOR NO KEY UPDATE) locked;
  END IF;
  IF counted THEN
    busy := moves.count_busy(j.type, j.tenant_id, j.model, j.tool, false);
  ELSE
    SELECT 0::bigint AS global, 0::bigint AS job_type, 0::bigint AS tenant, 0::bigint AS model, 0::bigint AS tool INTO busy;
  END IF;
  -- Only limits that may stop it are asked at length.
  SELECT jsonb_agg(h.why ORDER BY h.key), bool_or(h.metered) INTO blockers, metered FROM (
    SELECT x.key, x.request_s IS NOT NULL OR x.token_s IS NOT NULL OR x.breaker <> 'closed' AS metered,
           moves.blocker(
             x, moves.busy_of_scope(x.scope, busy.global, busy.job_type, busy.tenant, busy.model, busy.tool), tokens,
             p_priority = 0, p_begun, p_now) AS why
      FROM agentapp_limit x
     WHERE x.key = ANY(keys) AND moves.is_gated(x, p_now)
       AND NOT (x.mode = 'open' AND x.breaker = 'closed' AND x.closed_until IS NULL AND x.request_s IS NULL AND x.token_s IS NULL
                AND x.concurrency - x.reserved > moves.busy_of_scope(x.scope, busy.global, busy.job_type, busy.tenant, busy.model, busy.tool))
    ) h;
  blockers := nullif(jsonb_path_query_array(blockers, '$[*] ? (@ != null)'), '[]');
  IF p_take AND metered AND blockers IS NULL THEN
    UPDATE agentapp_limit SET
      request_at = greatest(coalesce(request_at, p_now), p_now) + make_interval(secs => request_s * slowdown),
      token_at = greatest(coalesce(token_at, p_now), p_now) + make_interval(secs => tokens * token_s * slowdown),
      -- An open breaker whose time is over lets one through and waits for what becomes of it.
      closed_until = CASE WHEN breaker <> 'closed' THEN p_now + make_interval(secs => j.timeout_s) ELSE closed_until END,
      breaker = CASE breaker WHEN 'open' THEN 'half_open' ELSE breaker END
     WHERE key = ANY(keys) AND (request_s IS NOT NULL OR token_s IS NOT NULL OR breaker <> 'closed');
  END IF;
END $$;

-- Whether a worker may go on with p_next in the settle of p_done: when its slots pass from one to the other, so that no
-- row of a gate need be locked while the settle waits for the disk. [one global gate must not become the ceiling]
CREATE OR REPLACE FUNCTION moves.may_follow(p_done uuid, p_next agentapp_job, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  keys text[] := moves.keys(p_next.queue, p_next.type, p_next.tenant_id, p_next.model, p_next.tool);
  known int;
  gated boolean;
  done agentapp_job;
  held text[];
BEGIN
  SELECT count(*), bool_or(moves.is_gated(x, p_now)) INTO known, gated FROM agentapp_limit x WHERE x.key = ANY(keys);
  IF known < cardinality(keys) THEN
    PERFORM moves.ensure_limits(keys);
  ELSIF NOT gated THEN
    RETURN true;
  END IF;
  SELECT * INTO done FROM agentapp_job WHERE id = p_done;
  held := moves.keys(done.queue, done.type, done.tenant_id, done.model, done.tool);
  RETURN NOT EXISTS (
    SELECT 1 FROM agentapp_limit x WHERE x.key = ANY(keys) AND moves.is_gated(x, p_now)
       AND (NOT x.key = ANY(held) OR x.request_s IS NOT NULL OR x.token_s IS NOT NULL OR x.mode = 'paused'
            OR x.breaker <> 'closed' OR x.closed_until > p_now
            -- The limit may have been lowered since.
            OR x.concurrency <= (SELECT count(*) FROM agentapp_job r WHERE r.state = 'running' AND CASE x.scope
                 WHEN 'job_type' THEN r.type = p_next.type WHEN 'tenant' THEN r.tenant_id = p_next.tenant_id
                 WHEN 'model' THEN r.model = p_next.model WHEN 'tool' THEN r.tool = p_next.tool ELSE true END)));
END $$;

-- How many of n jobs that become available together are published at once. The others wait as rows: where others wait
-- already, behind a gate, or because the broker holds enough. A lone job is let try its gates at the claim.
CREATE OR REPLACE FUNCTION moves.room(
  p_queue text, p_type text, p_tenant bigint, p_model text, p_tool text, p_n int, p_begun boolean, p_now timestamptz
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  keys text[] := moves.keys(p_queue, p_type, p_tenant, p_model, p_tool);
  room int;
  known int;
  counted boolean;
  busy record;
BEGIN
  SELECT count(*) INTO known FROM agentapp_limit WHERE p_n > 1 AND key = ANY(keys);
  IF p_n > 1 AND known < cardinality(keys) THEN
    PERFORM moves.ensure_limits(keys);
  END IF;
  SELECT CASE
           WHEN bool_or(holds OR mode = 'paused' OR mode = 'draining' AND NOT p_begun
                        OR breaker <> 'closed' OR closed_until > p_now) THEN 0
           WHEN p_n = 1 THEN 1
           -- The dispatcher knows how to read a meter.
           WHEN bool_or(request_s IS NOT NULL OR token_s IS NOT NULL) THEN 0
           ELSE least(p_n, coalesce(max(runway), 64)) END,
         bool_or(concurrency IS NOT NULL)
    INTO room, counted FROM agentapp_limit x WHERE x.key = ANY(keys);
  room := coalesce(room, p_n);
  IF room > 1 AND counted THEN
    busy := moves.count_busy(p_type, p_tenant, p_model, p_tool, true);
    room := greatest(0, least(room, (
      SELECT min(x.concurrency - x.reserved
                 - moves.busy_of_scope(x.scope, busy.global, busy.job_type, busy.tenant, busy.model, busy.tool))
        FROM agentapp_limit x WHERE x.key = ANY(keys))));
  END IF;
  RETURN room;
END $$;

-- Whether somebody waits for what a job that has ended held.
CREATE OR REPLACE FUNCTION moves.is_awaited(j agentapp_job) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
  keys text[] := moves.keys(j.queue, j.type, j.tenant_id, j.model, j.tool);
BEGIN
  RETURN EXISTS (SELECT 1 FROM agentapp_limit WHERE key = ANY(keys) AND holds);
END $$;
