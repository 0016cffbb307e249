-- The search index follows the tasks. The functions that change it hold the row of its cursor, so that of two dispatchers
-- one does nothing. A crash that forgets their commit forgets the cursor with it.

-- A text for the parser of Postgres, which is left with nothing to interpret: a sign between words is a blank, so that
-- `example.org` is two words, and each character of a script without blanks is a word. policies/search.py reads what is
-- searched for in the same way.
CREATE OR REPLACE FUNCTION moves.plain_words(p_text text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  -- (Not by translate(), which takes as long as all the rest.)
  plain text := regexp_replace(p_text, '[-!"#$%&''()*+,./:;<=>?@[\\\]^_`{|}~]', ' ', 'g');
BEGIN
  IF octet_length(plain) = char_length(plain) THEN
    RETURN plain;
  END IF;
  plain := regexp_replace(plain, '[\u0080-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u060c\u061b\u061f'
    '\u0964\u0965\u2000-\u206f\u2e00-\u2e7f\u3000-\u3004\u3008-\u303f\u3099-\u309c\u30a0\u30fb\uff00-\uff0f\uff1a-\uff20'
    '\uff3b-\uff40\uff5b-\uff65]', ' ', 'g');
  RETURN regexp_replace(
    plain, '([\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])', ' \1 ', 'g');
END $$;

-- The strings and numbers inside a value, without the names of its fields: `body` is not found in every task.
CREATE OR REPLACE FUNCTION moves.texts(p_value jsonb, p_most int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN (SELECT left(string_agg(v #>> '{}', ' '), p_most)
            FROM jsonb_path_query(p_value, 'strict $.** ? (@.type() == "string" || @.type() == "number")') v);
END $$;

-- What a task is found by: its tenant, and the words of input, result, errors and labels. Cut, because a vector of words
-- holds a megabyte at most; the words of 120,000 characters are below that, whatever they are.
CREATE OR REPLACE FUNCTION moves.words_of(t agentapp_workflow) RETURNS tsvector LANGUAGE plpgsql STABLE AS $$
DECLARE
  letters text;
BEGIN
  IF t.state = 'needs_attention' THEN
    letters := (SELECT string_agg(left(x.message, 2000), ' ') FROM (
      SELECT concat_ws(' ', j.error ->> 'class', j.error ->> 'message') AS message FROM agentapp_job j
       WHERE j.workflow_id = t.id AND j.state = 'dead_lettered' LIMIT 5) x);
  END IF;
  RETURN array_to_tsvector(ARRAY['tenant/' || t.tenant_id]) || to_tsvector('pg_catalog.simple', moves.plain_words(concat_ws(' ',
    moves.texts(t.input, 50000), moves.texts(t.result, 50000), moves.texts(t.error, 2000), letters,
    (SELECT string_agg(l.key || ' ' || l.value, ' ') FROM jsonb_each_text(t.labels) l))));
END $$;

-- Index these tasks as they are now, and return those of them that somebody has locked. Deliveries of webhooks are not
-- looked for.
CREATE OR REPLACE FUNCTION moves.index_tasks(p_tasks uuid[]) RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
  free uuid[] := ARRAY(SELECT id FROM agentapp_workflow WHERE id = ANY(p_tasks) AND origin <> 'webhook'
                        ORDER BY id FOR KEY SHARE SKIP LOCKED);
BEGIN
  INSERT INTO agentapp_searchentry (workflow_id, words)
  SELECT w.id, moves.words_of(w) FROM agentapp_workflow w WHERE w.id = ANY(free)
  ON CONFLICT (workflow_id) DO UPDATE SET words = excluded.words
   WHERE agentapp_searchentry.words IS DISTINCT FROM excluded.words;
  RETURN ARRAY(SELECT id FROM agentapp_workflow
                WHERE id = ANY(p_tasks) AND origin <> 'webhook' AND id <> ALL(free));
END $$;
