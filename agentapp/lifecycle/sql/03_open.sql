-- Open one stage: a job, a decision, or the parts of a fan-out. moves.stage_problem has found nothing against it.

CREATE OR REPLACE FUNCTION moves.open_job(
  INOUT t moves.task, s agentapp_stage, j agentapp_job, p_bound jsonb, p_taker moves.taker
) LANGUAGE plpgsql AS $$
DECLARE
  k agentapp_job := j;
  follows boolean := coalesce(j.queue = ANY(p_taker.queues), false);
  room int := 1;
BEGIN
  IF j.id IS NULL THEN
    RAISE EXCEPTION 'the stage % has no job', s.name USING ERRCODE = 'no_data_found';
  END IF;
  t.parts_left := 1;
  k.payload := p_bound;
  k.priority := t.priority;
  IF follows THEN
    p_taker.choice := moves.choice_of(t.tenant_id, j.type, p_taker.asking);
    k.model := moves.model_of(j, p_taker, t.now);
    t.denied := coalesce(t.denied, moves.denied(t));
    IF t.denied = '' AND moves.may_follow(p_taker.done, k, t.now) THEN
      t := moves.start_job(t, j, k, p_taker);
      RETURN;
    END IF;
  ELSE
    room := moves.room_for_stage(t, s, 1);
  END IF;
  k := moves.entering(k, 'available', t.now);
  k.publishes := room;
  k.published_at := CASE WHEN room > 0 THEN t.now END;
  t := moves.move_job(t, j, k, '');
  t.opened := jsonb_build_array(moves.link(k) || jsonb_build_object('follows', follows));
END $$;

-- A person is asked, unless the policy that asks lets this one pass.
CREATE OR REPLACE FUNCTION moves.open_decision(INOUT t moves.task, s agentapp_stage, p_bound jsonb) LANGUAGE plpgsql AS $$
DECLARE
  p agentapp_approvalpolicy := moves.policy_for(t, p_bound -> 'content');
  passes boolean := moves.passes_unasked(t, p, p_bound);
  a agentapp_approval;
BEGIN
  a.stage_id := s.id;
  a.content := p_bound -> 'content';
  a.content_sha256 := p_bound ->> 'content_sha256';
  a.draft := a.content;
  a.sources := coalesce(p_bound -> 'sources', '[]');
  a.evaluation := p_bound -> 'evaluation';
  a.risk := coalesce(p_bound ->> 'risk', t.risk);
  a.expires_at := t.now + make_interval(secs => coalesce(p.deadline_s, (p_bound ->> 'expires_in_s')::float));
  a.policy := CASE WHEN p.id IS NOT NULL THEN to_jsonb(p) - '{tenant_id,note,updated_at}'::text[] END;
  a := moves.ask(t, a);
  t := moves.note(t, 'approval', a.id, '', 'pending', '');
  IF passes THEN
    t := moves.record_decision(t, a, 'approved', NULL, NULL, 'not in the sample of the policy ' || p.name, false);
    t.parts_left := 0;
    t := moves.repeat(t, s, NULL);
  ELSE
    t.parts_left := 1;
    t := moves.set_state(t, 'awaiting_approval', 'a person must decide');
  END IF;
END $$;

-- One job for each element, in one statement: a loop took quadratic time (10,000 parts: 15 s). `published`: which of them, where
-- their elements name queues and tools of their own; else the first ones.
CREATE OR REPLACE FUNCTION moves.open_fan_out(INOUT t moves.task, s agentapp_stage, p_bound jsonb, p_elements jsonb)
LANGUAGE plpgsql AS $$
DECLARE
  n int := jsonb_array_length(p_elements);
  published boolean[] := CASE WHEN s.spec ?| '{queue_from,tool_from}' THEN moves.published_parts(t, s, p_elements) END;
  room int := CASE WHEN published IS NULL THEN moves.room_for_stage(t, s, n)
                   ELSE cardinality(array_positions(published, true)) END;
  fresh moves.event[];
BEGIN
  t.parts_left := CASE WHEN s.spec -> 'join' ->> 'rule' = 'at_least' THEN least((s.spec -> 'join' ->> 'n')::int, n) ELSE n END;
  t.held := greatest(0, n - room);
  t.jobs_total := t.jobs_total + n;
  WITH made AS (
    INSERT INTO agentapp_job AS j (
      id, workflow_id, stage_id, tenant_id, type, queue, model, tool, state, part, payload, priority, attempt,
      max_attempts, timeout_s, worker, publishes, available_at, published_at)
    SELECT moves.uuid7(), t.id, s.id, t.tenant_id, s.job_type, moves.queue_of(s, e.value), coalesce(s.spec ->> 'model', ''),
           moves.tool_of(s, e.value), 'available', e.n - 1, p_bound || jsonb_build_object(s.spec ->> 'each', e.value),
           t.priority, 0, (s.spec ->> 'max_attempts')::int, (s.spec ->> 'timeout_s')::int, '', p.now::int, t.now,
           CASE WHEN p.now THEN t.now END
      FROM jsonb_array_elements(p_elements) WITH ORDINALITY e(value, n)
     CROSS JOIN LATERAL (SELECT CASE WHEN published IS NULL THEN e.n <= room ELSE published[e.n::int] END AS now) p
    RETURNING j.id, j.part, CASE WHEN j.published_at IS NOT NULL THEN moves.link(j) END AS link)
  SELECT array_agg(ROW('job', id, '', 'available', '', NULL)::moves.event ORDER BY part),
         coalesce(jsonb_agg(link ORDER BY part) FILTER (WHERE link IS NOT NULL), '[]')
    INTO fresh, t.opened FROM made;
  t.log := t.log || fresh;
END $$;

-- How many of n jobs of a stage are published at once.
CREATE OR REPLACE FUNCTION moves.room_for_stage(t moves.task, s agentapp_stage, p_n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RETURN moves.room(s.spec ->> 'queue', s.job_type, t.tenant_id, coalesce(s.spec ->> 'model', ''),
                    coalesce(s.spec ->> 'tool', ''), p_n, t.state <> 'pending', t.now);
END $$;
