-- The way that a task has gone through its plan, and going round again.

-- The latest stage of that name up to p_last, but none that was superseded; null where there is none.
CREATE OR REPLACE FUNCTION moves.latest(p_workflow uuid, p_name text, p_last int) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
  -- Backwards from there: in a loop it is near, however many rounds there were.
  RETURN (SELECT position FROM agentapp_stage
           WHERE workflow_id = p_workflow AND name = p_name AND position <= p_last AND NOT spec ? 'superseded'
           ORDER BY position DESC LIMIT 1);
END $$;

-- The way from position p_first to position p_last as the plan has it: each stage once, in its latest round, without
-- what was superseded. (What lies between may hold several rounds of a loop.)
CREATE OR REPLACE FUNCTION moves.path(p_workflow uuid, p_first int, p_last int) RETURNS int[] LANGUAGE plpgsql STABLE AS $$
DECLARE
  s record;
  way int[] := '{}';
  names text[] := '{}';
  before int;
BEGIN
  FOR s IN SELECT position, name FROM agentapp_stage
            WHERE workflow_id = p_workflow AND position BETWEEN p_first AND p_last AND NOT spec ? 'superseded'
            ORDER BY position LOOP
    before := array_position(names, s.name::text);
    IF before IS NOT NULL THEN
      way := way[1:before - 1];
      names := names[1:before - 1];
    END IF;
    way := way || s.position::int;
    names := names || s.name::text;
  END LOOP;
  RETURN way;
END $$;

CREATE OR REPLACE FUNCTION moves.stage_names(p_workflow uuid, p_positions int[]) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT coalesce(jsonb_agg(name ORDER BY position), '[]') FROM agentapp_stage
   WHERE workflow_id = p_workflow AND position = ANY(p_positions)
$$;

-- From which stages a dead letter can be replayed: none once the task has gone on without it.
CREATE OR REPLACE FUNCTION moves.stages_before(p_job uuid, p_now timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('stages', coalesce((
    SELECT moves.stage_names(s.workflow_id, moves.path(s.workflow_id, 1, s.position)) FROM agentapp_job j
      JOIN agentapp_stage s ON s.id = j.stage_id JOIN agentapp_workflow w ON w.id = j.workflow_id
     WHERE j.id = p_job AND s.position = w.position AND w.finished_at IS NULL), '[]'))
$$;

-- Go round again: copy the way from the latest p_back_to up to position p_after, and put the copies behind it. Their round is
-- p_round; without one each stays in its own. Loops within this one begin anew.
CREATE OR REPLACE FUNCTION moves.go_back(INOUT t moves.task, p_after int, p_back_to text, p_round int)
LANGUAGE plpgsql AS $$
DECLARE
  first int := moves.latest(t.id, p_back_to, p_after);
  way int[] := moves.path(t.id, first, p_after);
  n int := cardinality(way);
BEGIN
  UPDATE agentapp_stage SET position = position + n WHERE workflow_id = t.id AND position > p_after;
  INSERT INTO agentapp_stage (workflow_id, position, name, kind, job_type, round, spec)
  SELECT t.id, p_after + u.place, s.name, s.kind, s.job_type,
         CASE WHEN p_round IS NULL THEN s.round WHEN s.spec ? 'repeat' AND s.position <> p_after THEN 0 ELSE p_round END,
         s.spec - '{unopened,skipped}'::text[]
    FROM unnest(way) WITH ORDINALITY AS u(position, place)
    -- The bounds are for the planner, which would read the stages of all rounds.
    JOIN agentapp_stage s ON s.workflow_id = t.id AND s.position = u.position AND s.position BETWEEN first AND p_after
   ORDER BY u.place;
  t.stages_total := t.stages_total + n;
  t := moves.plan_jobs(t, p_after + 1, p_after + n);
END $$;
