-- Who has claimed an approval, and until when it is snoozed. Advice for people: it decides nothing, and stops nobody.

-- p_what: claim (for p_for_s; by another person whom p_user assigns it to: p_person; what somebody else holds only with p_takes_over), release, or snooze (until p_until; null: no
-- longer); the first and the last only by who may decide. Each is noted once: who claims again what is their own only prolongs it.
CREATE OR REPLACE FUNCTION moves.assign(
  p_workflow uuid, p_approval uuid, p_actor text, p_user int, p_api_key bigint, p_what text, p_for_s float DEFAULT NULL,
  p_until timestamptz DEFAULT NULL, p_takes_over boolean DEFAULT false, p_person int DEFAULT NULL, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
  a agentapp_approval;
  holder int := coalesce(p_person, p_user);
  key bigint := CASE WHEN p_person IS NULL THEN p_api_key END;
  is_mine boolean;
  refusal jsonb;
BEGIN
  SELECT * INTO a FROM agentapp_approval WHERE id = p_approval AND workflow_id = t.id FOR NO KEY UPDATE;
  IF a.state IS DISTINCT FROM 'pending' THEN
    RETURN jsonb_build_object('status', 'decided', 'state', coalesce(a.state, 'deleted'));
  END IF;
  refusal := moves.assign_refused(t, a, p_user, p_api_key, p_what, p_person);
  IF refusal IS NOT NULL THEN
    RETURN refusal;
  END IF;
  is_mine := coalesce(a.claimed_by_user_id = holder OR a.claimed_by_key_id = key, false);
  IF p_what = 'claim' AND a.claimed_until > t.now AND NOT is_mine AND NOT p_takes_over THEN
    RETURN jsonb_build_object('status', 'claimed', 'until', a.claimed_until);
  ELSIF p_what = 'snooze' AND (p_until <= t.now OR p_until >= a.expires_at) THEN
    RETURN jsonb_build_object('status', 'not then', 'until', a.expires_at);
  END IF;
  IF moves.is_news(a, p_what, is_mine, p_until, t.now) THEN
    t := moves.note(t, 'approval', a.id, 'pending', 'pending', moves.assigned(p_what, p_until, p_person));
  END IF;
  UPDATE agentapp_approval
     SET claimed_by_user_id = CASE p_what WHEN 'claim' THEN holder WHEN 'snooze' THEN claimed_by_user_id END,
         claimed_by_key_id = CASE p_what WHEN 'claim' THEN key WHEN 'snooze' THEN claimed_by_key_id END,
         claimed_at = CASE p_what WHEN 'claim' THEN t.now WHEN 'snooze' THEN claimed_at END,
         claimed_until = CASE p_what WHEN 'claim' THEN t.now + make_interval(secs => p_for_s)
                                     WHEN 'snooze' THEN claimed_until END,
         snoozed_until = CASE p_what WHEN 'snooze' THEN p_until WHEN 'claim' THEN NULL ELSE snoozed_until END
   WHERE id = a.id AND state = 'pending';
  RETURN moves.saved(t);
END $$;

-- The answer to who may not do that, or not for this person; null: they may. Releasing is open to all.
CREATE OR REPLACE FUNCTION moves.assign_refused(
  t moves.task, a agentapp_approval, p_user int, p_api_key bigint, p_what text, p_person int
) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce(
    CASE WHEN p_what <> 'release' THEN moves.outsider(t, a, p_user, p_api_key) END,
    CASE WHEN p_person IS NOT NULL THEN moves.outsider(t, a, p_person, NULL) || '{"of": "person"}' END);
END $$;

CREATE OR REPLACE FUNCTION moves.is_news(a agentapp_approval, p_what text, p_is_mine boolean, p_until timestamptz, p_now timestamptz)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_what WHEN 'claim' THEN NOT p_is_mine OR a.claimed_until <= p_now
                     WHEN 'release' THEN a.claimed_until IS NOT NULL
                     ELSE a.snoozed_until IS DISTINCT FROM p_until END
$$;

-- What a history says of it.
CREATE OR REPLACE FUNCTION moves.assigned(p_what text, p_until timestamptz, p_person int) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE p_what WHEN 'claim' THEN coalesce('assigned to ' || (SELECT username FROM auth_user WHERE id = p_person), 'claimed')
                     WHEN 'release' THEN 'released'
                     ELSE coalesce('snoozed until ' || to_char(p_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'),
                                   'no longer snoozed') END
$$;
