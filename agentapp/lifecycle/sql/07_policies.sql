-- Policies of approvals: which one asks, and who may decide. [G2]

-- What an approval is about, as policies/content.py says it: what has a recipient is a mail.
CREATE OR REPLACE FUNCTION moves.content_kind(p_content jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_content ? 'calls' THEN 'tool_arguments' WHEN p_content ? 'budget' THEN 'budget'
              WHEN p_content ? 'to' THEN 'mail' ELSE 'other' END
$$;

-- The most specific policy that fits, or null. An underscore of a pattern stands for itself, a star for any text.
CREATE OR REPLACE FUNCTION moves.policy_for(t moves.task, p_content jsonb) RETURNS agentapp_approvalpolicy
LANGUAGE plpgsql STABLE AS $$
DECLARE
  found agentapp_approvalpolicy;
BEGIN
  SELECT * INTO found FROM agentapp_approvalpolicy
   WHERE (tenant_id IS NULL OR tenant_id = t.tenant_id)
     AND (kind = '' OR t.kind LIKE replace(replace(kind, '_', '\_'), '*', '%'))
     AND content_kind IN ('', moves.content_kind(p_content))
   ORDER BY tenant_id IS NULL, kind = '', strpos(kind, '*') > 0, length(replace(kind, '*', '')) DESC, content_kind = '', id
   LIMIT 1;
  RETURN found;
END $$;

-- Put a question to people, by the rules of the policy that it carries. Returns it as it stands in its row.
CREATE OR REPLACE FUNCTION moves.ask(t moves.task, a agentapp_approval) RETURNS agentapp_approval LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_approval (
    id, workflow_id, stage_id, tenant_id, state, content, content_sha256, draft, sources, evaluation, risk, approved_sha256,
    reason, created_at, expires_at, policy, revision, votes_missing, remind_at, escalate_at,
    priority, mail_at, job_id, ask_key, asked_sha256, asked_replay, summary)
  VALUES (
    moves.uuid7(), t.id, a.stage_id, t.tenant_id, 'pending', a.content, a.content_sha256, a.draft, a.sources, a.evaluation,
    a.risk, '', '', t.now, a.expires_at, a.policy, 0, coalesce((a.policy ->> 'quorum')::int, 0),
    t.now + make_interval(secs => (a.policy ->> 'remind_after_s')::float),
    t.now + make_interval(secs => (a.policy ->> 'escalate_after_s')::float), t.priority,
    CASE WHEN (a.policy -> 'mails_approvers')::boolean THEN t.now END,
    a.job_id, coalesce(a.ask_key, ''), coalesce(a.asked_sha256, ''), coalesce(a.asked_replay, 0), coalesce(a.summary, ''))
  RETURNING * INTO STRICT a;
  RETURN a;
END $$;

-- Tell whether a policy lets a request pass that its sample leaves out. Only a mail whose stage says that its risk is low and that
-- its evaluation passed, and about whose task nobody was asked before: what is not said is not known, and a fork is a second
-- question. The same task is decided equally each time. p_job: the job that asks, which is then asked about by itself.
CREATE OR REPLACE FUNCTION moves.passes_unasked(
  t moves.task, policy agentapp_approvalpolicy, p_bound jsonb, p_job uuid DEFAULT NULL
) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce(
    policy.sample_percent < 100 AND moves.content_kind(p_bound -> 'content') = 'mail'
    AND p_bound ->> 'risk' = 'low' AND coalesce(nullif(t.risk, ''), 'low') = 'low'
    AND p_bound #>> '{evaluation,verdict}' = 'pass'
    AND t.root IS NULL
    AND NOT EXISTS (SELECT 1 FROM agentapp_approval WHERE workflow_id = t.id AND (p_job IS NULL OR job_id = p_job))
    AND ('x' || left(md5(coalesce(p_job, t.id)::text), 8))::bit(32)::bigint % 100 >= policy.sample_percent, false);
END $$;

-- Whether somebody asked for a task, or for one that it is a fork or a part of.
CREATE OR REPLACE FUNCTION moves.asked_for(t moves.task, p_user int) RETURNS boolean LANGUAGE sql STABLE AS $$
  WITH RECURSIVE line AS (
    SELECT w.user_id, w.forked_from, w.parent FROM agentapp_workflow w WHERE w.id = t.id
    UNION
    SELECT w.user_id, w.forked_from, w.parent FROM line l JOIN agentapp_workflow w ON w.id = ANY (ARRAY[l.forked_from, l.parent]))
  SELECT EXISTS (SELECT 1 FROM line WHERE user_id = p_user)
$$;

-- Why a person, or a key, may not decide so: empty, or `group`, `key`, `creator`, `editor` or `lent`. Rules are those of the question.
CREATE OR REPLACE FUNCTION moves.may_not_decide(
  t moves.task, a agentapp_approval, p_to text, p_edits boolean, p_user int, p_api_key bigint
) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  groups jsonb := moves.deciding_groups(a);
  four_eyes boolean := coalesce((a.policy -> 'four_eyes')::boolean, false);
  instead_of int := moves.instead_of(t, a, p_user);
BEGIN
  IF groups IS NOT NULL AND NOT moves.is_in(p_user, t.tenant_id, groups) AND instead_of IS NULL THEN
    RETURN 'group';
  ELSIF p_to <> 'approved' THEN
    RETURN '';
  -- One person may hold several keys.
  ELSIF p_api_key IS NOT NULL AND (four_eyes OR (a.policy ->> 'quorum')::int > 1) THEN
    RETURN 'key';
  ELSIF p_edits OR NOT four_eyes THEN
    RETURN '';
  ELSIF moves.asked_for(t, p_user) THEN
    RETURN 'creator';
  ELSIF moves.has_edited(a, p_user) THEN
    RETURN 'editor';
  ELSIF moves.asked_for(t, instead_of) OR moves.has_edited(a, instead_of) THEN
    RETURN 'lent';
  END IF;
  RETURN '';
END $$;

-- The roles and groups whose members decide an approval, or null: all who have the right to.
CREATE OR REPLACE FUNCTION moves.deciding_groups(a agentapp_approval) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN a.policy -> 'approvers' <> '[]' THEN a.policy -> 'approvers'
           || CASE WHEN a.escalated_at IS NULL THEN '[]' ELSE a.policy -> 'escalate_to' END END
$$;

-- The answer to somebody who may decide nothing about an approval, or null: they may.
CREATE OR REPLACE FUNCTION moves.outsider(t moves.task, a agentapp_approval, p_user int, p_api_key bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
  rule text := moves.may_not_decide(t, a, 'rejected', false, p_user, p_api_key);
BEGIN
  RETURN CASE WHEN rule <> '' THEN jsonb_build_object('status', 'not allowed', 'rule', rule) END;
END $$;

-- Why a decision is not taken: null, or the answer that says so.
CREATE OR REPLACE FUNCTION moves.decision_refused(
  t moves.task, a agentapp_approval, s agentapp_stage, p_to text, p_content_sha256 text, p_new_sha256 text, p_user int,
  p_api_key bigint
) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  rule text;
BEGIN
  IF a.id IS NULL THEN
    RETURN jsonb_build_object('status', 'decided', 'state', 'deleted');
  ELSIF NOT moves.is_asked(t, a) THEN
    RETURN jsonb_build_object('status', CASE a.state WHEN 'pending' THEN 'not asked' ELSE 'decided' END, 'state', a.state);
  ELSIF a.expires_at <= t.now THEN
    RETURN jsonb_build_object('status', 'expired', 'state', a.state);
  ELSIF a.content_sha256 <> p_content_sha256 THEN
    RETURN jsonb_build_object('status', 'changed', 'state', a.state);
  END IF;
  rule := moves.may_not_decide(t, a, p_to, p_new_sha256 <> p_content_sha256, p_user, p_api_key);
  IF rule <> '' THEN
    RETURN jsonb_build_object('status', 'not allowed', 'state', a.state, 'rule', rule);
  ELSIF p_to = 'changes_requested' AND a.job_id IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'no way back', 'state', a.state);
  ELSIF p_to = 'changes_requested' AND NOT moves.can_go_back(t.id, s.position, s.spec ->> 'back_to') THEN
    RETURN jsonb_build_object('status', 'no way back', 'state', a.state, 'stage', s.spec ->> 'back_to');
  END IF;
  RETURN NULL;
END $$;
