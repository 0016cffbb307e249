-- Write down a new run and open its first stage: one round trip, one short transaction. [A1]
-- Refused before anything is written when too many tasks wait already: of the tenant first, then of the platform. [A8]
CREATE OR REPLACE FUNCTION moves.submit(
  p_id uuid, p_tenant bigint, p_api_key bigint, p_user bigint, p_actor text, p_kind text, p_version int, p_priority int,
  p_input jsonb, p_labels jsonb, p_stages jsonb, p_result_bind jsonb, p_deadline_s float, p_tenant_mark int,
  p_hard_mark int, p_soft_mark int, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task;
  moment timestamptz := moves.moment(p_now);
  pressure jsonb := moves.queue_pressure(p_tenant, p_tenant_mark, p_hard_mark, p_soft_mark);
  deadline timestamptz := moment + make_interval(secs => p_deadline_s);
BEGIN
  IF pressure ? 'refused' THEN
    RETURN pressure;
  END IF;
  INSERT INTO agentapp_workflow (id, tenant_id, api_key_id, user_id, kind, version, state, priority, risk, input, labels,
                                 result_bind, position, parts_left, stages_total, jobs_total, jobs_done, seq, tokens,
                                 cost_usd, created_at, deadline_at)
  VALUES (p_id, p_tenant, p_api_key, p_user, p_kind, p_version, 'pending', p_priority, 'low', p_input, p_labels,
          p_result_bind, 0, 0, 0, 0, 0, 0, 0, 0, moment, deadline);
  t := moves.lock_task(p_id, p_actor, p_now);
  t.now := moment;
  t := moves.note(t, 'workflow', NULL, '', 'pending', 'submitted');
  t := moves.start_plan(t, p_stages);
  RETURN moves.saved(t) || jsonb_build_object(
    'created_at', moment, 'deadline_at', deadline, 'position', t.position, 'stages_total', t.stages_total,
    'jobs_total', t.jobs_total, 'pressure', pressure);
END $$;

-- Put these stages behind those that there are, plan their jobs and open the first. What cannot be opened is refused
-- (22023), and nothing is stored.
CREATE OR REPLACE FUNCTION moves.start_plan(INOUT t moves.task, p_stages jsonb) LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_stage (workflow_id, position, name, kind, job_type, round, spec)
  SELECT t.id, t.stages_total + n, value ->> 'name', value ->> 'kind', value ->> 'job_type', 0, value -> 'spec'
    FROM jsonb_array_elements(p_stages) WITH ORDINALITY AS e(value, n);
  t := moves.plan_jobs(t, t.stages_total + 1, 32767);
  t.stages_total := t.stages_total + coalesce(jsonb_array_length(p_stages), 0);
  t := moves.advance(t);
  IF t.problem IS NOT NULL THEN
    RAISE EXCEPTION '%', t.problem USING ERRCODE = '22023';
  END IF;
END $$;

-- How many tasks wait, of a tenant and in the platform, against what may wait.
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
    t.waiting := (SELECT count(*) FROM (SELECT 1 FROM agentapp_workflow WHERE tenant_id = p_tenant AND state = 'pending' LIMIT most) x);
  END IF;
  RETURN jsonb_strip_nulls(jsonb_build_object(
    'refused', CASE WHEN coalesce(t.waiting, 0) >= most THEN 'tenant' WHEN coalesce(g.waiting, 0) >= platform THEN 'platform' END,
    'waiting', coalesce(t.waiting, 0), 'most', most, 'platform_waiting', coalesce(g.waiting, 0), 'platform_most', platform,
    'per_s', coalesce(t.per_s, 0), 'platform_per_s', coalesce(g.per_s, 0),
    'tenants', CASE WHEN greatest(t.waiting, g.waiting) >= p_soft_mark
                    THEN (SELECT count(*) FROM agentapp_limit WHERE scope = 'tenant' AND waiting > 0 AND key <> t.key) END));
END $$;
