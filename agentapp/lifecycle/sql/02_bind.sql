-- What a stage reads of the stages before it. A stage before the open one is closed: a plan is gone through in order.

-- Read one source of a binding: the client's input, or the latest stage of that name before p_before. If that one was skipped
-- there is nothing to read, whatever came of it in an earlier round: what was decided then was not decided now.
CREATE OR REPLACE FUNCTION moves.source(p_task uuid, p_from text, p_before int) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_from = 'input' THEN
    RETURN (SELECT input FROM agentapp_workflow WHERE id = p_task);
  END IF;
  RETURN (
    SELECT CASE
             WHEN s.spec ? 'skipped' THEN NULL
             WHEN s.kind = 'decision' THEN s.output
             WHEN s.kind = 'fan_out' THEN (SELECT coalesce(jsonb_agg(j.output ORDER BY j.part), '[]') FROM agentapp_job j
                                   WHERE j.workflow_id = p_task AND j.stage_id = s.id AND j.state = 'completed')
             ELSE (SELECT j.output FROM agentapp_job j WHERE j.workflow_id = p_task AND j.stage_id = s.id LIMIT 1) END
      FROM agentapp_stage s
     WHERE s.workflow_id = p_task AND s.name = p_from AND s.position < p_before AND NOT s.spec ? 'superseded'
     ORDER BY s.position DESC LIMIT 1);
END $$;

-- Resolve {name: {"from", "path", "optional"} | {"const"}} to {name: value}; what leads nowhere is left out, so that
-- the signature's default holds or the check against the signature names what is missing.
CREATE OR REPLACE FUNCTION moves.bind(p_task uuid, p_bind jsonb, p_before int) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
  bound jsonb := '{}';
  item record;
  value jsonb;
BEGIN
  FOR item IN SELECT b.key, b.value AS path FROM jsonb_each(p_bind) b LOOP
    IF item.path ? 'const' THEN
      bound := bound || jsonb_build_object(item.key, item.path -> 'const');
      CONTINUE;
    END IF;
    value := moves.source(p_task, item.path ->> 'from', p_before);
    IF jsonb_array_length(item.path -> 'path') > 0 THEN
      value := value #> ARRAY(SELECT jsonb_array_elements_text(item.path -> 'path'));
    END IF;
    IF value IS NOT NULL AND NOT (value = 'null'::jsonb AND (item.path ->> 'optional')::boolean) THEN
      bound := bound || jsonb_build_object(item.key, value);
    END IF;
  END LOOP;
  RETURN bound;
END $$;

-- What a fan-out goes over; whatever is there, list or not.
CREATE OR REPLACE FUNCTION moves.elements(p_task uuid, s agentapp_stage) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN moves.bind(p_task, jsonb_build_object('over', s.spec -> 'over'), s.position) -> 'over';
END $$;

-- Whether a condition {"path", "equals"} is met by what lies before p_before; what leads nowhere is null.
CREATE OR REPLACE FUNCTION moves.is_met(p_task uuid, p_when jsonb, p_before int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce(moves.bind(p_task, jsonb_build_object('x', p_when -> 'path'), p_before) -> 'x', 'null') = p_when -> 'equals';
END $$;

-- What a path leads to once a stage is done. The lone job of a stage has the output p_output, which is not stored yet.
CREATE OR REPLACE FUNCTION moves.value_after(p_task uuid, s agentapp_stage, p_path jsonb, p_output jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF s.kind = 'job' AND p_path ->> 'from' = s.name THEN
    RETURN p_output #> ARRAY(SELECT jsonb_array_elements_text(p_path -> 'path'));
  END IF;
  RETURN moves.bind(p_task, jsonb_build_object('x', p_path), s.position + (s.kind <> 'job')::int) -> 'x';
END $$;

-- A binding as its author wrote it.
CREATE OR REPLACE FUNCTION moves.path_name(p_path jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_path ? 'from' THEN
                concat_ws('.', p_path ->> 'from', (SELECT string_agg(key, '.') FROM jsonb_array_elements_text(p_path -> 'path') key))
              ELSE coalesce('the constant ' || left(p_path ->> 'const', 40), 'nothing') END
$$;

-- What a task that ends early has come to: as much of its result as there is.
CREATE OR REPLACE FUNCTION moves.partial_result(t moves.task) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN nullif(moves.bind(t.id, t.result_bind, t.position + (t.parts_left = 0)::int), '{}'::jsonb);
END $$;
