-- A database that was restored from a backup: how it is found, and what it cannot know.

-- The number of the server, or nothing where it may not be read.
CREATE OR REPLACE FUNCTION moves.cluster() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN CASE WHEN has_function_privilege('pg_control_system()', 'execute')
              THEN (SELECT system_identifier::text FROM pg_control_system()) ELSE '' END;
END $$;

-- Say which database this is; p_restore: the restore that is taken in by it, or none: it is set up.
CREATE OR REPLACE FUNCTION moves.know_database(p_restore bigint DEFAULT NULL, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_restore SET cluster = moves.cluster(), table_number = 'agentapp_restore'::regclass::oid::bigint
   WHERE id = p_restore;
  INSERT INTO agentapp_restore (cluster, table_number, actor, report)
  SELECT moves.cluster(), 'agentapp_restore'::regclass::oid::bigint, '', '{}'
   WHERE NOT EXISTS (SELECT 1 FROM agentapp_restore);
  RETURN jsonb_build_object('status', 'ok');
END $$;

-- Whether this is a copy of the database that its latest row names. A dump makes tables anew, which get other numbers; on
-- another server they may get the same ones.
CREATE OR REPLACE FUNCTION moves.is_copy() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
  known agentapp_restore;
BEGIN
  SELECT * INTO known FROM agentapp_restore ORDER BY id DESC LIMIT 1;
  RETURN coalesce(known.table_number <> 'agentapp_restore'::regclass::oid::bigint
                  OR known.cluster <> '' AND moves.cluster() NOT IN ('', known.cluster), false);
END $$;

-- The id of an effect sorts by time, and ends alike for one key of one tenant: so what was sent under a key is found in the
-- log of a provider, also where the ledger has lost the id.
CREATE OR REPLACE FUNCTION moves.effect_id(p_tenant bigint, p_key text) RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT encode(set_byte(set_byte(named, 6, get_byte(named, 6) & 15 | 112), 8, get_byte(named, 8) & 63 | 128), 'hex')::uuid
    FROM (SELECT overlay(
            substring(sha256(convert_to(p_tenant || ' ' || p_key, 'UTF8')) FROM 1 FOR 16)
            PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6) AS named) n
$$;

-- When a backup was restored since a task was begun, or one that it was forked from or is a part of: what it sends may have
-- been sent before. A task of a schedule began at the time that it stands for. Null: never.
CREATE OR REPLACE FUNCTION moves.restored_since(p_workflow uuid) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM agentapp_restore WHERE at IS NOT NULL) THEN
    RETURN NULL;
  END IF;
  RETURN (
    WITH RECURSIVE line AS (
      SELECT w.id, w.parent, w.root, w.forked_from, w.created_at FROM agentapp_workflow w WHERE w.id = p_workflow
      UNION
      SELECT w.id, w.parent, w.root, w.forked_from, w.created_at FROM line
        JOIN agentapp_workflow w ON w.id IN (line.parent, line.root, line.forked_from))
    SELECT max(r.at) FROM agentapp_restore r WHERE r.at > (
      SELECT min(least(l.created_at, (SELECT s.due_at FROM agentapp_schedulerun s WHERE s.id = l.id))) FROM line l));
END $$;

-- Begin an effect that the ledger lacks, of a task from before a backup was restored: it counts as sent until its provider,
-- or a person, says that it was not.
CREATE OR REPLACE FUNCTION moves.doubt_effect(r moves.effect_request, p_restored timestamptz, p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO agentapp_effect (id, tenant_id, key, type, state, workflow_id, job_id, request_sha256, sends, returned_sends,
                               returned_at, restored_at, prepared_at, sent_at)
  VALUES (moves.effect_id(r.tenant, r.key), r.tenant, r.key, r.type, 'sent', r.workflow, r.job, r.request_sha256, 1, 1,
          p_restored, p_restored, p_now, p_restored)
  ON CONFLICT (tenant_id, key) DO NOTHING
$$;
