-- What the role of a session may do for which jobs. The moves run with the rights of the owner of the tables, not of who calls
-- them; `session_user` is who that is.

-- The worker classes whose jobs the role of this session may act for; null: all. A role that is not known here, but may write
-- jobs itself, was made by hand and is trusted; any other may act for none.
CREATE OR REPLACE FUNCTION moves.own_classes() RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
  found_queues text[];
BEGIN
  SELECT queues INTO found_queues FROM agentapp_databaserole WHERE name = session_user::text;
  IF FOUND OR has_table_privilege(session_user, 'agentapp_job', 'UPDATE') THEN
    RETURN found_queues;
  END IF;
  RETURN '{}';
END $$;

-- The queues of which a worker may take jobs: those that it says it serves, if its role may.
CREATE OR REPLACE FUNCTION moves.served(p_queues text[]) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
  own text[];
BEGIN
  IF session_user = current_user THEN
    RETURN p_queues;
  END IF;
  own := moves.own_classes();
  RETURN CASE WHEN own IS NULL THEN p_queues ELSE ARRAY(SELECT q FROM unnest(p_queues) q WHERE q = ANY(own)) END;
END $$;

-- Refuse to act for a job of another worker class, whatever token is shown: who may read jobs sees the tokens of all.
CREATE OR REPLACE FUNCTION moves.check_class(p_job uuid) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF session_user <> current_user THEN
    PERFORM moves.check_queue((SELECT queue FROM agentapp_job WHERE id = p_job));
  END IF;
END $$;

CREATE OR REPLACE FUNCTION moves.check_queue(p_queue text) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_queue IS NOT NULL AND NOT coalesce(p_queue = ANY(moves.own_classes()), true) THEN
    RAISE EXCEPTION 'the role % may not act for jobs of the worker class %', session_user, p_queue USING ERRCODE = '42501';
  END IF;
END $$;

-- Refuse to say what became of a send of another worker class. One whose job is gone is nobody's any more.
CREATE OR REPLACE FUNCTION moves.check_effect(e agentapp_effect) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF session_user <> current_user AND e.id IS NOT NULL THEN
    PERFORM moves.check_queue(coalesce((SELECT queue FROM agentapp_job WHERE id = e.job_id), ''));
  END IF;
END $$;

-- Refuse a worker to end a task that none of its jobs runs: people, clients and the dispatcher may end all.
CREATE OR REPLACE FUNCTION moves.check_part(p_parent uuid) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
  own text[];
BEGIN
  IF session_user = current_user THEN
    RETURN;
  END IF;
  own := moves.own_classes();
  IF own <> '{}' AND NOT EXISTS (SELECT 1 FROM agentapp_job WHERE workflow_id = p_parent AND queue = ANY(own)) THEN
    RAISE EXCEPTION 'the role % may not end a task that none of its jobs runs', session_user USING ERRCODE = '42501';
  END IF;
END $$;
