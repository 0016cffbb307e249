-- Admission: what waits as rows, what there is room for, and the move that publishes it.

-- How many tasks wait, of a tenant and in the platform, against what may wait. p: tenant_mark, hard_mark, soft_mark.
-- A gate holds from the first task of a tenant on, whose limit is not known yet.
-- A count of a second ago tells, except where so few may wait that it would be wrong by as many.
CREATE OR REPLACE FUNCTION moves.queue_pressure(p_tenant bigint, p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
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
  most := coalesce(t.max_waiting, (p ->> 'tenant_mark')::int);
  platform := coalesce(g.max_waiting, (p ->> 'hard_mark')::int);
  IF most <= 1000 THEN
    t.waiting := (SELECT count(*) FROM (SELECT 1 FROM agentapp_workflow WHERE tenant_id = p_tenant AND state = 'pending' LIMIT most) x);
  END IF;
  RETURN jsonb_strip_nulls(jsonb_build_object(
    'refused', CASE WHEN coalesce(t.waiting, 0) >= most THEN 'tenant' WHEN coalesce(g.waiting, 0) >= platform THEN 'platform' END,
    'waiting', coalesce(t.waiting, 0), 'most', most, 'platform_waiting', coalesce(g.waiting, 0), 'platform_most', platform,
    'per_s', coalesce(t.per_s, 0), 'platform_per_s', coalesce(g.per_s, 0),
    'tenants', CASE WHEN greatest(t.waiting, g.waiting) >= (p ->> 'soft_mark')::int
                    THEN (SELECT count(*) FROM agentapp_limit WHERE scope = 'tenant' AND waiting > 0 AND key <> t.key) END));
END $$;

-- Whether a key that drains keeps a job back: its task has not begun.
CREATE OR REPLACE FUNCTION moves.is_kept_back(j agentapp_job) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT 1 FROM agentapp_limit WHERE mode = 'draining'
                    AND key = ANY(moves.keys(j.queue, j.type, j.tenant_id, j.model, j.tool)))
     AND (SELECT state FROM agentapp_workflow WHERE id = j.workflow_id) = 'pending';
END $$;

-- What admission is decided on: the lanes of the backlog with the jobs of their oldest tasks, what runs or is published,
-- every limit that has something to say, the shares of tenants, and which queues each kind of living worker serves.
--
-- A lane is (queue, tenant, priority, type): found by walking along the index from one to the next, whatever their number
-- of jobs. p: heads, how many jobs of a lane are shown at most (and one more, to tell that there are others); fewer
-- where the queue has little room for many lanes. alive_s: for how long a silent worker counts.
CREATE OR REPLACE FUNCTION moves.backlog(p jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  moment timestamptz := coalesce((p ->> 'now')::timestamptz, clock_timestamp());
  -- Arrays, and what they hold is looked up through a subquery: a jsonb that grows is copied for each lane, and a list
  -- of keys is read for each limit.
  lanes jsonb[] := '{}';
  found record;
  heads jsonb;
  shown int;
  keys text[] := '{}';
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
    shown := least((p ->> 'heads')::int, greatest(2, 4 * coalesce(found.room, 64) / found.beside)) + 1;
    SELECT jsonb_agg(jsonb_build_array(
             round(extract(epoch FROM moment - coalesce(h.available_at, moment))::numeric, 3), h.model, h.tool, h.workflow_id))
      INTO heads FROM (
        SELECT j.available_at, j.model, j.tool, j.workflow_id FROM agentapp_job j
         WHERE j.state = 'available' AND j.published_at IS NULL AND j.queue = found.queue
           AND j.tenant_id = found.tenant_id AND j.priority = found.priority AND j.type = found.type
           -- Who is kept back is not shown, and so blocks nobody behind it.
           AND NOT (draining AND moves.is_kept_back(j))
         ORDER BY j.workflow_id, j.id LIMIT shown) h;
    CONTINUE WHEN heads IS NULL;
    lanes := array_append(lanes, jsonb_build_array(
      found.queue, found.tenant_id, found.priority, found.type, heads, shown - 1));
  END LOOP;
  keys := ARRAY(
    SELECT 'tenant:' || (l ->> 1) FROM unnest(lanes) l
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
    'limits', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                 'key', l.key, 'concurrency', l.concurrency, 'reserved', l.reserved,
                 'request_s', l.request_s * l.slowdown, 'request_burst', l.request_burst,
                 'request_ahead_s', extract(epoch FROM l.request_at - moment),
                 'token_s', l.token_s * l.slowdown, 'token_burst', l.token_burst,
                 'token_ahead_s', extract(epoch FROM l.token_at - moment), 'tokens_each', l.tokens_each,
                 'mode', l.mode, 'breaker', l.breaker, 'closed_s', extract(epoch FROM l.closed_until - moment),
                 'holds', l.holds, 'runway', l.runway, 'per_s', l.per_s)), '[]')
                 FROM agentapp_limit l
                WHERE (moves.is_gated(l, moment) OR l.holds OR l.tokens_each > 0 OR l.scope = 'queue')
                  -- Of what there is one of for each tenant, model and tool: those that somebody waits for.
                  AND (l.scope NOT IN ('tenant', 'model', 'tool') OR l.holds OR l.key IN (SELECT unnest(keys)))),
    -- Parked: it has no place in the backlog before its time, but others of its kind wait behind it.
    'parked', (SELECT coalesce(jsonb_agg(jsonb_build_array(k.queue, k.tenant_id, k.type, k.model, k.tool)), '[]')
                 FROM (SELECT DISTINCT queue, tenant_id, type, model, tool FROM agentapp_job WHERE state = 'scheduled') k),
    'weights', (SELECT coalesce(jsonb_object_agg(id, weight), '{}') FROM agentapp_tenant
                 WHERE weight <> 1 AND 'tenant:' || id IN (SELECT unnest(keys))),
    'served', (SELECT coalesce(jsonb_agg(s.queues), '[]') FROM (
                 SELECT DISTINCT to_jsonb(w.queues) AS queues FROM agentapp_worker w
                  WHERE w.seen_at > moment - make_interval(secs => (p ->> 'alive_s')::float)
                    AND w.draining_at IS NULL) s));
