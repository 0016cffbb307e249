-- Moves of effects. Each send has a number and belongs to the attempt that began it. A send ends when it is answered,
-- proven not sent, or decided by a person; until then the effect is in doubt. [D7]

-- Until when the sender of an effect holds its job, or null: nobody sends it now. p_job is who asks. An expired lease can
-- still be renewed, until the rescuer ends it. A worker of the previous release writes no sender; the job that it sends for
-- is then taken for it.
CREATE OR REPLACE FUNCTION moves.sent_until(e agentapp_effect, p_job uuid) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT j.lease_expires_at FROM agentapp_job j
     WHERE e.state = 'sent' AND j.id = e.job_id AND j.id IS DISTINCT FROM p_job AND j.state = 'running'
       AND (e.sender_sends IS DISTINCT FROM e.sends OR j.lease_token = e.sender));
END $$;

-- Until when the latest send may still arrive, whatever has become of its job: its call may hang for the timeout of the
-- job, and a provider may be late. Null: there is none that could.
CREATE OR REPLACE FUNCTION moves.arrives_until(e agentapp_effect, p_late_s float DEFAULT NULL) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN make_interval(secs => coalesce(p_late_s, 30)) + CASE
    WHEN e.state NOT IN ('sent', 'unknown') THEN NULL
    WHEN e.returned_sends = e.sends THEN e.returned_at
    ELSE e.sent_at + make_interval(secs => coalesce((SELECT timeout_s FROM agentapp_job WHERE id = e.job_id), 0))
  END;
END $$;

