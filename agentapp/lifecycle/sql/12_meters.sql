-- What the outside tells about its limits, what people say about keys, and why a job waits.

CREATE OR REPLACE FUNCTION moves.record_gate_change(
  p_target text, p_action text, p_before jsonb, p_after jsonb, p_actor text, p_reason text, p_now timestamptz
) RETURNS void LANGUAGE sql AS $$
  INSERT INTO agentapp_gatechange (at, actor, action, target, before, after, reason)
  VALUES (p_now, p_actor, p_action, p_target, p_before, p_after, left(coalesce(p_reason, ''), 300))
$$;

-- What came of a call to a model or a tool. [E2] [E6]
--
-- p: key, outcome (ok | failed | limited | refused); tokens and requests that the claim had not charged (tokens may be
-- negative: less was used than it reserved); closed_s, for how long the provider asks to be left alone; breaker
-- {window_s, min_calls, share, open_s, longest_s}; job_type and used, the tokens that a body of this type used.
CREATE OR REPLACE FUNCTION moves.report(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := coalesce((p ->> 'now')::timestamptz, clock_timestamp());
  l agentapp_limit;
  b jsonb := p -> 'breaker';
  outcome text := p ->> 'outcome';
  before text;
  closed timestamptz;
BEGIN
  -- A report that a crash forgets is a call that was not counted.
  PERFORM set_config('synchronous_commit', 'off', true);
  IF p ? 'used' THEN
    UPDATE agentapp_limit SET tokens_each = CASE WHEN tokens_each = 0 THEN (p ->> 'used')::int
                                                 ELSE round(tokens_each * 0.8 + (p ->> 'used')::int * 0.2) END
     WHERE key = 'job_type:' || (p ->> 'job_type');
  END IF;
  SELECT * INTO l FROM agentapp_limit WHERE key = p ->> 'key' FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'unknown');
  END IF;
  before := l.breaker;
  IF l.request_s IS NOT NULL THEN
    l.request_at := coalesce(l.request_at, moment) + make_interval(secs => l.request_s * l.slowdown * coalesce((p ->> 'requests')::int, 0));
  END IF;
  IF l.token_s IS NOT NULL THEN
    l.token_at := coalesce(l.token_at, moment) + make_interval(secs => l.token_s * l.slowdown * coalesce((p ->> 'tokens')::int, 0));
  END IF;
  closed := moment + make_interval(secs => (p ->> 'closed_s')::float);
  IF closed > coalesce(l.closed_until, moment) AND l.breaker = 'closed' THEN
    l.closed_until := closed;
  END IF;
  IF outcome = 'limited' AND (l.slowed_at IS NULL OR l.slowed_at < moment - interval '1 second') THEN
    -- Once for all calls that were refused together.
    l.slowdown := least(8, l.slowdown * 1.25);
    l.slowed_at := moment;
    PERFORM moves.record_gate_change(l.key, 'slowed', NULL, jsonb_build_object('slowdown', round(l.slowdown::numeric, 2),
                                  'closed_until', l.closed_until), 'provider', p ->> 'reason', moment);
  END IF;
  IF outcome IN ('ok', 'failed') THEN
    IF l.window_at IS NULL OR l.window_at < moment - make_interval(secs => (b ->> 'window_s')::float) THEN
      l.window_at := moment;
      l.calls := 0;
      l.failures := 0;
    END IF;
    l.calls := l.calls + 1;
    l.failures := l.failures + (outcome = 'failed')::int;
    IF outcome = 'ok' AND l.breaker <> 'closed' THEN
      -- The one that was let through, or one that had begun before: the other side answers again.
      l.breaker := 'closed';
      l.opens := 0;
      l.closed_until := NULL;
    ELSIF l.breaker = 'half_open' AND outcome = 'failed'
          OR l.breaker = 'closed' AND l.calls >= (b ->> 'min_calls')::int AND l.failures >= l.calls * (b ->> 'share')::float THEN
      l.closed_until := moment + make_interval(secs => least((b ->> 'longest_s')::float, (b ->> 'open_s')::float * 2 ^ least(l.opens, 20)));
      l.breaker := 'open';
      l.opens := l.opens + 1;
    END IF;
    IF l.breaker <> before THEN
      l.window_at := NULL;
      PERFORM moves.record_gate_change(l.key, 'breaker ' || l.breaker, jsonb_build_object('breaker', before),
        jsonb_build_object('calls', l.calls, 'failures', l.failures, 'until', l.closed_until), 'breaker', p ->> 'reason', moment);
    END IF;
  END IF;
  UPDATE agentapp_limit SET
    request_at = l.request_at, token_at = l.token_at, closed_until = l.closed_until, slowdown = l.slowdown,
    slowed_at = l.slowed_at, window_at = l.window_at, calls = l.calls, failures = l.failures, breaker = l.breaker,
    opens = l.opens
   WHERE key = l.key;
  RETURN jsonb_build_object('status', 'ok', 'breaker', l.breaker, 'was', before);
END $$;

