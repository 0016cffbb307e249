-- Passing gates: what runs is counted behind their locks.

-- What runs of the kinds that a job belongs to, by scope; with p_published, what is published too; null: nothing is counted.
CREATE OR REPLACE FUNCTION moves.count_busy(
  p_type text, p_tenant bigint, p_model text, p_tool text, p_published boolean,
  OUT global bigint, OUT job_type bigint, OUT tenant bigint, OUT model bigint, OUT tool bigint
) LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_published IS NULL THEN
    SELECT 0, 0, 0, 0, 0 INTO global, job_type, tenant, model, tool;
  ELSIF p_published THEN
    SELECT count(*), count(*) FILTER (WHERE b.type = p_type),
           count(*) FILTER (WHERE b.tenant_id = p_tenant AND b.queue <> 'webhooks'),
           count(*) FILTER (WHERE b.model = p_model), count(*) FILTER (WHERE b.tool = p_tool)
      INTO global, job_type, tenant, model, tool
      FROM (SELECT r.queue, r.type, r.tenant_id, r.model, r.tool FROM agentapp_job r WHERE r.state = 'running'
             UNION ALL
            SELECT r.queue, r.type, r.tenant_id, r.model, r.tool FROM agentapp_job r
             WHERE r.state = 'available' AND r.published_at IS NOT NULL AND r.publishes < moves.unclaimed_after()) b;
  ELSE
    SELECT count(*), count(*) FILTER (WHERE r.type = p_type),
           count(*) FILTER (WHERE r.tenant_id = p_tenant AND r.queue <> 'webhooks'),
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
  SELECT count(*), bool_or(moves.is_gated(x, p_now)), bool_or(x.concurrency IS NOT NULL), max(x.tokens_each)
    INTO known, gated, counted, tokens FROM agentapp_limit x WHERE x.key = ANY(keys);
  IF known < cardinality(keys) AND p_take THEN
    PERFORM moves.ensure_limits(keys);
    SELECT true, true INTO gated, counted;
  END IF;
  IF NOT coalesce(gated, false) THEN
    RETURN;
  END IF;
  IF p_take THEN
    SELECT bool_or(locked.concurrency IS NOT NULL) INTO counted FROM (
      SELECT x.concurrency FROM agentapp_limit x WHERE x.key = ANY(keys) AND moves.is_gated(x, p_now)
      ORDER BY x.key FOR NO KEY UPDATE) locked;
  END IF;
  busy := moves.count_busy(j.type, j.tenant_id, j.model, j.tool, CASE WHEN counted THEN false END);
  -- Only limits that may stop it are asked at length.
  SELECT jsonb_agg(h.why ORDER BY h.key), bool_or(h.metered) INTO blockers, metered FROM (
    SELECT x.key, x.request_s IS NOT NULL OR x.token_s IS NOT NULL OR x.breaker <> 'closed' AS metered,
           moves.blocker(x, b.n, tokens, p_priority = 0, p_begun, p_now) AS why
      FROM agentapp_limit x, LATERAL (SELECT moves.busy_of_scope(
             x.scope, busy.global, busy.job_type, busy.tenant, busy.model, busy.tool) AS n) b
     WHERE x.key = ANY(keys) AND moves.is_gated(x, p_now)
       AND NOT (x.mode = 'open' AND x.breaker = 'closed' AND x.closed_until IS NULL AND x.request_s IS NULL
                AND x.token_s IS NULL AND x.concurrency - x.reserved > b.n)) h;
  blockers := nullif(jsonb_path_query_array(blockers, '$[*] ? (@ != null)'), '[]');
  IF p_take AND metered AND blockers IS NULL THEN
    PERFORM moves.charge(keys, tokens, j.timeout_s, p_now);
  END IF;
END $$;

-- Take a share of every meter of these keys. An open breaker whose time is over lets one through and waits for what becomes
-- of it.
CREATE OR REPLACE FUNCTION moves.charge(p_keys text[], p_tokens int, p_timeout_s int, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_limit SET
    request_at = greatest(coalesce(request_at, p_now), p_now) + make_interval(secs => request_s * slowdown),
    token_at = greatest(coalesce(token_at, p_now), p_now) + make_interval(secs => p_tokens * token_s * slowdown),
    closed_until = CASE WHEN breaker <> 'closed' THEN p_now + make_interval(secs => p_timeout_s) ELSE closed_until END,
    breaker = CASE breaker WHEN 'open' THEN 'half_open' ELSE breaker END
   WHERE key = ANY(p_keys) AND (request_s IS NOT NULL OR token_s IS NOT NULL OR breaker <> 'closed');
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
                 WHEN 'job_type' THEN r.type = p_next.type
                 WHEN 'tenant' THEN r.tenant_id = p_next.tenant_id AND r.queue <> 'webhooks'
                 WHEN 'model' THEN r.model = p_next.model WHEN 'tool' THEN r.tool = p_next.tool ELSE true END)));
END $$;