-- Whether the call of the latest send, or of an earlier one that an idempotent provider had no need to wait for, may be out yet.
CREATE OR REPLACE FUNCTION moves.may_hang(e agentapp_effect, p_now timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce(e.returned_sends IS DISTINCT FROM e.sends AND moves.arrives_until(e) > p_now, false)
      OR coalesce(e.unfinished IS NOT NULL AND e.earlier_until > p_now, false)
$$;

-- Whether the latest send was proven to have changed nothing, while an earlier one is in doubt.
CREATE OR REPLACE FUNCTION moves.is_withdrawn(e agentapp_effect) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT e.sender IS NULL AND coalesce(e.sender_sends = e.sends, false)
$$;

-- Begin effects. p_items: a moves.effect_request each. Answers in the order of the items; jobs are locked by id.
CREATE OR REPLACE FUNCTION moves.begin_effects(p_items jsonb, p_now timestamptz DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  answers jsonb[] := array_fill(NULL::jsonb, ARRAY[jsonb_array_length(p_items)]);
  requests moves.effect_request[] := ARRAY(SELECT r FROM jsonb_populate_recordset(NULL::moves.effect_request, p_items) r);
  place bigint;
BEGIN
  FOR place IN SELECT ordinality FROM unnest(requests) WITH ORDINALITY ORDER BY job, ordinality LOOP
    answers[place] := moves.begin_effect(requests[place], p_now);
  END LOOP;
  RETURN to_jsonb(answers);
END $$;

-- Begin an effect under its key: written down before the provider is called. Only the owner of the lease may begin.
CREATE OR REPLACE FUNCTION moves.begin_effect(r moves.effect_request, p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  restored timestamptz := moves.restored_since(r.workflow);
  origin text;
  e agentapp_effect;
  why text;
BEGIN
  PERFORM moves.check_class(r.job);
  -- Without the lock of the task, which its other jobs need: a move that ends a task locks its jobs first.
  PERFORM 1 FROM agentapp_job j WHERE j.id = r.job AND j.lease_token = r.token AND j.state = 'running'
     AND j.workflow_id = r.workflow AND j.tenant_id = r.tenant FOR NO KEY UPDATE;
  IF NOT FOUND OR EXISTS (SELECT 1 FROM agentapp_workflow w WHERE w.id = r.workflow AND w.finished_at IS NOT NULL) THEN
    RETURN jsonb_build_object('status', 'lost');
  END IF;
  moment := moves.moment(p_now);
  origin := moves.origin();
  IF origin <> 'same' THEN
    -- Restored and not taken in, or not noted by a dispatcher yet: nothing is sent until then.
    RETURN jsonb_build_object('status', origin, 'sends', 0,
                              'id', moves.effect_id(r.tenant, r.key), 'until', moment + interval '30 seconds');
  END IF;
  why := moves.denied_now(r.workflow, moment);
  IF why <> '' THEN
    RETURN moves.denied_effect(r, why, p_now);
  END IF;
  IF restored IS NOT NULL THEN
    PERFORM moves.doubt_effect(r, restored, moment);
  END IF;
  -- The first send is one write.
  INSERT INTO agentapp_effect (id, tenant_id, key, type, state, workflow_id, job_id, request_sha256, sends, sender,
                               sender_sends, prepared_at, sent_at)
  VALUES (moves.effect_id(r.tenant, r.key), r.tenant, r.key, r.type, 'sent', r.workflow, r.job, r.request_sha256, 1, r.token, 1, moment, moment)
  ON CONFLICT (tenant_id, key) DO NOTHING
  RETURNING * INTO e;
  IF NOT FOUND THEN
    RETURN moves.begin_again(r, p_now);
  END IF;
  RETURN jsonb_build_object('status', 'begun', 'id', e.id, 'sends', e.sends);
END $$;

-- Begin an effect that is in the ledger already, or say what is known of it. The caller has checked its lease.
--
-- `repeated`: this attempt began the send itself, and may not know it, because the answer was lost. `until` goes with
-- `sending` (another sender holds its lease), `in flight` (the send may still arrive) and `repeated`.
CREATE OR REPLACE FUNCTION moves.begin_again(r moves.effect_request, p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  held_until timestamptz;
  flies_until timestamptz;
  e agentapp_effect;
  found text;
BEGIN
  SELECT * INTO STRICT e FROM agentapp_effect x WHERE x.tenant_id = r.tenant AND x.key = r.key FOR NO KEY UPDATE;
  -- What another class has begun is not this one's to send again, nor to call sent.
  PERFORM moves.check_class(e.job_id);
  moment := moves.moment(p_now);
  held_until := moves.sent_until(e, r.job);
  flies_until := moves.arrives_until(e, r.late_s);
  found := CASE
    WHEN e.state IN ('prepared', 'confirmed') THEN e.state
    WHEN held_until IS NOT NULL THEN 'sending'
    WHEN e.state = 'sent' AND e.sender = r.token AND e.sender_sends = e.sends
         AND e.returned_sends IS DISTINCT FROM e.sends THEN 'repeated'
    WHEN flies_until > moment AND NOT coalesce(r.is_idempotent, false) THEN 'in flight'
    ELSE e.state END;
  -- Prepared means: whatever was begun has certainly sent nothing.
  IF found = 'prepared' OR found IN ('sent', 'unknown') AND e.sends = r.asked_sends THEN
    e := moves.begin_next(e, r, moment);
    RETURN jsonb_build_object('status', 'begun', 'id', e.id, 'sends', e.sends);
  END IF;
  RETURN jsonb_build_object('status', found, 'id', e.id, 'sends', e.sends, 'until', coalesce(held_until, flies_until),
                            'request_sha256', e.request_sha256, 'response', e.response,
                            'is_restored', e.restored_at IS NOT NULL);
END $$;

-- The next send, which may be that of another task of a line of forks: the effect belongs to its sender. The send before stays in
-- doubt unless it has ended: its call may still come back and say what it did.
CREATE OR REPLACE FUNCTION moves.begin_next(INOUT e agentapp_effect, r moves.effect_request, p_now timestamptz) LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_effect
     SET state = 'sent', sends = sends + 1, sent_at = p_now, workflow_id = r.workflow, job_id = r.job, sender = r.token,
         sender_sends = sends + 1, request_sha256 = r.request_sha256, restored_at = NULL,
         earlier_until = greatest(earlier_until, moves.arrives_until(e, r.late_s)),
         unfinished = CASE WHEN e.state = 'prepared' OR moves.is_withdrawn(e) THEN unfinished
                           ELSE coalesce(unfinished, '{}') || jsonb_build_object(
                             sends, CASE WHEN sender_sends = sends THEN sender END) END
   WHERE id = e.id AND state = e.state
  RETURNING * INTO STRICT e;
END $$;
