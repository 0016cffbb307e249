-- A database that was restored from a backup, and a replica that was promoted: how they are found, and what they cannot know.

-- The number of the server, or nothing where it may not be read.
CREATE OR REPLACE FUNCTION moves.cluster() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN CASE WHEN has_function_privilege('pg_control_system()', 'execute')
              THEN (SELECT system_identifier::text FROM pg_control_system()) ELSE '' END;
END $$;

-- The timeline that this server writes, or nothing where it does not tell. A replica that is promoted begins another one. The
-- log says so at once; what pg_control_checkpoint() tells is that of the last checkpoint.
CREATE OR REPLACE FUNCTION moves.timeline() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END;
EXCEPTION WHEN OTHERS THEN
  -- A service that has no such log, and replicas that share one store: they lack nothing.
  RETURN '';
END $$;

-- Say which database this is; p_restore: the restore that is taken in by it, or none: it is set up.
CREATE OR REPLACE FUNCTION moves.know_database(p_restore bigint DEFAULT NULL, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agentapp_restore SET cluster = moves.cluster(), table_number = 'agentapp_restore'::regclass::oid::bigint,
                              timeline = moves.timeline()
   WHERE id = p_restore;
  -- A row of the release before knows no timeline.
  UPDATE agentapp_restore SET timeline = moves.timeline()
   WHERE timeline = '' AND table_number <> 0 AND id = (SELECT max(id) FROM agentapp_restore);
  INSERT INTO agentapp_restore (cluster, table_number, timeline, actor, report)
  SELECT moves.cluster(), 'agentapp_restore'::regclass::oid::bigint, moves.timeline(), '', '{}'
   WHERE NOT EXISTS (SELECT 1 FROM agentapp_restore);
  RETURN jsonb_build_object('status', 'ok');
END $$;

-- What this database is beside the one that its latest row names: a `copy`, that one `promoted` from a replica, of which
-- nobody has noted yet what it lacks, or `same`. A dump makes tables anew, which get other numbers; on another server they
-- may get the same ones.
CREATE OR REPLACE FUNCTION moves.origin() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  known agentapp_restore;
BEGIN
  SELECT * INTO known FROM agentapp_restore ORDER BY id DESC LIMIT 1;
  IF known.table_number <> 'agentapp_restore'::regclass::oid::bigint
     OR known.cluster <> '' AND moves.cluster() NOT IN ('', known.cluster) THEN
    RETURN 'copy';
  END IF;
  RETURN CASE WHEN known.timeline <> '' AND moves.timeline() NOT IN ('', known.timeline) THEN 'promoted' ELSE 'same' END;
END $$;

-- Note that a replica became this database, once: tasks from before may have sent what it lacks.
CREATE OR REPLACE FUNCTION moves.note_promotion(p_lacks_nothing boolean, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('agentapp promotion'));
  IF moves.origin() <> 'promoted' THEN
    RETURN false;
  END IF;
  -- The clock of the server before may have been ahead of this one's: it is read from what its leader wrote last.
  INSERT INTO agentapp_restore (at, cluster, table_number, timeline, actor, report)
  SELECT CASE WHEN NOT p_lacks_nothing
              THEN greatest(p_now, (SELECT max(renewed_at) FROM agentapp_dispatcherlease) + interval '5 seconds') END,
         moves.cluster(), 'agentapp_restore'::regclass::oid::bigint, moves.timeline(), 'promotion', '{}';
  RETURN true;
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
-- or a person, says that it was not. So does one that was not sent by then, as far as the ledger knows; restored_at says that
-- it was doubted already.
CREATE OR REPLACE FUNCTION moves.doubt_effect(r moves.effect_request, p_restored timestamptz, p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO agentapp_effect AS e (id, tenant_id, key, type, state, workflow_id, job_id, request_sha256, sends, returned_sends,
                               returned_at, restored_at, prepared_at, sent_at)
  VALUES (moves.effect_id(r.tenant, r.key), r.tenant, r.key, r.type, 'sent', r.workflow, r.job, r.request_sha256, 1, 1,
          p_restored, p_restored, p_now, p_restored)
  ON CONFLICT (tenant_id, key) DO UPDATE
     SET state = 'sent', sends = greatest(e.sends, 1), returned_sends = greatest(e.sends, 1), returned_at = p_restored,
         restored_at = p_restored, sender = NULL
   WHERE e.state = 'prepared' AND e.sent_at < p_restored AND coalesce(e.restored_at < p_restored, true)
$$;
