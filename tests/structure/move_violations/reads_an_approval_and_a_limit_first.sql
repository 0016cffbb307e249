-- 2
CREATE OR REPLACE FUNCTION moves.early(p_approval uuid, p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  a agentapp_approval;
  held int;
BEGIN
  SELECT * INTO STRICT a FROM agentapp_approval WHERE id = p_approval;
  SELECT waiting INTO held FROM agentapp_limit WHERE key = 'global';
  PERFORM 1 FROM agentapp_workflow WHERE id = a.workflow_id FOR SHARE;
  RETURN '{}';
END $$;
