-- Whether one more task is taken: it may be known already, or too many may wait. Answers how many wait, with `refused`, or
-- with the task that is `known`. Where neither is so, the name of the request is noted.
CREATE OR REPLACE FUNCTION moves.entrance(
  p_tenant bigint, p_tenant_mark int, p_hard_mark int, p_soft_mark int, p_workflow uuid, p_key text, p_sha256 text,
  p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  known jsonb := moves.known_request(p_tenant, p_key, p_sha256);
  pressure jsonb;
BEGIN
  IF known IS NOT NULL THEN
    RETURN known;
  END IF;
  pressure := moves.queue_pressure(p_tenant, p_tenant_mark, p_hard_mark, p_soft_mark);
  IF p_key IS NULL OR pressure ? 'refused' THEN
    RETURN pressure;
  END IF;
  -- Of equal requests that come at the same moment the first is done. The others wait for its end here, and learn its task.
  INSERT INTO agentapp_idempotencykey (tenant_id, key, request_sha256, workflow_id, created_at)
  VALUES (p_tenant, p_key, p_sha256, p_workflow, p_now) ON CONFLICT (tenant_id, key) DO NOTHING;
  RETURN CASE WHEN FOUND THEN pressure ELSE moves.known_request(p_tenant, p_key, p_sha256) END;
END $$;

-- What a client calls its request: the task that it has made already, and whether that was the `same` request. Null: none.
CREATE OR REPLACE FUNCTION moves.known_request(p_tenant bigint, p_key text, p_sha256 text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT jsonb_build_object('known', workflow_id, 'same', request_sha256 = p_sha256)
            FROM agentapp_idempotencykey WHERE tenant_id = p_tenant AND key = p_key);
END $$;

-- How many tasks of clients wait, of a tenant and in the platform, against what may wait.
-- A gate holds from the first task of a tenant on, whose limit is not known yet.
-- A count of a second ago tells, except where so few may wait that it would be wrong by as many.
CREATE OR REPLACE FUNCTION moves.queue_pressure(
  p_tenant bigint, p_tenant_mark int, p_hard_mark int, p_soft_mark int
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t agentapp_limit;
  g agentapp_limit;
  most int;
  platform int;
BEGIN
  SELECT * INTO t FROM agentapp_limit WHERE key = 'tenant:' || p_tenant;
  SELECT * INTO g FROM agentapp_limit WHERE key = 'global';
  IF t.key IS NULL OR g.key IS NULL THEN
    PERFORM moves.ensure_limits(ARRAY['global', 'tenant:' || p_tenant]);
    SELECT * INTO t FROM agentapp_limit WHERE key = 'tenant:' || p_tenant;
    SELECT * INTO g FROM agentapp_limit WHERE key = 'global';
  END IF;
  most := coalesce(t.max_waiting, p_tenant_mark);
  platform := coalesce(g.max_waiting, p_hard_mark);
  IF most <= 1000 THEN
    t.waiting := (SELECT count(*) FROM (SELECT 1 FROM agentapp_workflow 
                   WHERE tenant_id = p_tenant AND state = 'pending' AND origin IN ('client', 'schedule') LIMIT most) x);
  END IF;
  RETURN jsonb_strip_nulls(jsonb_build_object(
    'refused', CASE WHEN coalesce(t.waiting, 0) >= most THEN 'tenant' WHEN coalesce(g.waiting, 0) >= platform THEN 'platform' END,
    'waiting', coalesce(t.waiting, 0), 'most', most, 'platform_waiting', coalesce(g.waiting, 0), 'platform_most', platform,
    'per_s', coalesce(t.per_s, 0), 'platform_per_s', coalesce(g.per_s, 0),
    'tenants', CASE WHEN greatest(t.waiting, g.waiting) >= p_soft_mark
                    THEN (SELECT count(*) FROM agentapp_limit WHERE scope = 'tenant' AND waiting > 0 AND key <> t.key) END));
END $$;
