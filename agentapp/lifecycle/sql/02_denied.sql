-- Whether the principal of a task may act: as it is now, not as it was at submission. [INV6] [H3]

CREATE OR REPLACE FUNCTION moves.denied(t moves.task) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN moves.denial(t.tenant_id, t.api_key_id, t.user_id, t.now);
END $$;

-- Why this principal may not act for a tenant; empty: it may. Who submits a task holds tasks:write. A member without a role, which
-- the release before wrote, may do what Django's permissions say: those are asked where a body needs a scope.
CREATE OR REPLACE FUNCTION moves.denial(p_tenant bigint, p_api_key bigint, p_user int, p_now timestamptz) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce((
    SELECT CASE
             WHEN n.suspended_at <= p_now THEN 'the tenant is suspended'
             WHEN k.revoked_at <= p_now THEN 'the API key of the task was revoked'
             WHEN k.expires_at <= p_now THEN 'the API key of the task has expired'
             WHEN NOT 'tasks:write' = ANY(k.scopes) THEN 'the API key of the task does not hold tasks:write any more'
             WHEN NOT u.is_active THEN 'the person who submitted the task is no longer active'
             WHEN u.is_superuser THEN NULL
             WHEN u.id IS NOT NULL AND m.id IS NULL
               THEN 'the person who submitted the task is no longer a member of the tenant'
             WHEN m.role NOT IN ('', 'operator', 'administrator')
               THEN format('the person who submitted the task is %s now, which does not hold tasks:write', m.role)
           END
      FROM agentapp_tenant n
      LEFT JOIN agentapp_apikey k ON k.id = p_api_key
      LEFT JOIN auth_user u ON u.id = p_user
      LEFT JOIN agentapp_membership m ON m.user_id = p_user AND m.tenant_id = p_tenant
     WHERE n.id = p_tenant), '');
END $$;

-- The same of a task at this moment, without its lock.
CREATE OR REPLACE FUNCTION moves.denied_now(p_workflow uuid, p_now timestamptz) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT moves.denial(tenant_id, api_key_id, user_id, p_now) FROM agentapp_workflow WHERE id = p_workflow);
END $$;

-- What is known of an effect whose task may not act any more. Nothing more is sent: what was not, or has proven not to be, stays so.
CREATE OR REPLACE FUNCTION moves.denied_effect(r moves.effect_request, p_why text, p_now timestamptz) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
  -- What this attempt began before, and may not know, is its own to end.
  IF EXISTS (SELECT 1 FROM agentapp_effect WHERE tenant_id = r.tenant AND key = r.key
                                             AND (state = 'confirmed' OR sender = r.token)) THEN
    RETURN moves.begin_again(r, p_now);
  END IF;
  RETURN jsonb_build_object('status', 'denied', 'why', p_why);
END $$;
