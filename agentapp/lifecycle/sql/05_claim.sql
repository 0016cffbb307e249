-- Claim jobs: available -> running, with a lease that only its token proves.

-- Claim the jobs that messages name. A message can be late, repeated or forged: then it is refused in a word.
--
-- p_items: a moves.claim_request each; p_taker: a moves.taker. Answers in the order of the items; null: not
-- decided here, claim it alone, because somebody else holds its task, or its job is in the list already.
CREATE OR REPLACE FUNCTION moves.claim(
  p_items jsonb, p_taker jsonb, p_actor text, p_waits boolean, p_now timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  answers jsonb[] := array_fill(NULL::jsonb, ARRAY[jsonb_array_length(p_items)]);
  taker moves.taker := jsonb_populate_record(NULL::moves.taker, p_taker);
  requests moves.claim_request[] := ARRAY(SELECT r FROM jsonb_populate_recordset(NULL::moves.claim_request, p_items) r);
  tasks moves.task[];
  jobs agentapp_job[];
  choices jsonb[];
  free bigint;
  item record;
  seen uuid[] := '{}';
BEGIN
  PERFORM moves.check_isolation();
  -- A claim that a crash of Postgres forgets is only a lost lease: it need not wait for the disk.
  PERFORM set_config('synchronous_commit', 'off', true);
  taker.now := p_now;
  taker.queues := moves.served(taker.queues);
  -- Only what never changes is read before the locks: two messages of one job, or a cancellation, may be faster.
  tasks := moves.lock_tasks(ARRAY(SELECT (SELECT workflow_id FROM agentapp_job WHERE id = r.job) FROM unnest(requests) r),
                            p_actor, p_waits, p_now);
  jobs := moves.lock_jobs(ARRAY(SELECT job FROM unnest(requests)), ARRAY(SELECT id FROM unnest(tasks)));
  choices := ARRAY(SELECT moves.choice_of(j.tenant_id, j.type, taker.asking) FROM unnest(jobs) j);
  free := moves.lock_gates(jobs, choices, taker);
  FOR item IN SELECT * FROM moves.in_order(requests, jobs, tasks) LOOP
    IF item.task IS NOT NULL AND item.job <> ALL(seen) THEN
      taker.choice := choices[item.place];
      tasks[item.task] := moves.claim_one(tasks[item.task], jobs[item.place], requests[item.n].token, taker, free);
      free := free - 1;
      answers[item.n] := tasks[item.task].taken;
    ELSIF item.task IS NULL AND NOT EXISTS (SELECT 1 FROM agentapp_job WHERE id = item.job) THEN
      answers[item.n] := jsonb_build_object('refused', 'unknown');
    END IF;
    seen := seen || item.job;
  END LOOP;
  PERFORM moves.save(tasks);
  RETURN moves.within_buffers(answers);
END $$;

CREATE OR REPLACE FUNCTION moves.check_isolation() RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'a claim counts behind locks and needs READ COMMITTED' USING ERRCODE = '0A000',
      HINT = 'ALTER DATABASE ... SET default_transaction_isolation TO ''read committed''';
  END IF;
END $$;

-- Lock jobs of these tasks by their ids, and read them.
CREATE OR REPLACE FUNCTION moves.lock_jobs(p_jobs uuid[], p_tasks uuid[]) RETURNS agentapp_job[] LANGUAGE plpgsql AS $$
BEGIN
  -- By their ids: by its task, one look would read all parts of a wide fan-out.
  RETURN ARRAY(SELECT j FROM agentapp_job j WHERE id = ANY(p_jobs) AND array_position(p_tasks, workflow_id) IS NOT NULL
                ORDER BY id FOR NO KEY UPDATE);
END $$;

-- Requests in the order of their tasks, with the places of the job and its task among those that are locked.
CREATE OR REPLACE FUNCTION moves.in_order(
  p_requests moves.claim_request[], p_jobs agentapp_job[], p_tasks moves.task[], OUT n int, OUT job uuid, OUT place int,
  OUT task int
) RETURNS SETOF record LANGUAGE plpgsql STABLE AS $$
DECLARE
  jobs uuid[] := ARRAY(SELECT j.id FROM unnest(p_jobs) j);
  tasks uuid[] := ARRAY(SELECT t.id FROM unnest(p_tasks) t);
BEGIN
  RETURN QUERY
  SELECT r.ordinality::int, r.job, array_position(jobs, r.job),
         array_position(tasks, p_jobs[array_position(jobs, r.job)].workflow_id) AS t
    FROM unnest(p_requests) WITH ORDINALITY r ORDER BY t, r.ordinality;
END $$;

-- Claim one job of a task; what it comes to is `taken`. p_free: how many jobs pass their gates unasked; null: they have none.
CREATE OR REPLACE FUNCTION moves.claim_one(
  INOUT t moves.task, j agentapp_job, p_token uuid, p_taker moves.taker, p_free bigint
) LANGUAGE plpgsql AS $$
BEGIN
  IF j.state = 'running' AND j.lease_token = p_token THEN
    t.taken := moves.claimed(t, j, p_taker.choice);
  ELSIF j.state <> 'available' THEN
    t.taken := jsonb_build_object('refused', j.state);
  ELSIF t.finished_at IS NOT NULL THEN
    t.taken := jsonb_build_object('refused', 'not available');
  ELSIF NOT coalesce(j.queue = ANY(p_taker.queues), false) THEN
    t.taken := jsonb_build_object('refused', 'not of this worker class');
  ELSE
    IF j.started_at IS NULL OR NOT EXISTS (SELECT 1 FROM agentapp_attempt WHERE id = p_token) THEN
      p_taker.token := p_token;
    ELSE
      -- A claim whose answer was lost is made again after its attempt was lost too: this is another attempt.
      p_taker.token := moves.uuid7();
    END IF;
    t := moves.take(t, j, p_taker, p_free);
  END IF;
END $$;
