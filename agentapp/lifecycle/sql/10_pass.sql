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

-- Lock the gates of all jobs of a list in the order of their keys, and only then count what runs, in a statement of its own:
-- it sees every claim that was committed before the last lock was got. [E1] INV5
-- Returns how many of the jobs pass without asking a gate at length, because all that runs would fit each of these limits;
-- null: nothing of theirs is gated, or locked. (Each job by itself would lock its gates crosswise with another list's.)
CREATE OR REPLACE FUNCTION moves.lock_gates(p_jobs agentapp_job[], p_choices jsonb[], p_taker moves.taker) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves.moment(p_taker.now);
  keys text[] := ARRAY(
    SELECT DISTINCT unnest(moves.keys(j.queue, j.type, j.tenant_id, coalesce(p_taker.models ->> j.type, j.model), j.tool)
                           || moves.model_keys(p_choices[j.ordinality]))
      FROM unnest(p_jobs) WITH ORDINALITY j);
  known int;
  gated text[];
  free bigint;
BEGIN
  SELECT count(*), array_agg(x.key) FILTER (WHERE moves.is_gated(x, moment)) INTO known, gated
    FROM agentapp_limit x WHERE x.key = ANY(keys);
  IF known < cardinality(keys) THEN
    PERFORM moves.ensure_limits(keys);
    gated := keys;
  END IF;
  IF gated IS NOT NULL THEN
    SELECT coalesce(min(locked.free), 0) INTO free FROM (
      SELECT CASE WHEN moves.is_plain(x) THEN x.concurrency - x.reserved ELSE 0 END AS free
        FROM agentapp_limit x WHERE x.key = ANY(gated) AND moves.is_gated(x, moment)
      ORDER BY x.key FOR NO KEY UPDATE) locked;
    IF free > 0 THEN
      free := free - (SELECT count(*) FROM agentapp_job WHERE state = 'running');
    END IF;
  END IF;
  RETURN free;
END $$;

-- Let a job pass all of its gates, or none of them. [E1] [E2] INV5
--
-- `blockers` is null when it passed, and its share of every meter is taken; else all that is in its way. With p_take its
-- gates are locked already, by moves.lock_gates; without it nothing is taken: that is an explanation.
CREATE OR REPLACE FUNCTION moves.pass_gates(
  j agentapp_job, p_priority int, p_begun boolean, p_take boolean, p_now timestamptz, OUT blockers jsonb, OUT tokens int
) LANGUAGE plpgsql AS $$
DECLARE
  keys text[] := moves.keys(j.queue, j.type, j.tenant_id, j.model, j.tool);
  gated boolean;
  counted boolean;
  metered boolean;
  busy record;
BEGIN
  SELECT bool_or(moves.is_gated(x, p_now)), bool_or(x.concurrency IS NOT NULL), max(x.tokens_each)
    INTO gated, counted, tokens FROM agentapp_limit x WHERE x.key = ANY(keys);
  IF NOT coalesce(gated, false) THEN
    RETURN;
  END IF;
  busy := moves.count_busy(j.type, j.tenant_id, j.model, j.tool, CASE WHEN counted THEN false END);
  -- Only limits that may stop it are asked at length.
  SELECT jsonb_agg(h.why ORDER BY h.key), bool_or(h.metered) INTO blockers, metered FROM (
    SELECT x.key, x.request_s IS NOT NULL OR x.token_s IS NOT NULL OR x.breaker <> 'closed' AS metered,
           moves.blocker(x, b.n, tokens, p_priority = 0, p_begun, p_now) AS why
      FROM agentapp_limit x, LATERAL (SELECT moves.busy_of_scope(
             x.scope, busy.global, busy.job_type, busy.tenant, busy.model, busy.tool) AS n) b
     WHERE x.key = ANY(keys) AND moves.is_gated(x, p_now)
       AND NOT (moves.is_plain(x) AND x.concurrency - x.reserved > b.n)) h;
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

-- Whether a worker that has ended a job with the keys p_done may go on with p_next in the same settle: when its slots pass
-- from one to the other, so that no row of a gate need be locked while the settle waits for the disk. [one global gate must
-- not become the ceiling]
CREATE OR REPLACE FUNCTION moves.may_follow(p_done text[], p_next agentapp_job, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  keys text[] := moves.keys(p_next.queue, p_next.type, p_next.tenant_id, p_next.model, p_next.tool);
  known int;
  most int;
  is_held boolean;
  busy record;
BEGIN
  SELECT count(*), min(x.concurrency), bool_and(x.key = ANY(p_done) AND moves.is_plain(x)) FILTER (WHERE moves.is_gated(x, p_now))
    INTO known, most, is_held FROM agentapp_limit x WHERE x.key = ANY(keys);
  IF known < cardinality(keys) THEN
    PERFORM moves.ensure_limits(keys);
    RETURN moves.may_follow(p_done, p_next, p_now);
  ELSIF is_held IS NOT TRUE OR most > (SELECT count(*) FROM agentapp_job WHERE state = 'running') THEN
    RETURN coalesce(is_held, true);
  END IF;
  -- The limit may have been lowered since.
  busy := moves.count_busy(p_next.type, p_next.tenant_id, p_next.model, p_next.tool, false);
  RETURN NOT EXISTS (
    SELECT 1 FROM agentapp_limit x
     WHERE x.key = ANY(keys) AND x.concurrency <= moves.busy_of_scope(
             x.scope, busy.global, busy.job_type, busy.tenant, busy.model, busy.tool));
END $$;
