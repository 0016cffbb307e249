-- How sends end: answered, proven not sent, or in doubt; and what a person may know about them.

-- What a send has come to, short of an answer: `prepared`, it has certainly changed nothing; `unknown`, nobody can tell;
-- `sent`, its call has come back and does not tell, so that the provider must be asked.
--
-- Given p_token by the sender, or p_job and p_late_s by somebody who found an earlier send. Nobody but its sender says
-- anything about a send that may still arrive.
CREATE OR REPLACE FUNCTION moves.end_send(
  p_effect uuid, p_sends int, p_to text, p_token uuid DEFAULT NULL, p_job uuid DEFAULT NULL,
  p_late_s float DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  is_proven boolean := p_to = 'prepared';
  e agentapp_effect;
BEGIN
  SELECT * INTO e FROM agentapp_effect WHERE id = p_effect FOR NO KEY UPDATE;
  PERFORM moves.check_effect(e);
  moment := moves.moment(p_now);
  IF e.id IS NULL OR e.state NOT IN ('sent', 'unknown') OR e.state = 'unknown' AND NOT is_proven THEN
    RETURN jsonb_build_object('status', 'refused', 'state', e.state);
  ELSIF p_token IS NOT NULL AND is_proven AND e.unfinished ->> p_sends::text = p_token::text THEN
    RETURN moves.end_earlier_send(e, p_sends::text);
  ELSIF e.sends <> p_sends OR p_token IS NOT NULL AND e.sender IS DISTINCT FROM p_token
     OR p_token IS NULL AND (moves.sent_until(e, p_job) IS NOT NULL OR moves.arrives_until(e, p_late_s) > moment) THEN
    RETURN jsonb_build_object('status', 'refused', 'state', e.state);
  END IF;
  UPDATE agentapp_effect
     SET state = CASE WHEN is_proven AND unfinished IS NOT NULL THEN 'sent' ELSE p_to END,
         sender = CASE WHEN NOT is_proven THEN sender END,
         returned_sends = CASE WHEN p_token IS NOT NULL THEN sends ELSE returned_sends END,
         returned_at = CASE WHEN is_proven THEN NULL WHEN p_token IS NOT NULL THEN moment ELSE returned_at END
   WHERE id = e.id AND state IN ('sent', 'unknown')
  RETURNING * INTO STRICT e;
  RETURN jsonb_build_object('status', 'ok', 'state', e.state);
END $$;

-- An earlier send has certainly changed nothing. With the last of those in doubt the doubt ends.
CREATE OR REPLACE FUNCTION moves.end_earlier_send(e agentapp_effect, p_send text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_effect
     SET unfinished = nullif(unfinished - p_send, '{}'),
         state = CASE WHEN unfinished - p_send = '{}' AND moves.is_withdrawn(e) THEN 'prepared' ELSE state END
   WHERE id = e.id AND state = e.state
  RETURNING * INTO STRICT e;
  RETURN jsonb_build_object('status', 'ok', 'state', e.state);
END $$;

-- What providers have answered to an attempt. An effect that happened is recorded even if the lease is lost by now.
CREATE OR REPLACE FUNCTION moves.record_effects(p_job uuid, p_effects jsonb, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  r record;
BEGIN
  -- The job before its effects, as who begins one locks them.
  PERFORM 1 FROM agentapp_job WHERE id = p_job FOR NO KEY UPDATE;
  -- One by one: the plan of a join would be kept from when the table was empty, and read all effects.
  FOR r IN SELECT * FROM jsonb_to_recordset(p_effects) AS c(id uuid, response jsonb) LOOP
    IF session_user <> current_user THEN
      PERFORM moves.check_effect(e) FROM agentapp_effect e WHERE id = r.id;
    END IF;
    UPDATE agentapp_effect SET state = 'confirmed', confirmed_at = p_now, response = r.response
     WHERE id = r.id AND state <> 'confirmed';
  END LOOP;
END $$;

-- The same for an attempt that ends without a settle, because its job is no longer its own.
-- p_effects: [{id, response}].
CREATE OR REPLACE FUNCTION moves.confirm_effects(
  p_job uuid, p_token uuid, p_effects jsonb, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM moves.check_class(p_job);
  IF NOT EXISTS (SELECT 1 FROM agentapp_attempt WHERE id = p_token AND job_id = p_job)
     AND NOT EXISTS (SELECT 1 FROM agentapp_job WHERE id = p_job AND lease_token = p_token) THEN
    RETURN jsonb_build_object('status', 'refused');
  END IF;
  PERFORM moves.record_effects(p_job, p_effects, moves.moment(p_now));
  RETURN jsonb_build_object('status', 'ok');
END $$;

-- The effects that a dead letter began and nobody knows the end of. `error.effect` names one that another job began.
CREATE OR REPLACE FUNCTION moves.uncertain_effects(j agentapp_job) RETURNS SETOF agentapp_effect LANGUAGE sql STABLE AS $$
  SELECT * FROM agentapp_effect e
   WHERE e.id = ANY(ARRAY(SELECT id FROM moves.effects_of(j) UNION ALL SELECT (j.error ->> 'effect')::uuid))
     AND e.state IN ('sent', 'unknown') AND e.tenant_id = j.tenant_id
$$;

-- The effects that a job began last. The release before leaves them with the task of the line of forks that began them first.
CREATE OR REPLACE FUNCTION moves.effects_of(j agentapp_job) RETURNS SETOF agentapp_effect LANGUAGE sql STABLE AS $$
  SELECT * FROM agentapp_effect e
   WHERE e.job_id = j.id AND e.workflow_id = ANY(ARRAY(
     WITH RECURSIVE line AS (
       SELECT coalesce(root, id) AS id FROM agentapp_workflow WHERE id = j.workflow_id
       UNION SELECT w.id FROM line JOIN agentapp_workflow w ON w.forked_from = line.id)
     SELECT id FROM line UNION SELECT j.workflow_id))
$$;

-- Why a person cannot know yet what became of a dead letter's effects: null, or which of them are being sent, or may be.
-- From here on the caller holds their rows.
CREATE OR REPLACE FUNCTION moves.send_blocker(j agentapp_job, p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz;
  keys jsonb;
  until timestamptz;
  is_held boolean;
BEGIN
  PERFORM 1 FROM agentapp_effect WHERE id IN (SELECT id FROM moves.uncertain_effects(j)) ORDER BY id FOR NO KEY UPDATE;
  moment := moves.moment(p_now);
  SELECT jsonb_agg(e.key ORDER BY e.key), max(greatest(moves.arrives_until(e), e.earlier_until)),
         bool_or(moves.sent_until(e, j.id) IS NOT NULL)
    INTO keys, until, is_held FROM moves.uncertain_effects(j) e
   WHERE moves.sent_until(e, j.id) IS NOT NULL OR moves.may_hang(e, moment);
  RETURN CASE WHEN keys IS NOT NULL THEN jsonb_build_object(
    'status', CASE WHEN is_held THEN 'being sent' ELSE 'in flight' END, 'effects', keys, 'until', until) END;
END $$;