-- Pause, drain or resume a key. p: key, mode, actor, reason. Resuming also closes a breaker and forgets what a provider
-- asked for: a person knows better.
CREATE OR REPLACE FUNCTION moves.set_mode(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := coalesce((p ->> 'now')::timestamptz, clock_timestamp());
  l agentapp_limit;
BEGIN
  SELECT * INTO l FROM agentapp_limit WHERE key = p ->> 'key' FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'unknown');
  ELSIF l.mode = p ->> 'mode' AND (l.mode <> 'open' OR l.breaker = 'closed' AND l.closed_until IS NULL AND l.slowdown = 1) THEN
    RETURN jsonb_build_object('status', 'as before', 'mode', l.mode);
  END IF;
  UPDATE agentapp_limit SET
    mode = p ->> 'mode', mode_by = p ->> 'actor', mode_reason = left(coalesce(p ->> 'reason', ''), 300), mode_at = moment,
    breaker = CASE WHEN p ->> 'mode' = 'open' THEN 'closed' ELSE breaker END,
    opens = CASE WHEN p ->> 'mode' = 'open' THEN 0 ELSE opens END,
    closed_until = CASE WHEN p ->> 'mode' = 'open' THEN NULL ELSE closed_until END,
    slowdown = CASE WHEN p ->> 'mode' = 'open' THEN 1 ELSE slowdown END
   WHERE key = l.key;
  PERFORM moves.record_gate_change(l.key, CASE p ->> 'mode' WHEN 'open' THEN 'resumed' ELSE p ->> 'mode' END,
    jsonb_build_object('mode', l.mode, 'breaker', l.breaker), jsonb_build_object('mode', p ->> 'mode'),
    p ->> 'actor', p ->> 'reason', moment);
  RETURN jsonb_build_object('status', 'ok', 'mode', p ->> 'mode');
END $$;

-- Why these jobs wait, by the function that refuses them; with who holds the slots, and when one should be free. A job that
-- no gate stops waits in its queue: behind how many of its workspace, and until when about.
-- p: jobs. Of other tenants only a number is told.
CREATE OR REPLACE FUNCTION moves.explain(p jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  moment timestamptz := coalesce((p ->> 'now')::timestamptz, clock_timestamp());
  j agentapp_job;
  w agentapp_workflow;
  b jsonb;
  found jsonb;
  answer jsonb := '{}';
BEGIN
  FOR j IN SELECT * FROM agentapp_job WHERE id IN (SELECT x::uuid FROM jsonb_array_elements_text(p -> 'jobs') x)
            AND state IN ('available', 'scheduled') ORDER BY id LOOP
    SELECT * INTO w FROM agentapp_workflow WHERE id = j.workflow_id;
    found := '[]';
    FOR b IN SELECT value FROM jsonb_array_elements(coalesce(
               (SELECT blockers FROM moves.pass_gates(j, w.priority, w.state <> 'pending', false, moment)), '[]')) LOOP
      IF b ->> 'why' = 'concurrency' THEN
        b := b || (
          SELECT jsonb_build_object(
                   'holders', coalesce(jsonb_agg(jsonb_build_object('job', h.id, 'job_type', h.type, 'task', h.workflow_id,
                     'since', h.started_at) ORDER BY h.started_at) FILTER (WHERE h.tenant_id = j.tenant_id AND h.place <= 5), '[]'),
                   'held_by_others', count(*) FILTER (WHERE h.tenant_id <> j.tenant_id),
                   'until', min(CASE WHEN t.run_s > 0
                                    THEN greatest(moment, h.started_at + make_interval(secs => t.run_s)) END))
            FROM (SELECT r.*, row_number() OVER (PARTITION BY r.tenant_id = j.tenant_id ORDER BY r.started_at) AS place
                    FROM agentapp_job r
                   WHERE r.state = 'running' AND CASE b ->> 'scope'
                     WHEN 'job_type' THEN r.type = j.type WHEN 'tenant' THEN r.tenant_id = j.tenant_id
                     WHEN 'model' THEN r.model = j.model WHEN 'tool' THEN r.tool = j.tool ELSE true END) h
            LEFT JOIN agentapp_limit t ON t.key = 'job_type:' || h.type);
      END IF;
      found := found || b;
    END LOOP;
    IF found = '[]'::jsonb THEN
      found := jsonb_build_array(moves.queue_position(j, moment));
    END IF;
    answer := answer || jsonb_build_object(j.id, found);
  END LOOP;
  RETURN answer;
END $$;

-- The place of a job in its queue among the jobs of its tenant that go first, counted up to a thousand, and when it should
-- begin: the tenant gets its share of what the queue begins in a second.
CREATE OR REPLACE FUNCTION moves.queue_position(j agentapp_job, p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  ahead int;
  per_s float;
  share float;
BEGIN
  IF j.published_at IS NOT NULL AND j.publishes >= moves.unclaimed_after() AND j.state = 'available' THEN
    RETURN jsonb_build_object('type', 'queue', 'queue', j.queue, 'since', j.available_at, 'why', 'not claimed',
                              'messages', j.publishes);
  ELSIF j.published_at IS NOT NULL OR j.state <> 'available' THEN
    RETURN jsonb_build_object('type', 'queue', 'queue', j.queue, 'since', j.available_at, 'position', 0);
  END IF;
  SELECT count(*) INTO ahead FROM (
    SELECT 1 FROM agentapp_job k
     WHERE k.state = 'available' AND k.published_at IS NULL AND k.queue = j.queue AND k.tenant_id = j.tenant_id
       AND (k.priority < j.priority OR k.priority = j.priority AND (k.workflow_id, k.id) < (j.workflow_id, j.id)) LIMIT 1000) x;
  SELECT l.per_s INTO per_s FROM agentapp_limit l WHERE l.key = 'queue:' || j.queue;
  SELECT t.weight / nullif((SELECT sum(o.weight) FROM agentapp_tenant o JOIN agentapp_limit l ON l.key = 'tenant:' || o.id
                             WHERE l.waiting > 0 OR o.id = t.id), 0)
    INTO share FROM agentapp_tenant t WHERE t.id = j.tenant_id;
  RETURN jsonb_build_object('type', 'queue', 'queue', j.queue, 'since', j.available_at, 'position', ahead + 1,
    'until', CASE WHEN per_s * share > 0 THEN p_now + make_interval(secs => (ahead + 1) / (per_s * share)) END);
END $$;
