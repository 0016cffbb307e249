-- Write down a new run and open its first stage: one round trip, one short transaction. [A1]
-- Refused before anything is written when too many tasks wait already: of the tenant first, then of the platform. [A8]
CREATE OR REPLACE FUNCTION moves.submit(
  p_id uuid, p_tenant bigint, p_api_key bigint, p_user bigint, p_actor text, p_kind text, p_version int, p_priority int,
  p_input jsonb, p_labels jsonb, p_stages jsonb, p_result_bind jsonb, p_deadline_s float, p_tenant_mark int,
  p_hard_mark int, p_soft_mark int, p_run_at timestamptz DEFAULT NULL, p_callback_url text DEFAULT '',
  p_origin text DEFAULT 'client', p_parent uuid DEFAULT NULL, p_request_key text DEFAULT NULL,
  p_request_sha256 text DEFAULT NULL, p_traceparent text DEFAULT '', p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task;
  moment timestamptz := moves.moment(p_now);
  deadline timestamptz := greatest(moment, p_run_at) + make_interval(secs => p_deadline_s);
  entrance jsonb := moves.entrance(p_tenant, p_tenant_mark, p_hard_mark, p_soft_mark, p_id, p_request_key, p_request_sha256,
                                   moment);
BEGIN
  IF entrance ? 'known' OR entrance ? 'refused' AND p_origin IN ('client', 'schedule') THEN
    RETURN entrance;
  END IF;
  INSERT INTO agentapp_workflow (id, tenant_id, api_key_id, user_id, kind, version, state, priority, risk, input, labels,
                                 result_bind, position, parts_left, stages_total, jobs_total, jobs_done, seq, tokens,
                                 cost_usd, created_at, deadline_at, run_at, callback_url, origin, parent, traceparent)
  VALUES (p_id, p_tenant, p_api_key, p_user, p_kind, p_version, CASE WHEN p_run_at > moment THEN 'scheduled' ELSE 'pending' END,
          p_priority, 'low', p_input, p_labels, p_result_bind, 0, 0, 0, 0, 0, 0, 0, 0, moment, deadline, p_run_at,
          p_callback_url, p_origin, p_parent, p_traceparent);
  t := moves.lock_task(p_id, p_actor, p_now);
  t.now := moment;
  t := moves.note(t, 'workflow', NULL, '', t.state, 'submitted', CASE WHEN t.state = 'scheduled' THEN
    jsonb_build_object('run_at', p_run_at) END);
  t := moves.start_plan(t, p_stages);
  RETURN moves.saved(t) || jsonb_build_object(
    'created_at', moment, 'deadline_at', deadline, 'position', t.position, 'stages_total', t.stages_total,
    'jobs_total', t.jobs_total, 'pressure', entrance);
END $$;

-- Put these stages behind those that there are, plan their jobs and open the first, now or when its time comes. What
-- cannot be opened is refused (22023), and nothing is stored.
CREATE OR REPLACE FUNCTION moves.start_plan(INOUT t moves.task, p_stages jsonb) LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_stage (workflow_id, position, name, kind, job_type, round, spec)
  SELECT t.id, t.stages_total + n, value ->> 'name', value ->> 'kind', value ->> 'job_type', 0, value -> 'spec'
    FROM jsonb_array_elements(p_stages) WITH ORDINALITY AS e(value, n);
  t := moves.plan_jobs(t, t.stages_total + 1, 32767);
  t.stages_total := t.stages_total + coalesce(jsonb_array_length(p_stages), 0);
  IF t.state = 'scheduled' THEN
    t.problem := moves.first_problem(t);
  ELSE
    t := moves.advance(t);
  END IF;
  IF t.problem IS NOT NULL THEN
    RAISE EXCEPTION '%', t.problem USING ERRCODE = '22023';
  END IF;
END $$;
