-- Votes: what each person has said of one revision of an approval. As many equal ones as its policy asks for approve it. [G2]

-- Tell whether somebody has voted so before: a second click changes nothing, also where theirs was the last vote that was
-- missing. Only where several must vote: else every second decision is refused.
CREATE OR REPLACE FUNCTION moves.has_voted(a agentapp_approval, p_to text, p_sha256 text, p_user int, p_api_key bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN p_to = 'approved' AND coalesce((a.policy ->> 'quorum')::int, 1) > 1 AND a.state IN ('pending', 'approved')
     AND EXISTS (SELECT 1 FROM agentapp_approvalvote v
                  WHERE v.approval_id = a.id AND v.revision = a.revision AND v.decision = 'approved'
                    AND v.content_sha256 = p_sha256 AND a.content_sha256 = p_sha256
                    AND (v.user_id = p_user OR v.api_key_id = p_api_key));
END $$;

-- Count a vote, and return the approval as it is then. An edit makes the next revision, of which nobody has said anything
-- yet; under four eyes its author does not approve it.
CREATE OR REPLACE FUNCTION moves.vote(
  t moves.task, a agentapp_approval, p_to text, p_user int, p_api_key bigint, p_reason text, p_content jsonb, p_new_sha256 text
) RETURNS agentapp_approval LANGUAGE plpgsql AS $$
DECLARE
  edits boolean := coalesce(p_new_sha256 <> a.content_sha256, false);
  instead_of int := moves.instead_of(t, a, p_user);
  said text := CASE WHEN edits AND coalesce((a.policy -> 'four_eyes')::boolean, false) THEN 'edited' ELSE p_to END;
BEGIN
  IF edits THEN
    UPDATE agentapp_approval SET content = p_content, content_sha256 = p_new_sha256, revision = revision + 1
     WHERE id = a.id AND state = 'pending' RETURNING * INTO STRICT a;
  END IF;
  INSERT INTO agentapp_approvalvote (
    approval_id, revision, user_id, for_user_id, api_key_id, decision, content_sha256, has_edited, reason, at)
  VALUES (a.id, a.revision, p_user, instead_of, p_api_key, said, a.content_sha256, edits, coalesce(p_reason, ''), t.now)
  ON CONFLICT ON CONSTRAINT approval_vote_once
  DO UPDATE SET decision = said, for_user_id = instead_of, reason = EXCLUDED.reason, at = EXCLUDED.at;
  UPDATE agentapp_approval
     SET votes_missing = greatest(0, coalesce((a.policy ->> 'quorum')::int, 1) - moves.votes_that_count(a))
   WHERE id = a.id AND state = 'pending' RETURNING * INTO STRICT a;
  RETURN a;
END $$;

-- How many have approved this revision. Who decides in the place of another is one with them: a person who delegates gives no
-- second vote. Those whose account is no longer active, or that of whom they stood for, do not count.
CREATE OR REPLACE FUNCTION moves.votes_that_count(a agentapp_approval) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT count(DISTINCT (coalesce(v.for_user_id, v.user_id), v.api_key_id)) FROM agentapp_approvalvote v
     WHERE v.approval_id = a.id AND v.revision = a.revision AND v.decision = 'approved'
       AND NOT EXISTS (SELECT 1 FROM auth_user u WHERE u.id IN (v.user_id, v.for_user_id) AND NOT u.is_active));
END $$;

-- What a history says of a vote that has not decided.
CREATE OR REPLACE FUNCTION moves.voted(a agentapp_approval, p_sha256 text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN a.content_sha256 <> p_sha256 THEN 'edited; ' ELSE 'approved by one person; ' END
         || 'still missing: ' || a.votes_missing
$$;

-- What is asked again has the same authors as before.
CREATE OR REPLACE FUNCTION moves.remember_editors(a agentapp_approval, p_before uuid, p_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_approvalvote (approval_id, revision, user_id, api_key_id, decision, content_sha256, has_edited, reason, at)
  SELECT DISTINCT a.id, 0, user_id, api_key_id, 'edited', a.content_sha256, true, '', p_at
    FROM agentapp_approvalvote WHERE approval_id = p_before AND has_edited;
END $$;
