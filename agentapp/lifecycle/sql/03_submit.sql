-- Write down a new run and open its first stage: one round trip, one short transaction. [A1]
-- Refused before anything is written when too many tasks wait already: of the tenant first, then of the house. [A8]
CREATE OR REPLACE FUNCTION agentapp_submit_v1(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r record;
  moment timestamptz := coalesce((p ->> 'now')::timestamptz, clock_timestamp());
  w agentapp_workflow;
  opened jsonb;
  n int := jsonb_array_length(p -> 'stages');
  crowd jsonb := agentapp_crowd_v1((p ->> 'tenant')::bigint, p);
BEGIN
  IF crowd ? 'refused' THEN
    RETURN crowd;
  END IF;
  INSERT INTO agentapp_workflow (id, tenant_id, api_key_id, user_id, kind, version, state, priority, risk, input, labels,
                                 result_bind, position, stages_total, jobs_total, jobs_done, seq, tokens, cost_usd,
                                 created_at, deadline_at)
  VALUES ((p ->> 'id')::uuid, (p ->> 'tenant')::bigint, (p ->> 'api_key')::bigint, (p ->> 'user')::bigint,
          p ->> 'kind', (p ->> 'version')::int, 'pending', (p ->> 'priority')::int, 'low', p -> 'input', p -> 'labels',
          p -> 'result_bind', 0, n, 0, 0, 0, 0, 0, moment,
          moment + make_interval(secs => (p ->> 'deadline_s')::float))
  RETURNING * INTO w;
  INSERT INTO agentapp_stage (workflow_id, position, name, kind, job_type, round, spec, parts, parts_left)
  SELECT w.id, ordinality, value ->> 'name', value ->> 'kind', value ->> 'job_type', 0, value -> 'spec', 0, 0
    FROM jsonb_array_elements(p -> 'stages') WITH ORDINALITY;
  w := agentapp_note_v1(w, 'workflow', NULL, '', 'pending', p ->> 'actor', 'submitted', NULL, moment);
  w := agentapp_plan_jobs_v1(w, 1, n);
  r := agentapp_advance_v1(w, p ->> 'actor', NULL, moment);
  w := r.w;
  opened := r.opened;
  PERFORM agentapp_keep_v1(w);
  RETURN jsonb_build_object('state', w.state, 'created_at', w.created_at, 'deadline_at', w.deadline_at, 'position', w.position,
                            'stages_total', w.stages_total, 'jobs_total', w.jobs_total, 'opened', opened, 'crowd', crowd,
                            'tail', agentapp_tail_v1(w.id, w.position));
END $$;
