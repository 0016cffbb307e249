-- Claim jobs: available -> running, with a lease that only its token proves.

-- Claim the jobs that messages name. A message can be late, repeated or forged: then it is refused in a word.
--
-- p: items [{job, token}], taker {worker, process, queues, models, lease_s}. `token` is the claimer's own: a claim whose
-- answer was lost is found to be done when it is made again. Answers in the order of the items; null: its task is busy, and
-- it was passed over for the sake of the others.
CREATE OR REPLACE FUNCTION moves.claim(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  answers jsonb[] := array_fill(NULL::jsonb, ARRAY[jsonb_array_length(p -> 'items')]);
  tasks moves.task[];
  ids uuid[];
  item record;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'a claim counts behind locks and needs READ COMMITTED' USING ERRCODE = '0A000',
      HINT = 'ALTER DATABASE ... SET default_transaction_isolation TO ''read committed''';
  END IF;
  -- A claim that a crash of Postgres forgets is only a lost lease: it need not wait for the disk.
  PERFORM set_config('synchronous_commit', 'off', true);
  -- Only what never changes is read before the locks: two messages of one job, or a cancellation, may be faster.
  tasks := moves.lock_tasks(ARRAY(
    SELECT (SELECT workflow_id FROM agentapp_job WHERE id = (i ->> 'job')::uuid) FROM jsonb_array_elements(p -> 'items') i), p);
  ids := ARRAY(SELECT id FROM unnest(tasks));
  IF jsonb_array_length(p -> 'items') > 1 THEN
    PERFORM moves.lock_gates(p, ids);
  END IF;
  FOR item IN
    SELECT i.n, i.value, j.workflow_id AS task, array_position(ids, j.workflow_id) AS place
      FROM jsonb_array_elements(p -> 'items') WITH ORDINALITY AS i(value, n)
      LEFT JOIN agentapp_job j ON j.id = (i.value ->> 'job')::uuid ORDER BY task, i.n
  LOOP
    IF item.place IS NOT NULL THEN
      tasks[item.place] := moves.claim_one(tasks[item.place], item.value, p);
      answers[item.n] := tasks[item.place].taken;
    ELSIF item.task IS NULL THEN
      answers[item.n] := jsonb_build_object('refused', 'unknown');
    END IF;
  END LOOP;
  PERFORM moves.save(tasks);
  RETURN moves.within_buffers(answers);
END $$;

-- Claim one job of a task; what it comes to is `taken`.
CREATE OR REPLACE FUNCTION moves.claim_one(INOUT t moves.task, i jsonb, p jsonb) LANGUAGE plpgsql AS $$
DECLARE
  j agentapp_job;
BEGIN
  SELECT * INTO j FROM agentapp_job WHERE id = (i ->> 'job')::uuid FOR NO KEY UPDATE;
  IF j.state = 'running' AND j.lease_token = (i ->> 'token')::uuid THEN
    t.taken := moves.claimed(t, j);
  ELSIF j.state <> 'available' THEN
    t.taken := jsonb_build_object('refused', j.state);
  ELSIF t.finished_at IS NOT NULL THEN
    t.taken := jsonb_build_object('refused', 'not available');
  ELSIF NOT coalesce(p -> 'taker' -> 'queues' ? j.queue, false) THEN
    t.taken := jsonb_build_object('refused', 'not of this worker class');
  ELSE
    t := moves.take(t, j, (i ->> 'token')::uuid, (p -> 'taker') || jsonb_build_object('now', p -> 'now'));
  END IF;
END $$;

-- Lock the gates of all jobs of a list in the order of their keys, as each of them would: one after the other, two lists
-- could lock them crosswise. What is not gated is not locked.
CREATE OR REPLACE FUNCTION moves.lock_gates(p jsonb, p_free uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  moment timestamptz := moves.moment((p ->> 'now')::timestamptz);
  keys text[];
  jobs uuid[] := ARRAY(SELECT (i ->> 'job')::uuid FROM jsonb_array_elements(p -> 'items') i);
BEGIN
  PERFORM 1 FROM agentapp_job WHERE id = ANY(jobs) AND workflow_id = ANY(p_free) ORDER BY id FOR NO KEY UPDATE;
  keys := ARRAY(
    SELECT DISTINCT unnest(moves.keys(j.queue, j.type, j.tenant_id, coalesce(p -> 'taker' -> 'models' ->> j.type, j.model), j.tool))
      FROM agentapp_job j WHERE j.id = ANY(jobs));
  IF (SELECT count(*) FROM agentapp_limit WHERE key = ANY(keys)) < cardinality(keys) THEN
    PERFORM moves.ensure_limits(keys);
  END IF;
  PERFORM 1 FROM agentapp_limit x WHERE x.key = ANY(keys) AND moves.is_gated(x, moment) ORDER BY x.key FOR NO KEY UPDATE;
END $$;
