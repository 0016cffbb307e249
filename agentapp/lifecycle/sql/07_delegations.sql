-- Who decides in whose place. [G2]

-- Whether a person is in one of these groups, or has a role in a tenant that is named like one.
CREATE OR REPLACE FUNCTION moves.is_in(p_user int, p_tenant bigint, p_groups jsonb) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT 1 FROM auth_user_groups m JOIN auth_group g ON g.id = m.group_id
                  WHERE m.user_id = p_user AND p_groups ? g.name)
      OR EXISTS (SELECT 1 FROM agentapp_membership m
                  WHERE m.user_id = p_user AND m.tenant_id = p_tenant AND p_groups ? m.role)
$$;

CREATE OR REPLACE FUNCTION moves.has_edited(a agentapp_approval, p_user int) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT 1 FROM agentapp_approvalvote WHERE approval_id = a.id AND has_edited AND user_id = p_user)
$$;

-- In whose place a person decides who is in none of the deciding groups: one who is, and has delegated to them until later. Null:
-- nobody's, or in their own. Who has left the tenant, only looks on there or signs in no longer delegates nothing. Who asked for the
-- task or has edited the text comes last: under four eyes nobody approves it in their place.
CREATE OR REPLACE FUNCTION moves.instead_of(t moves.task, a agentapp_approval, p_user int) RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE
  groups jsonb := moves.deciding_groups(a);
BEGIN
  IF p_user IS NULL OR groups IS NULL OR moves.is_in(p_user, t.tenant_id, groups) THEN
    RETURN NULL;
  END IF;
  RETURN (
    SELECT d.user_id FROM agentapp_delegation d JOIN auth_user u ON u.id = d.user_id AND u.is_active
     WHERE d.delegate_id = p_user AND d.tenant_id = t.tenant_id AND d.until > t.now AND moves.is_in(d.user_id, t.tenant_id, groups)
       AND (u.is_superuser OR EXISTS (SELECT 1 FROM agentapp_membership m
              WHERE m.user_id = d.user_id AND m.tenant_id = d.tenant_id AND m.role <> 'viewer'))
     ORDER BY moves.asked_for(t, d.user_id) OR moves.has_edited(a, d.user_id), d.id LIMIT 1);
END $$;
