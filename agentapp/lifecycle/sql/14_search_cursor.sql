-- Which tasks the search index takes next: what committed since its last look, read as the live list of tasks reads it
-- (events_live.py), then those from before.

-- Lock the row of the cursor; false while another dispatcher holds it. Where there is none, or it is of another database
-- (one that was restored), the index begins now, and all that is older follows.
CREATE OR REPLACE FUNCTION moves.lock_search_cursor() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  c record;
BEGIN
  -- What a crash forgets of the index it forgets of the cursor too.
  PERFORM set_config('synchronous_commit', 'off', true);
  IF NOT EXISTS (SELECT 1 FROM agentapp_searchcursor WHERE id = 1) THEN
    INSERT INTO agentapp_searchcursor (id, seen, older_than, passed_over)
    VALUES (1, pg_current_snapshot()::text, 'ffffffff-ffff-ffff-ffff-ffffffffffff', '{}') ON CONFLICT DO NOTHING;
  END IF;
  SELECT * INTO c FROM agentapp_searchcursor WHERE id = 1 FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  IF pg_snapshot_xmax(c.seen::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot()) THEN
    UPDATE agentapp_searchcursor SET seen = pg_current_snapshot()::text, until = NULL, after_xid = NULL, after_task = NULL,
           older_than = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
     WHERE id = 1;
  END IF;
  RETURN true;
END $$;

-- Index up to p_limit tasks whose words may have changed. p_apart: only write them down as passed over, because they could
-- not be indexed together.
CREATE OR REPLACE FUNCTION moves.index_changes(p_limit int, p_apart boolean, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  c record;
  found record;
  now_seen pg_snapshot;
  is_all boolean;
BEGIN
  IF NOT moves.lock_search_cursor() THEN
    RETURN jsonb_build_object('status', 'ok', 'moved', 0);
  END IF;
  SELECT * INTO c FROM agentapp_searchcursor WHERE id = 1;
  IF cardinality(c.passed_over) >= 10000 THEN
    RETURN jsonb_build_object('status', 'ok', 'moved', 0, 'passed_over', c.passed_over);
  END IF;
  now_seen := coalesce(c.until::pg_snapshot, pg_current_snapshot());
  SELECT * INTO found FROM moves.changed_tasks(c.seen::pg_snapshot, now_seen, c.after_xid::xid8, c.after_task, p_limit);
  is_all := found.count < p_limit;
  c.passed_over := c.passed_over || CASE WHEN p_apart THEN found.tasks ELSE moves.index_tasks(found.tasks) END;
  UPDATE agentapp_searchcursor x SET
    seen = CASE WHEN is_all THEN now_seen::text ELSE x.seen END, until = CASE WHEN NOT is_all THEN now_seen::text END,
    after_xid = CASE WHEN NOT is_all THEN found.last_xid::text END,
    after_task = CASE WHEN NOT is_all THEN found.tasks[p_limit] END, passed_over = c.passed_over
   WHERE x.id = 1 AND (NOT is_all OR x.seen <> now_seen::text);
  RETURN jsonb_build_object('status', 'ok', 'moved', found.count, 'passed_over', c.passed_over);
END $$;

-- The first p_limit tasks that p_until sees to have changed and p_seen does not, behind a place; in order. Only changes by
-- which the words may be others.
CREATE OR REPLACE FUNCTION moves.changed_tasks(
  p_seen pg_snapshot, p_until pg_snapshot, p_after_xid xid8, p_after_task uuid, p_limit int,
  OUT tasks uuid[], OUT last_xid xid8, OUT count int
) LANGUAGE plpgsql STABLE AS $$
BEGIN
  SELECT coalesce(array_agg(p.workflow_id ORDER BY p.xid, p.workflow_id), '{}'), max(p.xid), count(*)
    INTO tasks, last_xid, count
    FROM (SELECT DISTINCT e.xid, e.workflow_id FROM agentapp_history e
           WHERE e.noun <> 'job' AND e.noun = 'workflow' AND e.xid IS NOT NULL
             AND e.xid >= pg_snapshot_xmin(p_seen) AND e.xid < pg_snapshot_xmax(p_until)
             AND NOT pg_visible_in_snapshot(e.xid, p_seen) AND pg_visible_in_snapshot(e.xid, p_until)
             AND (p_after_xid IS NULL OR (e.xid, e.workflow_id) > (p_after_xid, p_after_task))
             AND (e.from_state IN ('', 'needs_attention')
                  OR e.to_state IN ('completed', 'failed', 'cancelled', 'needs_attention'))
           ORDER BY e.xid, e.workflow_id LIMIT p_limit) p;
END $$;

-- Index one task that was passed over. Waits for its row, and raises where it cannot be indexed.
CREATE OR REPLACE FUNCTION moves.index_again(p_task uuid, p_now timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF NOT moves.lock_search_cursor() THEN
    RETURN jsonb_build_object('status', 'ok', 'moved', 0);
  END IF;
  PERFORM 1 FROM agentapp_workflow WHERE id = p_task FOR KEY SHARE;
  PERFORM moves.index_tasks(ARRAY[p_task]);
  UPDATE agentapp_searchcursor SET passed_over = array_remove(passed_over, p_task) WHERE id = 1;
  RETURN jsonb_build_object('status', 'ok', 'moved', 1);
END $$;

-- Index the next p_limit tasks from before the index, the newest first. p_apart as above.
CREATE OR REPLACE FUNCTION moves.index_older(p_limit int, p_apart boolean, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  c record;
  tasks uuid[];
BEGIN
  IF NOT moves.lock_search_cursor() THEN
    RETURN jsonb_build_object('status', 'ok', 'moved', 0);
  END IF;
  SELECT * INTO c FROM agentapp_searchcursor WHERE id = 1;
  IF c.older_than IS NULL OR cardinality(c.passed_over) >= 10000 THEN
    RETURN jsonb_build_object('status', 'ok', 'moved', 0);
  END IF;
  tasks := ARRAY(SELECT id FROM agentapp_workflow WHERE id < c.older_than ORDER BY id DESC LIMIT p_limit);
  UPDATE agentapp_searchcursor SET
    passed_over = passed_over || CASE WHEN p_apart THEN tasks ELSE moves.index_tasks(tasks) END,
    older_than = CASE WHEN cardinality(tasks) = p_limit THEN tasks[p_limit] END
   WHERE id = 1;
  RETURN jsonb_build_object('status', 'ok', 'moved', cardinality(tasks));
END $$;
