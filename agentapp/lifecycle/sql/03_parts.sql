-- Parts of a fan-out whose elements name their queue or their tool.

CREATE OR REPLACE FUNCTION moves.queue_of(s agentapp_stage, p_element jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN s.spec ? 'queue_from' THEN p_element ->> (s.spec ->> 'queue_from') ELSE s.spec ->> 'queue' END
$$;

CREATE OR REPLACE FUNCTION moves.tool_of(s agentapp_stage, p_element jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN s.spec ? 'tool_from' THEN p_element ->> (s.spec ->> 'tool_from') ELSE coalesce(s.spec ->> 'tool', '') END
$$;

-- What is wrong with the queue or the tool that an element names: null, or a sentence. The queues that a part may have were
-- frozen with the plan: those whose workers hold what the job type needs.
CREATE OR REPLACE FUNCTION moves.part_problem(s agentapp_stage, p_elements jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  bad record;
BEGIN
  SELECT e.n, e.value -> (s.spec ->> 'queue_from') AS queue, e.value -> (s.spec ->> 'tool_from') AS tool, wrong.* INTO bad
    FROM jsonb_array_elements(p_elements) WITH ORDINALITY e(value, n) CROSS JOIN LATERAL (
      SELECT s.spec ? 'queue_from' AND NOT coalesce(s.spec -> 'queues' ? (e.value ->> (s.spec ->> 'queue_from')), false)
               AS is_queue_wrong,
             s.spec ? 'tool_from' AND NOT (coalesce(jsonb_typeof(e.value -> (s.spec ->> 'tool_from')), '') = 'string'
               AND length(e.value ->> (s.spec ->> 'tool_from')) BETWEEN 1 AND 100) AS is_tool_wrong) wrong
   WHERE is_queue_wrong OR is_tool_wrong ORDER BY e.n LIMIT 1;
  IF NOT FOUND THEN
    RETURN NULL;
  ELSIF bad.is_queue_wrong THEN
    RETURN format('part %s of %s names the queue %s; it must be one of %s', bad.n, s.name,
                  coalesce(left(bad.queue #>> '{}', 40), 'nothing'),
                  (SELECT string_agg(name, ', ') FROM jsonb_array_elements_text(s.spec -> 'queues') name));
  END IF;
  RETURN format('part %s of %s names the tool %s; it must be a text of 1 to 100 characters', bad.n, s.name,
                coalesce(left(bad.tool #>> '{}', 40), 'nothing'));
END $$;

-- Give a part another payload. Its queue and its tool are what that says; a checkpoint belongs to the payload that it was made
-- of.
CREATE OR REPLACE FUNCTION moves.edit_payload(INOUT j agentapp_job, p_payload jsonb) LANGUAGE plpgsql AS $$
DECLARE
  s agentapp_stage;
  why text;
BEGIN
  SELECT * INTO s FROM agentapp_stage WHERE id = j.stage_id;
  j.payload := p_payload;
  IF s.spec ?| '{queue_from,tool_from}' THEN
    why := moves.part_problem(s, jsonb_build_array(p_payload -> (s.spec ->> 'each')));
    IF why IS NOT NULL THEN
      RAISE EXCEPTION '%', why USING ERRCODE = '22023';
    END IF;
    j.queue := moves.queue_of(s, p_payload -> (s.spec ->> 'each'));
    j.tool := moves.tool_of(s, p_payload -> (s.spec ->> 'each'));
  END IF;
  UPDATE agentapp_job SET checkpoint = NULL, queue = j.queue, tool = j.tool WHERE id = j.id;
END $$;

-- Which parts are published at once: as many as there is room for by the queue of each, by its tool, and by what all of them
-- share.
CREATE OR REPLACE FUNCTION moves.published_parts(t moves.task, s agentapp_stage, p_elements jsonb) RETURNS boolean[]
LANGUAGE plpgsql AS $$
DECLARE
  model text := coalesce(s.spec ->> 'model', '');
  shared text[] := ARRAY['global', 'job_type:' || s.job_type, 'tenant:' || t.tenant_id]
                   || CASE WHEN model <> '' THEN ARRAY['model:' || model] ELSE '{}' END;
  most int := moves.room_of(shared, s.job_type, t.tenant_id, model, '', jsonb_array_length(p_elements), t.state <> 'pending', t.now);
BEGIN
  RETURN ARRAY(
    WITH part AS MATERIALIZED (
      SELECT n, moves.queue_of(s, value) AS queue, moves.tool_of(s, value) AS tool
        FROM jsonb_array_elements(p_elements) WITH ORDINALITY e(value, n)
    ), by_queue AS MATERIALIZED (
      SELECT queue, moves.room_of(ARRAY['queue:' || queue], s.job_type, t.tenant_id, model, '', count(*)::int,
                                  t.state <> 'pending', t.now) AS room FROM part GROUP BY queue
    ), by_tool AS MATERIALIZED (
      SELECT tool, CASE WHEN tool = '' THEN count(*) ELSE
               moves.room_of(ARRAY['tool:' || tool], s.job_type, t.tenant_id, model, tool, count(*)::int, t.state <> 'pending',
                             t.now) END AS room FROM part GROUP BY tool
    ), fitting AS (
      SELECT part.n, row_number() OVER (PARTITION BY part.queue ORDER BY part.n) <= by_queue.room
                 AND row_number() OVER (PARTITION BY part.tool ORDER BY part.n) <= by_tool.room AS fits
        FROM part JOIN by_queue USING (queue) JOIN by_tool USING (tool))
    SELECT fits AND count(*) FILTER (WHERE fits) OVER (ORDER BY n) <= most FROM fitting ORDER BY n);
END $$;
