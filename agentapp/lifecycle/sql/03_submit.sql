-- Write down a new run and open its first stage: one round trip, one short transaction. [A1]
-- Refused before anything is written when too many tasks wait already: of the tenant first, then of the platform. [A8]
CREATE OR REPLACE FUNCTION moves.submit(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r record;
  moment timestamptz := coalesce((p ->> 'now')::timestamptz, clock_timestamp());
  w agentapp_workflow;
  opened jsonb;
  n int := coalesce(jsonb_array_length(p -> 'stages'), 0);
  pressure jsonb := moves.queue_pressure((p ->> 'tenant')::bigint, p);
BEGIN
  IF pressure ? 'refused' THEN
    RETURN pressure;
  END IF;
  INSERT INTO agentapp_workflow (id, tenant_id, api_key_id, user_id, kind, version, state, priority, risk, input, labels,
                                 result_bind, position, stages_total, jobs_total, jobs_done, seq, tokens, cost_usd,
                                 created_at, deadline_at)
  VALUES ((p ->> 'id')::uuid, (p ->> 'tenant')::bigint, (p ->> 'api_key')::bigint, (p ->> 'user')::bigint,
          p ->> 'kind', coalesce((p ->> 'version')::int, 1), 'pending', coalesce((p ->> 'priority')::int, 2), 'low',
          coalesce(p -> 'input', '{}'), coalesce(p -> 'labels', '{}'), coalesce(p -> 'result_bind', '{}'), 0, n, 0, 0, 0, 0, 0, moment,
          moment + make_interval(secs => (p ->> 'deadline_s')::float))
  RETURNING * INTO w;
  INSERT INTO agentapp_stage (workflow_id, position, name, kind, job_type, round, spec, parts, parts_left)
  SELECT w.id, ordinality, value ->> 'name', value ->> 'kind', value ->> 'job_type', 0, value -> 'spec', 0, 0
    FROM jsonb_array_elements(p -> 'stages') WITH ORDINALITY;
  w := moves.append_history(w, 'workflow', NULL, '', 'pending', p ->> 'actor', 'submitted', NULL, moment);
  w := moves.plan_jobs(w, 1, n);
  r := moves.advance(w, p ->> 'actor', NULL, moment);
  IF r.problem IS NOT NULL THEN
    RAISE EXCEPTION '%', r.problem USING ERRCODE = '22023';
  END IF;
  w := r.w;
  opened := r.opened;
  PERFORM moves.save_workflow(w);
  RETURN jsonb_build_object('state', w.state, 'created_at', w.created_at, 'deadline_at', w.deadline_at, 'position', w.position,
                            'stages_total', w.stages_total, 'jobs_total', w.jobs_total, 'opened', opened, 'held', r.held, 'pressure', pressure,
                            'tail', moves.tail(w.id, w.position));
END $$;
