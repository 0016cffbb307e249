-- What waits, and what there is room for.

-- Whether a key that drains keeps a job back: its task has not begun. p_chosen: the model that was chosen for it.
CREATE OR REPLACE FUNCTION moves.is_kept_back(j agentapp_job, p_chosen text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT 1 FROM agentapp_limit WHERE mode = 'draining'
                    AND key = ANY(moves.keys(j.queue, j.type, j.tenant_id, coalesce(p_chosen, j.model), j.tool)))
     AND (SELECT state FROM agentapp_workflow WHERE id = j.workflow_id) = 'pending';
END $$;

-- The first jobs of a lane: for how long each has waited, its model, tool and task. Null: there is none.
CREATE OR REPLACE FUNCTION moves.heads(
  p_queue text, p_tenant bigint, p_priority int, p_type text, p_shown int, p_draining boolean, p_asking text[],
  p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  chosen text := moves.chosen_model(moves.choice_of(p_tenant, p_type, p_asking), p_now);
BEGIN
  RETURN (
    SELECT jsonb_agg(jsonb_build_array(
             round(extract(epoch FROM p_now - coalesce(h.available_at, p_now))::numeric, 3), coalesce(chosen, h.model), h.tool, h.workflow_id))
      FROM (
        SELECT j.available_at, j.model, j.tool, j.workflow_id FROM agentapp_job j
         WHERE j.state = 'available' AND j.published_at IS NULL AND j.queue = p_queue
           AND j.tenant_id = p_tenant AND j.priority = p_priority AND j.type = p_type
           -- Who is kept back is not shown, and so blocks nobody behind it.
           AND NOT (p_draining AND moves.is_kept_back(j, chosen))
         ORDER BY j.workflow_id, j.id LIMIT p_shown) h);
END $$;

-- The lanes of the backlog, each with its first jobs and how many were to be shown.
CREATE OR REPLACE FUNCTION moves.lanes(p_heads int, p_asking text[], p_now timestamptz) RETURNS jsonb[] LANGUAGE plpgsql STABLE AS $$
DECLARE
  -- An array: a jsonb that grows is copied for each lane.
  lanes jsonb[] := '{}';
  found record;
  heads jsonb;
  shown int;
  draining boolean := EXISTS (SELECT 1 FROM agentapp_limit WHERE mode = 'draining');
BEGIN
  FOR found IN
    WITH RECURSIVE lane AS (
      (SELECT queue, tenant_id, priority, type FROM agentapp_job WHERE state = 'available' AND published_at IS NULL
        ORDER BY queue, tenant_id, priority, type LIMIT 1)
      UNION ALL
      SELECT n.* FROM lane CROSS JOIN LATERAL (
        SELECT j.queue, j.tenant_id, j.priority, j.type FROM agentapp_job j
         WHERE j.state = 'available' AND j.published_at IS NULL
           AND (j.queue, j.tenant_id, j.priority, j.type) > (lane.queue, lane.tenant_id, lane.priority, lane.type)
         ORDER BY j.queue, j.tenant_id, j.priority, j.type LIMIT 1) n),
    queues AS MATERIALIZED (
      -- The runway as it was decided last; what is published of a queue is counted once, not for each lane.
      SELECT q.queue, q.lanes, coalesce(x.runway, 64) - (
               SELECT count(*) FROM agentapp_job k WHERE k.state = 'available' AND k.published_at IS NOT NULL
                  AND k.publishes < moves.unclaimed_after() AND k.queue = q.queue) AS room
        FROM (SELECT queue, count(*) AS lanes FROM lane GROUP BY queue) q
        LEFT JOIN agentapp_limit x ON x.key = 'queue:' || q.queue)
    SELECT lane.*, queues.lanes AS beside, queues.room FROM lane JOIN queues USING (queue)
  LOOP
    shown := least(p_heads, greatest(2, 4 * coalesce(found.room, 64) / found.beside)) + 1;
    heads := moves.heads(found.queue, found.tenant_id, found.priority, found.type, shown, draining, p_asking, p_now);
    CONTINUE WHEN heads IS NULL;
    lanes := array_append(lanes, jsonb_build_array(
      found.queue, found.tenant_id, found.priority, found.type, heads, shown - 1));
  END LOOP;
  RETURN lanes;
END $$;

-- The limits that have something to say. Of what there is one of for each tenant, model and tool: those that somebody waits
-- for.
CREATE OR REPLACE FUNCTION moves.limits_shown(p_keys text[], p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT coalesce(jsonb_agg(jsonb_build_object(
             'key', l.key, 'concurrency', l.concurrency, 'reserved', l.reserved,
             'request_s', l.request_s * l.slowdown, 'request_burst', l.request_burst,
             'request_ahead_s', extract(epoch FROM l.request_at - p_now),
             'token_s', l.token_s * l.slowdown, 'token_burst', l.token_burst,
             'token_ahead_s', extract(epoch FROM l.token_at - p_now), 'tokens_each', l.tokens_each,
             'mode', l.mode, 'breaker', l.breaker, 'closed_s', extract(epoch FROM l.closed_until - p_now),
             'holds', l.holds, 'runway', l.runway, 'per_s', l.per_s)), '[]')
      FROM agentapp_limit l
     WHERE (moves.is_gated(l, p_now) OR l.holds OR l.tokens_each > 0 OR l.scope = 'queue')
       AND (l.scope NOT IN ('tenant', 'budget', 'model', 'tool') OR l.holds OR l.key IN (SELECT unnest(p_keys))));
END $$;

-- What admission is decided on: the lanes of the backlog with the jobs of their oldest tasks, what runs or is published,
-- every limit that has something to say, the shares of tenants, and which queues each kind of living worker serves.
--
-- A lane is (queue, tenant, priority, type): found by walking along the index from one to the next, whatever their number
-- of jobs. p_heads: how many jobs of a lane are shown at most (and one more, to tell that there are others); fewer where
-- the queue has little room for many lanes. p_alive_s: for how long a silent worker counts. p_asking: as in a moves.taker.
CREATE OR REPLACE FUNCTION moves.backlog(
  p_heads int, p_alive_s float, p_asking text[] DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  moment timestamptz := moves.moment(p_now);
  lanes jsonb[] := moves.lanes(p_heads, p_asking, moment);
  -- Looked up through a subquery: a list is read for each limit.
  keys text[];
BEGIN
  keys := ARRAY(
    SELECT scope || (l ->> 1) FROM unnest(lanes) l, unnest(ARRAY['tenant:', 'budget:']) scope
     UNION SELECT 'model:' || (h ->> 1) FROM unnest(lanes) l, jsonb_array_elements(l -> 4) h WHERE h ->> 1 <> ''
     UNION SELECT 'tool:' || (h ->> 2) FROM unnest(lanes) l, jsonb_array_elements(l -> 4) h WHERE h ->> 2 <> '');
  RETURN jsonb_build_object(
    'now', moment, 'lanes', to_jsonb(lanes),
    'busy', (SELECT coalesce(jsonb_agg(jsonb_build_array(b.queue, b.tenant_id, b.type, b.model, b.tool, b.running, b.published)), '[]')
               FROM (SELECT u.queue, u.tenant_id, u.type, u.model, u.tool, sum(u.running) AS running, sum(u.published) AS published
                       FROM (SELECT queue, tenant_id, type, model, tool, 1 AS running, 0 AS published
                               FROM agentapp_job WHERE state = 'running'
                              UNION ALL
                             SELECT queue, tenant_id, type, model, tool, 0, 1 FROM agentapp_job
                              WHERE state = 'available' AND published_at IS NOT NULL
                                AND publishes < moves.unclaimed_after()) u
                      GROUP BY 1, 2, 3, 4, 5) b),
    'limits', moves.limits_shown(keys, moment),
    -- Parked: it has no place in the backlog before its time, but others of its kind wait behind it.
    'parked', (SELECT coalesce(jsonb_agg(jsonb_build_array(k.queue, k.tenant_id, k.type, k.model, k.tool)), '[]')
                 FROM (SELECT DISTINCT queue, tenant_id, type, model, tool FROM agentapp_job
                        WHERE state = 'scheduled' AND NOT moves.is_held(blocked_by)) k),
    'weights', (SELECT coalesce(jsonb_object_agg(id, weight), '{}') FROM agentapp_tenant
                 WHERE weight <> 1 AND 'tenant:' || id IN (SELECT unnest(keys))),
    'served', (SELECT coalesce(jsonb_agg(s.queues), '[]') FROM (
                 SELECT DISTINCT to_jsonb(w.queues) AS queues FROM agentapp_worker w
                  WHERE w.seen_at > moment - make_interval(secs => p_alive_s) AND w.draining_at IS NULL) s));
END $$;
