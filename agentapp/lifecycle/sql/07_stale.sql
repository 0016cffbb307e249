-- Drafts that wait for a person while the sources that they cite have changed. [C10]

-- Which sources of a draft are no longer as it cites them: [{"n", "title", "was"}], or null: all are, as far as is known. A
-- citation says by `id` what it quotes; of a passage also by `document` and `sha256`, because each new text of a document has
-- new passages. The first hundred are looked at: a kind of one's own may let clients say them.
CREATE OR REPLACE FUNCTION moves.stale_sources(p_tenant bigint, p_sources jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT jsonb_agg(jsonb_build_object('n', c.said -> 'n', 'title', left(c.said ->> 'title', 100), 'was', c.was) ORDER BY c.place)
      FROM (SELECT u.said, u.place, CASE u.said ->> 'source'
                     WHEN 'documents' THEN moves.passage_was(p_tenant, moves.as_uuid(u.said ->> 'id'),
                                                             moves.as_uuid(u.said ->> 'document'), u.said ->> 'sha256')
                     WHEN 'memories' THEN moves.fact_was(p_tenant, moves.as_uuid(u.said ->> 'id')) END AS was
              FROM jsonb_array_elements(CASE jsonb_typeof(p_sources) WHEN 'array' THEN p_sources ELSE '[]' END)
                   WITH ORDINALITY AS u(said, place)
             WHERE u.place <= 100) c
     WHERE c.was IS NOT NULL);
END $$;

-- People may have written it: what is no id is none.
CREATE OR REPLACE FUNCTION moves.as_uuid(p_text text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_text ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN p_text::uuid END
$$;

-- What has become of a passage: deleted with its document, or changed; null: the document still says the same.
CREATE OR REPLACE FUNCTION moves.passage_was(p_tenant bigint, p_id uuid, p_document uuid, p_sha256 text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_id IS NULL OR EXISTS (SELECT 1 FROM agentapp_chunk WHERE id = p_id AND tenant_id = p_tenant) THEN
    RETURN NULL;
  ELSIF p_document IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM agentapp_document WHERE id = p_document AND tenant_id = p_tenant) THEN
    RETURN 'deleted';
  ELSIF EXISTS (
    SELECT 1 FROM agentapp_chunk WHERE document_id = p_document AND tenant_id = p_tenant
       AND encode(sha256(convert_to(text, 'UTF8')), 'hex') = p_sha256) THEN
    RETURN NULL;
  END IF;
  RETURN 'changed';
END $$;

-- What has become of a fact: erased, or superseded by one that says something else.
CREATE OR REPLACE FUNCTION moves.fact_was(p_tenant bigint, p_id uuid) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  m agentapp_memory;
BEGIN
  IF p_id IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT * INTO m FROM agentapp_memory WHERE id = p_id AND tenant_id = p_tenant;
  IF NOT FOUND THEN
    RETURN 'erased';
  ELSIF m.valid_until IS NULL OR EXISTS (
    SELECT 1 FROM agentapp_memory WHERE fact_id = m.fact_id AND valid_until IS NULL AND text_sha256 = m.text_sha256) THEN
    RETURN NULL;
  END IF;
  RETURN 'superseded';
END $$;

-- The drafts of a tenant that wait for a person and cite what has changed, among the next p_limit approvals behind p_after;
-- `last` is where to go on, null: there are no more.
CREATE OR REPLACE FUNCTION moves.stale_drafts(
  p_tenant bigint, p_after uuid, p_limit int, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves.moment(p_now);
BEGIN
  RETURN (
    SELECT jsonb_build_object(
             'looked', count(*), 'last', CASE WHEN count(*) = p_limit THEN (array_agg(c.id ORDER BY c.id DESC))[1] END,
             'stale', coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'task', c.workflow_id, 'content_sha256', c.content_sha256)
                                         ORDER BY c.id) FILTER (WHERE c.is_stale), '[]'))
      FROM (SELECT a.id, a.workflow_id, a.content_sha256,
                   s.spec ? 'refresh_from' AND coalesce(a.expires_at > moment, true)
                   AND moves.stale_sources(p_tenant, a.sources) IS NOT NULL AS is_stale
              FROM agentapp_approval a JOIN agentapp_stage s ON s.id = a.stage_id
             WHERE a.tenant_id = p_tenant AND a.state = 'pending' AND a.id > p_after
             ORDER BY a.id LIMIT p_limit) c);
END $$;

-- A job asks for a draft to be written again, because sources that it cites have changed. People come first: what somebody has
-- decided, edited, voted for or claimed is left alone. Once more, after its answer was lost, it is done already.
CREATE OR REPLACE FUNCTION moves.refresh_draft(
  p_workflow uuid, p_approval uuid, p_actor text, p_job uuid, p_token uuid, p_content_sha256 text, p_most int,
  p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t moves.task := moves.lock_task(p_workflow, p_actor, p_now);
  j agentapp_job;
  a agentapp_approval;
  s agentapp_stage;
  stale jsonb;
  refused text;
BEGIN
  PERFORM moves.check_class(p_job);
  SELECT * INTO j FROM agentapp_job WHERE id = p_job AND state = 'running' AND lease_token = p_token FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'lost', 'state', (SELECT state FROM agentapp_job WHERE id = p_job));
  END IF;
  SELECT * INTO a FROM agentapp_approval
   WHERE id = p_approval AND workflow_id = t.id AND tenant_id = j.tenant_id FOR NO KEY UPDATE;
  IF a.refreshed_by = j.workflow_id THEN
    RETURN moves.answer(t);
  END IF;
  SELECT * INTO s FROM agentapp_stage WHERE id = a.stage_id;
  stale := moves.stale_sources(t.tenant_id, a.sources);
  refused := CASE WHEN j.type <> 'refresh_drafts' THEN 'not allowed' WHEN a.id IS NULL THEN 'gone'
                  ELSE coalesce(moves.touched(t, a, p_content_sha256), moves.not_refreshed(t, a, s, stale, p_most)) END;
  IF refused IS NOT NULL THEN
    RETURN jsonb_build_object('status', refused);
  END IF;
  t := moves.write_again(t, a, s, stale, j.workflow_id);
  RETURN moves.saved(t);
END $$;

-- Who was there before: null, or what a person, or time, has done with an approval since it was read.
CREATE OR REPLACE FUNCTION moves.touched(t moves.task, a agentapp_approval, p_content_sha256 text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN CASE
    WHEN a.state <> 'pending' OR t.state <> 'awaiting_approval' THEN 'decided'
    WHEN a.expires_at <= t.now THEN 'expired'
    WHEN a.content_sha256 <> p_content_sha256 OR a.revision > 0 THEN 'edited'
    WHEN EXISTS (SELECT 1 FROM agentapp_approvalvote WHERE approval_id = a.id) THEN 'voted for'
    WHEN a.claimed_until > t.now THEN 'claimed' END;
END $$;
