-- Why a job waits.

-- Why these jobs wait, by the function that refuses them; with who holds the slots, and when one should be free. A job that
-- no gate stops waits in its queue: behind how many of its tenant, and until when about.
CREATE OR REPLACE FUNCTION moves.explain(p_jobs uuid[], p_asking text[] DEFAULT NULL, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  moment timestamptz := moves.moment(p_now);
  j agentapp_job;
  w agentapp_workflow;
  b jsonb;
  found jsonb;
  answer jsonb := '{}';
BEGIN
  FOR j IN SELECT * FROM agentapp_job WHERE id = ANY(p_jobs)
            AND state IN ('available', 'scheduled') ORDER BY id LOOP
    SELECT * INTO w FROM agentapp_workflow WHERE id = j.workflow_id;
    j.model := coalesce(moves.chosen_model(moves.choice_of(j.tenant_id, j.type, p_asking), moment), j.model);
    found := '[]';
    FOR b IN SELECT value FROM jsonb_array_elements(coalesce(
               (SELECT blockers FROM moves.pass_gates(j, w.priority, w.state <> 'pending', false, moment)), '[]')) LOOP
      IF b ->> 'why' = 'concurrency' THEN
        b := b || moves.slot_holders(j, b ->> 'scope', moment);
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

-- Who holds the slots of a scope that a job waits for, and when one should be free. Of other tenants only a number is told.
CREATE OR REPLACE FUNCTION moves.slot_holders(j agentapp_job, p_scope text, p_now timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT jsonb_build_object(
             'holders', coalesce(jsonb_agg(jsonb_build_object('job', h.id, 'job_type', h.type, 'task', h.workflow_id,
               'since', h.started_at) ORDER BY h.started_at) FILTER (WHERE h.tenant_id = j.tenant_id AND h.place <= 5), '[]'),
             'held_by_others', count(*) FILTER (WHERE h.tenant_id <> j.tenant_id),
             'until', min(CASE WHEN t.run_s > 0
                              THEN greatest(p_now, h.started_at + make_interval(secs => t.run_s)) END))
      FROM (SELECT r.*, row_number() OVER (PARTITION BY r.tenant_id = j.tenant_id ORDER BY r.started_at) AS place
              FROM agentapp_job r
             WHERE r.state = 'running' AND CASE p_scope
               WHEN 'job_type' THEN r.type = j.type WHEN 'tenant' THEN r.tenant_id = j.tenant_id AND r.queue <> 'webhooks'
               WHEN 'model' THEN r.model = j.model WHEN 'tool' THEN r.tool = j.tool ELSE true END) h
      LEFT JOIN agentapp_limit t ON t.key = 'job_type:' || h.type);
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
