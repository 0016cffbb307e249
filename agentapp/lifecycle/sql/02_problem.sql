-- What is wrong with a plan as it goes, as data: no move raises for a stage that it cannot open, nor for an output.

-- Why a stage cannot be opened with what is bound to it: null, or a sentence for a person. The limits were frozen with
-- the plan.
CREATE OR REPLACE FUNCTION moves.stage_problem(s agentapp_stage, p_bound jsonb, elements jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  size_bytes bigint := pg_column_size(p_bound);
  most_bytes bigint := coalesce((s.spec ->> 'max_payload_bytes')::bigint, 1048576);
  most_parts int;
BEGIN
  IF s.kind = 'decision' THEN
    RETURN moves.decision_problem(s, p_bound);
  ELSIF s.kind = 'fan_out' THEN
    most_parts := coalesce((s.spec ->> 'max_parts')::int, 10000);
    IF elements IS NULL OR jsonb_typeof(elements) <> 'array' THEN
      RETURN format('%s fans out over %s, which must be a list but is %s', s.name, moves.path_name(s.spec -> 'over'),
                    coalesce(jsonb_typeof(elements), 'missing'));
    ELSIF jsonb_array_length(elements) > most_parts THEN
      RETURN format('%s fans out into %s parts; at most %s may be (AGENTAPP_FAN_OUT_MAX_PARTS)', s.name,
                    jsonb_array_length(elements), most_parts);
    END IF;
    size_bytes := size_bytes + coalesce((SELECT max(pg_column_size(value)) FROM jsonb_array_elements(elements)), 0);
    IF s.spec ?| '{queue_from,tool_from}' AND moves.part_problem(s, elements) IS NOT NULL THEN
      RETURN moves.part_problem(s, elements);
    END IF;
  END IF;
  IF size_bytes > most_bytes THEN
    RETURN format('the payload of %s has %s bytes; at most %s may be (AGENTAPP_MAX_PAYLOAD_BYTES). Bind less, or pass '
                  'long texts as artifacts', s.name, size_bytes, most_bytes);
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION moves.decision_problem(s agentapp_stage, p_bound jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  expires jsonb := nullif(p_bound -> 'expires_in_s', 'null');
BEGIN
  IF coalesce(jsonb_typeof(p_bound -> 'content'), '') <> 'object' THEN
    RETURN format('%s has no content to decide on: %s is no object', s.name, moves.path_name(s.spec -> 'bind' -> 'content'));
  ELSIF coalesce(jsonb_typeof(p_bound -> 'content_sha256'), '') <> 'string' OR length(p_bound ->> 'content_sha256') > 64 THEN
    RETURN format('%s has no hash of its content: %s', s.name, moves.path_name(s.spec -> 'bind' -> 'content_sha256'));
  ELSIF coalesce(p_bound ->> 'risk', 'low') NOT IN ('low', 'medium', 'high') THEN
    RETURN format('%s has the risk %s; it must be low, medium or high', s.name, left(p_bound ->> 'risk', 40));
  ELSIF expires IS NOT NULL AND (jsonb_typeof(expires) <> 'number'
                                 OR NOT expires::numeric BETWEEN 0 AND 10 * 365 * 86400) THEN
    RETURN format('%s expires in %s seconds; it must be a number, at most ten years', s.name, left(expires #>> '{}', 40));
  END IF;
  RETURN NULL;
END $$;

-- What the output of a stage's job changes of its task: {"priority", "risk"}, as far as it says something.
CREATE OR REPLACE FUNCTION moves.values_set(p_task uuid, s agentapp_stage, p_output jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT coalesce(jsonb_object_agg(b.key, found.value) FILTER (WHERE found.value <> 'null'), '{}')
      FROM jsonb_each(s.spec -> 'sets') b
      CROSS JOIN LATERAL (SELECT moves.value_after(p_task, s, b.value, p_output) AS value) found);
END $$;

-- Why the output of a stage's job cannot be used: null, or a sentence. Asked before the job counts as completed. Only the
-- lone job of a stage changes its task or goes back.
CREATE OR REPLACE FUNCTION moves.output_problem(p_task uuid, s agentapp_stage, p_output jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  found jsonb;
BEGIN
  IF s.kind <> 'job' THEN
    RETURN NULL;
  ELSIF s.spec ? 'sets' THEN
    found := moves.values_set(p_task, s, p_output);
    IF found ? 'priority' AND NOT found -> 'priority' IN ('0', '1', '2', '3') THEN
      RETURN format('%s sets the priority to %s; it must be a number from 0 (urgent) to 3 (low)', s.name,
                    left(found ->> 'priority', 40));
    ELSIF found ? 'risk' AND NOT found -> 'risk' IN ('"low"', '"medium"', '"high"') THEN
      RETURN format('%s sets the risk to %s; it must be low, medium or high', s.name, left(found ->> 'risk', 40));
    END IF;
  END IF;
  IF moves.goes_back(p_task, s, p_output) AND NOT moves.can_go_back(p_task, s.position, s.spec -> 'repeat' ->> 'back_to') THEN
    RETURN format('%s goes back to %s, which is no stage before it', s.name, s.spec -> 'repeat' ->> 'back_to');
  END IF;
  RETURN NULL;
END $$;

-- Whether a stage that is done asks for one more round. (The release before writes the field of its output alone.)
CREATE OR REPLACE FUNCTION moves.goes_back(p_task uuid, s agentapp_stage, p_output jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
  again jsonb := s.spec -> 'repeat';
BEGIN
  IF again IS NULL OR s.round >= (again ->> 'at_most')::int THEN
    RETURN false;
  ELSIF NOT again ? 'when' THEN
    RETURN coalesce(p_output -> (again ->> 'field') = again -> 'equals', false);
  END IF;
  RETURN coalesce(moves.value_after(p_task, s, again -> 'when' -> 'path', p_output), 'null') = again -> 'when' -> 'equals';
END $$;

-- Whether there is such a stage before p_after, and room for one more round.
CREATE OR REPLACE FUNCTION moves.can_go_back(p_workflow uuid, p_after int, p_back_to text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN p_after < 32000 AND moves.latest(p_workflow, p_back_to, p_after) IS NOT NULL;
END $$;
