-- The lease of the leading dispatcher, and what its sweeps look for.

-- Lead, or go on leading. p_epoch is null where it does not lead.
--
-- The lease is free when it has run out, or when the session over which its holder renewed it is gone: then its process,
-- or its connection, is gone too. Nobody waits for the row: while somebody else holds it, nobody can take the lead, so the
-- leader goes on. Where a replica became this database, that is noted first; p_lacks_nothing: it had all that was confirmed.
CREATE OR REPLACE FUNCTION moves.lead(
  p_holder text, p_epoch bigint, p_lease_s float, p_report jsonb, p_backend_pid int, p_lacks_nothing boolean DEFAULT false,
  p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves.moment(p_now);
  noted boolean := false;
  origin text := moves.origin();
  l agentapp_dispatcherlease;
BEGIN
  IF origin = 'copy' THEN
    RETURN jsonb_build_object('epoch', p_epoch, 'leads', false, 'is_copy', true);
  ELSIF origin = 'promoted' THEN
    noted := moves.note_promotion(p_lacks_nothing, moment);
  END IF;
  IF NOT EXISTS (SELECT 1 FROM agentapp_dispatcherlease WHERE id = 1) THEN
    INSERT INTO agentapp_dispatcherlease (id, expires_at) VALUES (1, moment) ON CONFLICT DO NOTHING;
  END IF;
  SELECT * INTO l FROM agentapp_dispatcherlease WHERE id = 1 FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    SELECT * INTO l FROM agentapp_dispatcherlease WHERE id = 1;
    RETURN jsonb_build_object('epoch', l.epoch, 'leads', l.holder = p_holder AND l.epoch = p_epoch, 'noted', noted);
  ELSIF l.holder = p_holder AND l.epoch = p_epoch THEN
    -- A renewal that a crash forgets only ends the lease early; a promotion is noted again.
    PERFORM set_config('synchronous_commit', 'off', true);
  ELSIF l.expires_at <= moment OR moves.is_session_gone(l.session, l.renewed_at) THEN
    l.epoch := l.epoch + 1;
    l.led_since := moment;
    PERFORM moves.know_database();
  ELSE
    RETURN jsonb_build_object('epoch', l.epoch, 'leads', false, 'noted', noted);
  END IF;
  UPDATE agentapp_dispatcherlease SET
    epoch = l.epoch, holder = p_holder, led_since = l.led_since, renewed_at = moment,
    expires_at = moment + make_interval(secs => p_lease_s), report = p_report,
    -- A pooler tells its clients numbers of its own; its sessions say nothing about them.
    session = CASE WHEN p_backend_pid = pg_backend_pid() THEN pg_backend_pid() END
   WHERE id = 1;
  RETURN jsonb_build_object('epoch', l.epoch, 'leads', true, 'noted', noted);
END $$;

CREATE OR REPLACE FUNCTION moves.is_session_gone(p_session int, p_seen timestamptz) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN p_session IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM pg_stat_activity WHERE pid = p_session AND coalesce(backend_start, p_seen) <= p_seen);
END $$;

-- Free the lease, if it is still this holder's.
CREATE OR REPLACE FUNCTION moves.resign(p_holder text, p_epoch bigint, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_dispatcherlease SET expires_at = renewed_at, session = NULL
   WHERE id = 1 AND holder = p_holder AND epoch = p_epoch;
  RETURN jsonb_build_object('status', CASE WHEN FOUND THEN 'ok' ELSE 'lost' END);
END $$;

-- Available jobs whose last message is older than p_after_s, the oldest p_limit of each queue and priority: these are
-- found by walking along the index.
CREATE OR REPLACE FUNCTION moves.suspects(p_after_s float, p_limit int, p_but_not uuid[], p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  before timestamptz := moves.moment(p_now) - make_interval(secs => p_after_s);
BEGIN
  RETURN (
    WITH RECURSIVE list AS (
      (SELECT queue, priority FROM agentapp_job WHERE state = 'available' AND published_at IS NOT NULL
        ORDER BY queue, priority LIMIT 1)
      UNION ALL
      SELECT n.* FROM list CROSS JOIN LATERAL (
        SELECT j.queue, j.priority FROM agentapp_job j
         WHERE j.state = 'available' AND j.published_at IS NOT NULL AND (j.queue, j.priority) > (list.queue, list.priority)
         ORDER BY j.queue, j.priority LIMIT 1) n)
    SELECT jsonb_build_object('jobs', coalesce(jsonb_agg(jsonb_build_object(
             'id', j.id, 'workflow_id', j.workflow_id, 'queue', j.queue, 'type', j.type, 'priority', j.priority,
             'publishes', j.publishes, 'published_at', j.published_at, 'available_at', j.available_at)
             ORDER BY j.queue, j.priority, j.published_at), '[]'))
      FROM list CROSS JOIN LATERAL (
        SELECT k.* FROM agentapp_job k
         WHERE k.state = 'available' AND k.published_at < before AND k.available_at < before
           AND k.queue = list.queue AND k.priority = list.priority AND NOT k.id = ANY(p_but_not)
         ORDER BY k.published_at LIMIT p_limit) j);
END $$;

-- Count another message of an available job, unless it was claimed or published meanwhile.
CREATE OR REPLACE FUNCTION moves.publish_again(p_job uuid, p_publishes int, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves.moment(p_now);
BEGIN
  -- The count is only for the back-off: it stops where its column ends.
  UPDATE agentapp_job SET publishes = least(publishes + 1, 1000), published_at = moment
   WHERE id = p_job AND state = 'available' AND publishes = p_publishes;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'refused');
  END IF;
  RETURN jsonb_build_object('status', 'ok') || moves.remaining(p_job);
END $$;

-- Note when a worker is asked again to clean up after a cancelled job; without a moment nobody is, for the error that says
-- why. p_due is as it was seen.
CREATE OR REPLACE FUNCTION moves.ask_clean_up(
  p_job uuid, p_due timestamptz, p_again timestamptz DEFAULT NULL, p_error jsonb DEFAULT NULL,
  p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_job SET clean_up_at = p_again, error = coalesce(p_error, error)
   WHERE id = p_job AND state = 'cancelled' AND clean_up_at = p_due;
  RETURN jsonb_build_object('status', CASE WHEN FOUND THEN 'ok' ELSE 'refused' END);
END $$;

-- After so many messages that were taken, and no claim, a job counts no longer as published: its workers do not know its
-- type (yet), and it must not stand in the runway, nor for a slot of a gate, in the place of others.
CREATE OR REPLACE FUNCTION moves.unclaimed_after() RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT 3 $$;

-- available -> dead_lettered: its messages were taken for long enough, and no worker has claimed it.
-- p_publishes is as it was seen.
CREATE OR REPLACE FUNCTION moves.give_up_unclaimed(
  p_workflow uuid, p_job uuid, p_actor text, p_publishes int, p_error jsonb, p_reason text,
  p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
  k agentapp_job;
BEGIN
  SELECT * INTO j FROM agentapp_job
   WHERE id = p_job AND workflow_id = t.id AND state = 'available' AND publishes = p_publishes FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN moves.refused(t);
  END IF;
  k := moves.entering(j, 'dead_lettered', t.now);
  k.error := p_error;
  t := moves.move_job(t, j, k, p_reason, jsonb_build_object('error', k.error, 'messages', j.publishes));
  t := moves.bury(t, (SELECT s FROM agentapp_stage s WHERE s.id = j.stage_id), j.type || ': ' || p_reason);
  RETURN moves.saved(t);
END $$;