END $$;

-- Publish the oldest of these lanes: mark them and return what to publish, each with what follows it.
--
-- p: lanes [[queue, tenant, priority, type, count, class]], the class being the priority with which it is published.
-- A row that is busy is passed over. A mark that a crash forgets is a job that still queues, and a message that wakes it:
-- nothing waits for the disk.
CREATE OR REPLACE FUNCTION moves.admit(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := coalesce((p ->> 'now')::timestamptz, clock_timestamp());
  l jsonb;
  found jsonb;
  admitted jsonb := '[]';
  draining boolean := EXISTS (SELECT 1 FROM agentapp_limit WHERE mode = 'draining');
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  FOR l IN SELECT value FROM jsonb_array_elements(p -> 'lanes') LOOP
    WITH oldest AS (
      SELECT id FROM agentapp_job j
       WHERE state = 'available' AND published_at IS NULL AND queue = l ->> 0 AND tenant_id = (l ->> 1)::bigint
         AND priority = (l ->> 2)::int AND type = l ->> 3 AND NOT (draining AND moves.is_kept_back(j))
       ORDER BY workflow_id, id LIMIT (l ->> 4)::int FOR NO KEY UPDATE SKIP LOCKED
    ), marked AS (
      UPDATE agentapp_job j SET published_at = moment, publishes = 1, priority = (l ->> 5)::int
        FROM oldest WHERE j.id = oldest.id
      RETURNING moves.link(j) AS link, j.workflow_id, j.id
    )
    SELECT jsonb_agg(jsonb_build_object('opened', jsonb_build_array(m.link), 'state', w.state,
                                        'tail', moves.tail(w.id, w.position)) ORDER BY m.workflow_id, m.id)
      INTO found FROM marked m JOIN agentapp_workflow w ON w.id = m.workflow_id;
    admitted := admitted || coalesce(found, '[]');
  END LOOP;
  RETURN jsonb_build_object('admitted', admitted);
END $$;

-- Write down what a decision leaves behind: which keys somebody waits for, and how much the broker may hold of a queue.
-- p: holds {key: bool}, runways {queue: int}. Apart from the jobs that are admitted, and without waiting: a row that a claim
-- holds is written after the next look, and so no order of locks matters here.
CREATE OR REPLACE FUNCTION moves.set_holds(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  WITH free AS (
    SELECT key FROM agentapp_limit
     WHERE key IN (SELECT jsonb_object_keys(p -> 'holds') UNION SELECT 'queue:' || jsonb_object_keys(p -> 'runways'))
     ORDER BY key FOR NO KEY UPDATE SKIP LOCKED)
  UPDATE agentapp_limit l
     SET holds = coalesce((p -> 'holds' ->> l.key)::boolean, holds),
         runway = CASE WHEN l.scope = 'queue' THEN coalesce((p -> 'runways' ->> l.name)::int, runway) ELSE runway END
    FROM free WHERE free.key = l.key;
  RETURN '{}';
END $$;

-- Published jobs that were overtaken for too long are published once more, one class more urgent: a queue whose urgent
-- list never empties would starve the others. p: after_s, limit.
CREATE OR REPLACE FUNCTION moves.promote(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := coalesce((p ->> 'now')::timestamptz, clock_timestamp());
  promoted jsonb;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  WITH overtaken AS (
    SELECT id FROM agentapp_job
     WHERE state = 'available' AND priority > 0 AND published_at < moment - make_interval(secs => (p ->> 'after_s')::float)
     ORDER BY id LIMIT (p ->> 'limit')::int FOR NO KEY UPDATE SKIP LOCKED
  ), marked AS (
    UPDATE agentapp_job j SET priority = priority - 1, published_at = moment, publishes = least(publishes + 1, 1000)
      FROM overtaken WHERE j.id = overtaken.id
      RETURNING moves.link(j) AS link, j.workflow_id
  )
  SELECT jsonb_agg(jsonb_build_object('opened', jsonb_build_array(m.link), 'state', w.state,
                                      'tail', moves.tail(w.id, w.position)))
    INTO promoted FROM marked m JOIN agentapp_workflow w ON w.id = m.workflow_id;
  RETURN jsonb_build_object('admitted', coalesce(promoted, '[]'));
END $$;

-- Count what waits, and keep how fast it begins. p: per_s {key: float}, run_s {job type: float}, slots {queue: int}, as
-- the workers have measured them. Counted first, then written: no row of a gate is locked while a long backlog is read.
CREATE OR REPLACE FUNCTION moves.measure(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := coalesce((p ->> 'now')::timestamptz, clock_timestamp());
  counts jsonb;
  fresh record;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  WITH tasks AS (
    SELECT tenant_id, count(*) AS n FROM agentapp_workflow WHERE state = 'pending' GROUP BY 1
  ), waiting AS (
    SELECT 'tenant:' || tenant_id AS key, n, NULL::timestamptz AS oldest FROM tasks
    UNION ALL SELECT 'global', coalesce(sum(n), 0), NULL FROM tasks
    UNION ALL SELECT 'queue:' || queue, count(*), min(available_at) FROM agentapp_job WHERE state = 'available' GROUP BY queue
  )
  SELECT jsonb_object_agg(key, jsonb_build_object('n', n, 'oldest', oldest)) INTO counts FROM waiting;
  -- Row by row in the order of the keys, and only what is news: claims lock such rows too.
  FOR fresh IN
    SELECT n.* FROM agentapp_limit l CROSS JOIN LATERAL (
      SELECT l.key, coalesce((counts -> l.key ->> 'n')::int, 0) AS n, (counts -> l.key ->> 'oldest')::timestamptz AS oldest,
             coalesce((p -> 'per_s' ->> l.key)::float, l.per_s) AS per_s,
             CASE WHEN l.scope = 'job_type' THEN coalesce((p -> 'run_s' ->> l.name)::float, l.run_s) ELSE 0 END AS run_s,
             CASE WHEN l.scope = 'queue' THEN coalesce((p -> 'slots' ->> l.name)::int, 0) ELSE 0 END AS slots,
             -- A provider that asked for less is trusted with more again, little by little.
             CASE WHEN l.slowed_at < moment - interval '30 seconds' THEN greatest(1, l.slowdown * 0.98) ELSE l.slowdown END
               AS slowdown) n
     WHERE (l.waiting, l.oldest_at, l.per_s, l.run_s, l.slots, l.slowdown)
           IS DISTINCT FROM (n.n, n.oldest, n.per_s, n.run_s, n.slots, n.slowdown)
     ORDER BY l.key
  LOOP
    -- A claim may hold it, or somebody in psql: the next count tells.
    PERFORM 1 FROM agentapp_limit WHERE key = fresh.key FOR NO KEY UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT FOUND;
    UPDATE agentapp_limit SET
      waiting = fresh.n, oldest_at = fresh.oldest, per_s = fresh.per_s, run_s = fresh.run_s, slots = fresh.slots,
      slowdown = CASE WHEN slowed_at < moment - interval '30 seconds' THEN fresh.slowdown ELSE slowdown END
     WHERE key = fresh.key;
  END LOOP;
  RETURN '{}';
END $$;
