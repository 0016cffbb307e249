-- A draft is written again from the sources as they are now.

-- Why that is not done, though nobody is in the way; null: it is. Who asked for the task must still be allowed to: else a
-- draft that somebody could approve would become a dead letter.
CREATE OR REPLACE FUNCTION moves.not_refreshed(
  t moves.task, a agentapp_approval, s agentapp_stage, p_stale jsonb, p_most int
) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN CASE
    WHEN p_stale IS NULL THEN 'current'
    WHEN moves.content_kind(a.content) <> 'mail' OR NOT moves.can_go_back(t.id, s.position, s.spec ->> 'refresh_from')
    THEN 'no way back'
    WHEN (SELECT count(*) FROM agentapp_approval WHERE workflow_id = t.id AND refreshed_by IS NOT NULL) >= least(p_most, 10)
    THEN 'too often'
    WHEN moves.denied(t) <> '' THEN 'denied' END;
END $$;

-- Ask for changes in the name of the task p_by, and go back to where sources are read. What was written from the old ones is
-- read by no binding any more, or the next draft would be made of it; what a person had asked for before is, as the remark.
CREATE OR REPLACE FUNCTION moves.write_again(
  INOUT t moves.task, a agentapp_approval, s agentapp_stage, p_stale jsonb, p_by uuid
) LANGUAGE plpgsql AS $$
DECLARE
  first int := moves.latest(t.id, s.spec ->> 'refresh_from', s.position);
  wish text := (SELECT output ->> 'remark' FROM agentapp_stage
                 WHERE workflow_id = t.id AND name = s.name AND position < s.position AND output ->> 'remark' IS NOT NULL
                 ORDER BY position DESC LIMIT 1);
BEGIN
  t := moves.record_decision(t, a, 'changes_requested', NULL, NULL, moves.stale_words(p_stale), false);
  UPDATE agentapp_approval SET refreshed_by = p_by WHERE id = a.id AND state = 'changes_requested';
  UPDATE agentapp_stage SET output = output || jsonb_build_object('remark', wish) WHERE id = s.id;
  t := moves.set_state(t, 'running', 'sources have changed');
  t.parts_left := 0;
  t := moves.go_back(t, s.position, s.spec ->> 'refresh_from', 0);
  UPDATE agentapp_stage SET spec = spec || '{"superseded": true}'
   WHERE workflow_id = t.id AND position > first AND position < s.position;
  t := moves.advance(t);
END $$;

-- For people. Titles are what others wrote: no prompt gets them as a remark.
CREATE OR REPLACE FUNCTION moves.stale_words(p_stale jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT 'Sources that it cites are no longer as they were: '
         || string_agg(format('[%s] %s was %s', left(c ->> 'n', 10), c ->> 'title', c ->> 'was'), '; ' ORDER BY place) || '.'
    FROM jsonb_array_elements(p_stale) WITH ORDINALITY AS u(c, place)
$$;
