-- What happens to one available job that a worker wants.

-- Take an available job: permission, gates, then its lease. `taken` is the claimed job, or {"refused": reason}. A job that a
-- gate stops is parked: it holds nothing, and its attempt is not counted.
CREATE OR REPLACE FUNCTION moves.take(INOUT t moves.task, j agentapp_job, p_taker moves.taker, p_free bigint)
LANGUAGE plpgsql AS $$
DECLARE
  k agentapp_job := j;
  began boolean := t.state = 'pending';
  why text := coalesce(t.denied, moves.denied(t));
  passed record;
  charged int := 0;
BEGIN
  t.denied := why;
  IF why <> '' THEN
    k := moves.entering(k, 'dead_lettered', t.now);
    k.error := jsonb_build_object('class', 'PermissionDenied', 'kind', 'permission', 'message', why);
    t := moves.move_job(t, j, k, why);
    -- What it opens is not published from here: the dispatcher finds it.
    t := moves.bury(t, (SELECT s FROM agentapp_stage s WHERE s.id = j.stage_id), why);
    t.taken := jsonb_build_object('refused', 'permission', 'task', t.id);
    RETURN;
  END IF;
  -- As it is chosen now, and not as the plan froze it.
  k.model := moves.model_of(j, p_taker, t.now);
  IF p_free IS NOT NULL THEN
    -- It may have waited for the locks of its gates: it is charged, and begins, at one moment behind them.
    t.now := moves.moment(p_taker.now);
  END IF;
  IF p_free <= 0 THEN
    passed := moves.pass_gates(k, t.priority, NOT began, true, t.now);
    IF passed.blockers IS NOT NULL THEN
      t := moves.park(t, j, k, passed.blockers);
      t.taken := jsonb_build_object('refused', 'parked', 'task', t.id);
      RETURN;
    END IF;
    charged := coalesce(passed.tokens, 0);
  END IF;
  t := moves.start_job(t, j, k, p_taker);
  t.taken := t.taken || jsonb_build_object('tokens', charged, 'began', began);
END $$;

-- A job runs from now on: token, lease, attempt + 1. From `pending` it has been opened on the way.
CREATE OR REPLACE FUNCTION moves.start_job(INOUT t moves.task, j agentapp_job, k agentapp_job, p_taker moves.taker)
LANGUAGE plpgsql AS $$
BEGIN
  k := moves.entering(k, 'running', t.now);
  -- Whether it had a message of its own is told by its attempt.
  k.publishes := CASE WHEN j.state = 'available' THEN greatest(1, j.publishes) ELSE 0 END;
  k.priority := t.priority;
  k.attempt := j.attempt + 1;
  k.worker := coalesce(p_taker.worker, '');
  k.process := p_taker.process;
  k.lease_token := coalesce(p_taker.token, moves.uuid7());
  k.lease_expires_at := t.now + make_interval(secs => coalesce(p_taker.lease_s, 15));
  k.available_at := coalesce(j.available_at, t.now);
  k.started_at := t.now;
  IF t.state = 'pending' THEN
    t.started_at := t.now;
    t := moves.set_state(t, 'running', 'its first job was claimed');
  END IF;
  t := moves.move_job(t, j, k, '', jsonb_build_object('attempt', k.attempt));
  t.taken := moves.claimed(t, k, p_taker.choice);
END $$;

-- available -> scheduled: a gate is in the way. New jobs of its keys wait behind it, and the dispatcher publishes it when
-- there is room.
CREATE OR REPLACE FUNCTION moves.park(INOUT t moves.task, j agentapp_job, k agentapp_job, p_blockers jsonb) LANGUAGE plpgsql AS $$
BEGIN
  k := moves.entering(k, 'scheduled', t.now);
  k.scheduled_at := coalesce((SELECT max((b ->> 'until')::timestamptz) FROM jsonb_array_elements(p_blockers) b), t.now);
  k.blocked_by := p_blockers;
  t := moves.move_job(t, j, k, 'a gate is in the way', jsonb_build_object('blocked_by', p_blockers));
  UPDATE agentapp_limit SET holds = true
   WHERE key = ANY(moves.keys(k.queue, k.type, k.tenant_id, k.model, k.tool)) AND NOT holds
     AND EXISTS (SELECT 1 FROM jsonb_array_elements(p_blockers) b WHERE b ->> 'scope' = scope AND b ->> 'name' = name);
END $$;
