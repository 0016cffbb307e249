-- What the outside tells about its limits, what people say about keys, and why a job waits.

CREATE OR REPLACE FUNCTION moves.record_gate_change(
  p_target text, p_action text, p_before jsonb, p_after jsonb, p_actor text, p_reason text, p_now timestamptz
) RETURNS void LANGUAGE sql AS $$
  INSERT INTO agentapp_gatechange (at, actor, action, target, before, after, reason)
  VALUES (p_now, p_actor, p_action, p_target, p_before, p_after, left(coalesce(p_reason, ''), 300))
$$;

-- What came of a call to a model or a tool. [E2] [E6]
--
-- p_outcome: ok | failed | limited | refused. p_tokens and p_requests had not been charged by the claim (tokens may be
-- negative: less was used than it reserved). p_closed_s: for how long the provider asks to be left alone. p_breaker:
-- {window_s, min_calls, share, open_s, longest_s}. p_used: the tokens that a body of p_job_type used.
CREATE OR REPLACE FUNCTION moves.report(
  p_key text, p_outcome text, p_job_type text, p_tokens int, p_requests int, p_reason text, p_breaker jsonb,
  p_used int DEFAULT NULL, p_closed_s float DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves.moment(p_now);
  l agentapp_limit;
  before text;
  closed timestamptz := moment + make_interval(secs => p_closed_s);
BEGIN
  -- A report that a crash forgets is a call that was not counted.
  PERFORM set_config('synchronous_commit', 'off', true);
  IF p_used IS NOT NULL THEN
    PERFORM moves.average_tokens(p_job_type, p_used);
  END IF;
  SELECT * INTO l FROM agentapp_limit WHERE key = p_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'unknown');
  END IF;
  before := l.breaker;
  IF l.request_s IS NOT NULL THEN
    l.request_at := coalesce(l.request_at, moment) + make_interval(secs => l.request_s * l.slowdown * p_requests);
  END IF;
  IF l.token_s IS NOT NULL THEN
    l.token_at := coalesce(l.token_at, moment) + make_interval(secs => l.token_s * l.slowdown * p_tokens);
  END IF;
  IF closed > coalesce(l.closed_until, moment) AND l.breaker = 'closed' THEN
    l.closed_until := closed;
  END IF;
  IF p_outcome = 'limited' AND (l.slowed_at IS NULL OR l.slowed_at < moment - interval '1 second') THEN
    l := moves.slow_down(l, p_reason, moment);
  ELSIF p_outcome IN ('ok', 'failed') THEN
    l := moves.count_call(l, p_outcome = 'failed', p_breaker, p_reason, moment);
  END IF;
  UPDATE agentapp_limit SET
    request_at = l.request_at, token_at = l.token_at, closed_until = l.closed_until, slowdown = l.slowdown,
    slowed_at = l.slowed_at, window_at = l.window_at, calls = l.calls, failures = l.failures, breaker = l.breaker,
    opens = l.opens WHERE key = l.key;
  RETURN jsonb_build_object('status', 'ok', 'breaker', l.breaker, 'was', before);
END $$;

-- How many tokens a body of this type uses: the latest count for a fifth.
CREATE OR REPLACE FUNCTION moves.average_tokens(p_job_type text, p_used int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_limit
     SET tokens_each = CASE WHEN tokens_each = 0 THEN p_used ELSE round(tokens_each * 0.8 + p_used * 0.2) END
   WHERE key = 'job_type:' || p_job_type;
END $$;

-- A provider asks for less: once for all calls that were refused together.
CREATE OR REPLACE FUNCTION moves.slow_down(INOUT l agentapp_limit, p_reason text, p_now timestamptz) LANGUAGE plpgsql AS $$
BEGIN
  l.slowdown := least(8, l.slowdown * 1.25);
  l.slowed_at := p_now;
  PERFORM moves.record_gate_change(l.key, 'slowed', NULL, jsonb_build_object('slowdown', round(l.slowdown::numeric, 2),
                                'closed_until', l.closed_until), 'provider', p_reason, p_now);
END $$;

-- Count a call that was answered, and open or close the breaker of its key; b is the p_breaker of moves.report.
CREATE OR REPLACE FUNCTION moves.count_call(
  INOUT l agentapp_limit, p_failed boolean, b jsonb, p_reason text, p_now timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
  before text := l.breaker;
BEGIN
  IF l.window_at IS NULL OR l.window_at < p_now - make_interval(secs => (b ->> 'window_s')::float) THEN
    l.window_at := p_now;
    l.calls := 0;
    l.failures := 0;
  END IF;
  l.calls := l.calls + 1;
  l.failures := l.failures + p_failed::int;
  IF NOT p_failed AND l.breaker <> 'closed' THEN
    -- The one that was let through, or one that had begun before: the other side answers again.
    l.breaker := 'closed';
    l.opens := 0;
    l.closed_until := NULL;
  ELSIF l.breaker = 'half_open' AND p_failed
        OR l.breaker = 'closed' AND l.calls >= (b ->> 'min_calls')::int AND l.failures >= l.calls * (b ->> 'share')::float THEN
    l.closed_until := p_now + make_interval(secs => least((b ->> 'longest_s')::float, (b ->> 'open_s')::float * 2 ^ least(l.opens, 20)));
    l.breaker := 'open';
    l.opens := l.opens + 1;
  END IF;
  IF l.breaker <> before THEN
    l.window_at := NULL;
    PERFORM moves.record_gate_change(l.key, 'breaker ' || l.breaker, jsonb_build_object('breaker', before),
      jsonb_build_object('calls', l.calls, 'failures', l.failures, 'until', l.closed_until), 'breaker', p_reason, p_now);
  END IF;
END $$;

-- Pause, drain or resume a key. Resuming also closes a breaker and forgets what a provider asked for: a person knows
-- better.
CREATE OR REPLACE FUNCTION moves.set_mode(
  p_key text, p_mode text, p_actor text, p_reason text, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves.moment(p_now);
  l agentapp_limit;
BEGIN
  SELECT * INTO l FROM agentapp_limit WHERE key = p_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'unknown');
  ELSIF l.mode = p_mode AND (l.mode <> 'open' OR l.breaker = 'closed' AND l.closed_until IS NULL AND l.slowdown = 1) THEN
    RETURN jsonb_build_object('status', 'as before', 'mode', l.mode);
  END IF;
  UPDATE agentapp_limit SET
    mode = p_mode, mode_by = p_actor, mode_reason = left(coalesce(p_reason, ''), 300), mode_at = moment,
    breaker = CASE WHEN p_mode = 'open' THEN 'closed' ELSE breaker END,
    opens = CASE WHEN p_mode = 'open' THEN 0 ELSE opens END,
    closed_until = CASE WHEN p_mode = 'open' THEN NULL ELSE closed_until END,
    slowdown = CASE WHEN p_mode = 'open' THEN 1 ELSE slowdown END
   WHERE key = l.key;
  PERFORM moves.record_gate_change(l.key, CASE p_mode WHEN 'open' THEN 'resumed' ELSE p_mode END,
    jsonb_build_object('mode', l.mode, 'breaker', l.breaker), jsonb_build_object('mode', p_mode),
    p_actor, p_reason, moment);
  RETURN jsonb_build_object('status', 'ok', 'mode', p_mode);
END $$;
