-- Admission: the moves that publish what there is room for, and what a decision leaves behind.

-- Publish the oldest of these lanes: mark them and return what to publish, each with what follows it.
--
-- p_lanes: [[queue, tenant, priority, type, count, class]], the class being the priority with which it is published.
-- p_asking: as in a moves.taker.
-- A row that is busy is passed over. A mark that a crash forgets is a job that still queues, and a message that wakes it:
-- nothing waits for the disk.
CREATE OR REPLACE FUNCTION moves.admit(p_lanes jsonb, p_asking text[] DEFAULT NULL, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves.moment(p_now);
  l jsonb;
  chosen text;
  found jsonb;
  admitted jsonb := '[]';
  draining boolean := EXISTS (SELECT 1 FROM agentapp_limit WHERE mode = 'draining');
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  FOR l IN SELECT value FROM jsonb_array_elements(p_lanes) LOOP
    chosen := moves.chosen_model(moves.choice_of((l ->> 1)::bigint, l ->> 3, p_asking), moment);
    WITH oldest AS (
      SELECT id FROM agentapp_job j
       WHERE state = 'available' AND published_at IS NULL AND queue = l ->> 0 AND tenant_id = (l ->> 1)::bigint
         AND priority = (l ->> 2)::int AND type = l ->> 3 AND NOT (draining AND moves.is_kept_back(j, chosen))
       ORDER BY workflow_id, id LIMIT (l ->> 4)::int FOR NO KEY UPDATE SKIP LOCKED
    ), marked AS (
      UPDATE agentapp_job j SET published_at = moment, publishes = 1, priority = (l ->> 5)::int,
             model = coalesce(chosen, model)
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
-- p_holds: {key: bool}, p_runways: {queue: int}. Apart from the jobs that are admitted, and without waiting: a row that a
-- claim holds is written after the next look, and so no order of locks matters here.
CREATE OR REPLACE FUNCTION moves.set_holds(p_holds jsonb, p_runways jsonb, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  WITH free AS (
    SELECT key FROM agentapp_limit
     WHERE key IN (SELECT jsonb_object_keys(p_holds) UNION SELECT 'queue:' || jsonb_object_keys(p_runways))
     ORDER BY key FOR NO KEY UPDATE SKIP LOCKED)
  UPDATE agentapp_limit l
     SET holds = coalesce((p_holds ->> l.key)::boolean, holds),
         runway = CASE WHEN l.scope = 'queue' THEN coalesce((p_runways ->> l.name)::int, runway) ELSE runway END
    FROM free WHERE free.key = l.key;
  RETURN '{}';
END $$;

-- Published jobs that were overtaken for too long are published once more, one class more urgent: a queue whose urgent
-- list never empties would starve the others.
CREATE OR REPLACE FUNCTION moves.promote(p_after_s float, p_limit int, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves.moment(p_now);
  promoted jsonb;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  WITH overtaken AS (
    SELECT id FROM agentapp_job
     WHERE state = 'available' AND priority > 0 AND published_at < moment - make_interval(secs => p_after_s)
     ORDER BY id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
  ), marked AS (
    UPDATE agentapp_job j SET priority = priority - 1, published_at = moment, publishes = least(publishes + 1, 1000)
      FROM overtaken WHERE j.id = overtaken.id
      RETURNING moves.link(j) AS link, j.workflow_id, j.id, j.tenant_id
  ), turns AS (
    -- Tenants take turns, as they did when these were admitted: by age alone, the many of one stand before the few of another.
    SELECT m.*, row_number() OVER (PARTITION BY m.tenant_id ORDER BY m.id) AS turn FROM marked m
  )
  SELECT jsonb_agg(jsonb_build_object('opened', jsonb_build_array(t.link), 'state', w.state,
                                      'tail', moves.tail(w.id, w.position)) ORDER BY t.turn, t.id)
    INTO promoted FROM turns t JOIN agentapp_workflow w ON w.id = t.workflow_id;
  RETURN jsonb_build_object('admitted', coalesce(promoted, '[]'));
END $$;

-- What waits, as {key: {n, oldest}}: tasks of each tenant and of all, jobs of each queue.
CREATE OR REPLACE FUNCTION moves.waiting_counts() RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    -- In two parts, each of which has an index: together they would be read from all jobs there are.
    WITH available AS (
      SELECT queue, count(*) AS n, min(available_at) AS oldest FROM agentapp_job
       WHERE state = 'available' AND published_at IS NULL GROUP BY queue
      UNION ALL
      SELECT queue, count(*), min(available_at) FROM agentapp_job
       WHERE state = 'available' AND published_at IS NOT NULL GROUP BY queue
    ), tasks AS (
      SELECT tenant_id, count(*) AS n FROM agentapp_workflow WHERE state = 'pending' AND origin IN ('client', 'schedule') GROUP BY 1
    ), waiting AS (
      SELECT 'tenant:' || tenant_id AS key, n, NULL::timestamptz AS oldest FROM tasks
      UNION ALL SELECT 'global', coalesce(sum(n), 0), NULL FROM tasks
      UNION ALL SELECT 'queue:' || queue, sum(n), min(oldest) FROM available GROUP BY queue
    )
    SELECT jsonb_object_agg(key, jsonb_build_object('n', n, 'oldest', oldest)) FROM waiting);
END $$;

-- Count what waits, and keep how fast it begins: p_per_s {key: float}, p_run_s {job type: float}, p_slots {queue: int}, as
-- the workers have measured them. Counted first, then written: no row of a gate is locked while a long backlog is read.
CREATE OR REPLACE FUNCTION moves.measure(p_per_s jsonb, p_run_s jsonb, p_slots jsonb, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves.moment(p_now);
  counts jsonb;
  fresh record;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  counts := moves.waiting_counts();
  -- Row by row in the order of the keys, and only what is news: claims lock such rows too.
  FOR fresh IN
    SELECT n.* FROM agentapp_limit l CROSS JOIN LATERAL (
      SELECT l.key, coalesce((counts -> l.key ->> 'n')::int, 0) AS n, (counts -> l.key ->> 'oldest')::timestamptz AS oldest,
             coalesce((p_per_s ->> l.key)::float, l.per_s) AS per_s,
             CASE WHEN l.scope = 'job_type' THEN coalesce((p_run_s ->> l.name)::float, l.run_s) ELSE 0 END AS run_s,
             CASE WHEN l.scope = 'queue' THEN coalesce((p_slots ->> l.name)::int, 0) ELSE 0 END AS slots,
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
