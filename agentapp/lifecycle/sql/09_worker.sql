-- The heartbeat of a worker process: renew all its leases, say that it lives, and learn which leases are no longer its.
--
-- p_leases: {job: token}. Returns {"gone": {job: state}, "waits": whether anybody waits behind a gate or in a queue}.
-- p_backend_pid is the number of the session as its client knows it: a connection pooler tells another, and then no lock of
-- a session means anything.
-- A row that is busy is being settled: it is passed over, not waited for.
CREATE OR REPLACE FUNCTION moves.heartbeat(
  p_process bigint, p_name text, p_pool text, p_slots int, p_queues text[], p_leases jsonb, p_lease_s float,
  p_draining boolean, p_counts jsonb, p_backend_pid int, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  gone jsonb;
  -- Null: of all classes.
  own text[];
BEGIN
  IF session_user <> current_user THEN
    own := moves.own_classes();
  END IF;
  -- A beat that a crash forgets shortens a wait, nothing more.
  PERFORM set_config('synchronous_commit', 'off', true);
  WITH held AS (
    SELECT key::uuid AS id, value::uuid AS token FROM jsonb_each_text(p_leases)
  ), mine AS (
    SELECT j.id FROM agentapp_job j JOIN held ON held.id = j.id AND held.token = j.lease_token
     WHERE j.state = 'running' AND (own IS NULL OR j.queue = ANY(own)) ORDER BY j.id FOR UPDATE OF j SKIP LOCKED
  )
  UPDATE agentapp_job j SET lease_expires_at = clock_timestamp() + make_interval(secs => p_lease_s)
    FROM mine WHERE j.id = mine.id;
  SELECT coalesce(jsonb_object_agg(held.key, j.state), '{}') INTO gone
    FROM jsonb_each_text(p_leases) held JOIN agentapp_job j ON j.id = held.key::uuid
   WHERE j.lease_token IS DISTINCT FROM held.value::uuid;
  INSERT INTO agentapp_worker AS w (id, name, pool, slots, queues, counts, jobs, started_at, seen_at, draining_at,
                                    is_direct)
  SELECT p_process, p_name, p_pool, p_slots, moves.served(p_queues), p_counts,
         (SELECT count(*) FROM jsonb_object_keys(p_leases)), clock_timestamp(), clock_timestamp(),
         CASE WHEN p_draining THEN clock_timestamp() END, p_backend_pid = pg_backend_pid()
  ON CONFLICT (id) DO UPDATE SET
    jobs = EXCLUDED.jobs, counts = EXCLUDED.counts, seen_at = EXCLUDED.seen_at, is_direct = EXCLUDED.is_direct,
    draining_at = coalesce(w.draining_at, EXCLUDED.draining_at)
    -- A worker says nothing of another class's process.
    WHERE own IS NULL OR w.queues::text[] <@ own;
  RETURN jsonb_build_object('gone', gone, 'waits', EXISTS (SELECT 1 FROM agentapp_limit WHERE holds));
END $$;

-- Keep what an attempt has come to, for the next one. Only the owner of the lease may.
CREATE OR REPLACE FUNCTION moves.checkpoint(p_job uuid, p_token uuid, p_checkpoint jsonb, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM moves.check_class(p_job);
  UPDATE agentapp_job SET checkpoint = p_checkpoint
   WHERE id = p_job AND lease_token = p_token AND state = 'running';
  RETURN jsonb_build_object('status', CASE WHEN FOUND THEN 'ok' ELSE 'lost' END,
                            'state', (SELECT state FROM agentapp_job WHERE id = p_job));
END $$;

-- For how many seconds Postgres has been up. It waits for the tables that a heartbeat writes and reads: while somebody has
-- locked one of them whole, no process can say that it lives.
CREATE OR REPLACE FUNCTION moves.postgres_uptime(p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  LOCK TABLE agentapp_job, agentapp_worker IN ROW EXCLUSIVE MODE;
  LOCK TABLE agentapp_limit IN ACCESS SHARE MODE;
  RETURN jsonb_build_object('seconds', extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()));
END $$;

-- Processes that hold leases and no longer hold their advisory lock, each with its leases as they are now, and for how
-- long it has not been seen. Of a process behind a connection pooler no lock tells anything: it is silent when it was not
-- seen for p_unseen_s seconds. Read from pg_locks, not tried: a lock that the dispatcher took for a moment could be missed
-- by its owner.
CREATE OR REPLACE FUNCTION moves.silent_processes(p_unseen_s float, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT coalesce(jsonb_object_agg(found.process, jsonb_build_object('leases', found.leases, 'unseen_s', found.unseen_s)), '{}')
    FROM (
    SELECT j.process, jsonb_object_agg(j.id, j.lease_expires_at) AS leases,
           extract(epoch FROM coalesce(p_now, clock_timestamp()) - max(w.seen_at)) AS unseen_s
      FROM agentapp_job j LEFT JOIN agentapp_worker w ON w.id = j.process
     WHERE j.state = 'running' AND j.process IS NOT NULL
       AND CASE WHEN w.is_direct IS FALSE
                THEN w.seen_at < coalesce(p_now, clock_timestamp()) - make_interval(secs => p_unseen_s)
                ELSE NOT EXISTS (
                  SELECT 1 FROM pg_locks l
                   WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                     AND (l.classid::bigint << 32 | l.objid::bigint) = j.process) END
     GROUP BY j.process) found
$$;
