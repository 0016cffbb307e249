-- What the functions of this set pass on to each other.

-- A row of history that is not written yet.
CREATE TYPE moves.event AS (noun text, id uuid, from_state text, to_state text, reason text, data jsonb);

-- Who takes jobs. `models` says which model a job type calls by the settings of this worker, `asking` are the job types whose
-- model people may choose; `choice` is what they chose for the job at hand. `done` are the keys of the job that this worker has
-- just ended, `token` a fresh one for the job that it goes on with; `now`: a moment that a test says.
CREATE TYPE moves.taker AS (
  worker text, process bigint, queues text[], models jsonb, asking text[], lease_s float, choice jsonb, done text[],
  token uuid, now timestamptz);

-- A job that is to be claimed. `token` is the claimer's own: a claim whose answer was lost is found under it.
CREATE TYPE moves.claim_request AS (job uuid, token uuid);

-- How an attempt ended. `error`: {class, kind, message, trace, fingerprint}; `effects`: [{id, response}]; `next_token`: take
-- a single next job of one of the taker's queues at once, under this token; `watched`: tell whether others wait for what it
-- held; `asks`: its body asks a person.
CREATE TYPE moves.settle_request AS (
  workflow uuid, job uuid, token uuid, state text, outcome text, output jsonb, error jsonb, retry_in_s float, reason text,
  tokens bigint, cost_usd numeric, effects jsonb, is_counted boolean, next_token uuid, watched boolean, unpriced_calls int,
  asks boolean);

-- An effect that is to be sent. `asked_sends`: the provider was asked about this send, after the time in which it could
-- arrive, and has not seen it. `is_idempotent`: it does nothing twice under one id, so that nothing need be waited for.
-- `late_s`: how long after the end of its call a send may still arrive there.
CREATE TYPE moves.effect_request AS (
  workflow uuid, job uuid, token uuid, tenant bigint, key text, type text, request_sha256 text, asked_sends int,
  is_idempotent boolean, late_s float);

-- A task under its lock, in the course of a move: what moves change of its row; who moves it, and when; what is to be
-- written into its history; and what the move has come to: links of the jobs that it opened, how many more it `held` back
-- for want of room, the job that its worker has `taken`, the `problem` of a stage that could not be opened, the `answer`.
-- `denied`: why its principal may not act, empty where it may, null while nobody has asked.
-- (Fields have the types of plain values: what plpgsql has to cast costs more than the reading.)
CREATE VIEW moves.task AS
SELECT id, tenant_id, api_key_id, user_id, kind::text, root, state::text, priority, risk::text, result, error, result_bind,
       position, parts_left, stages_total, jobs_total, jobs_done, seq, tokens, cost_usd::numeric, unpriced_calls, started_at, finished_at,
       deadline_at, origin::text, parent, callback_url, run_at, continues, traceparent::text, ''::text AS actor, NULL::timestamptz AS now, '{}'::moves.event[] AS log, '[]'::jsonb AS opened,
       0 AS held, NULL::jsonb AS taken, NULL::text AS problem, NULL::text AS denied, NULL::jsonb AS answer
  FROM agentapp_workflow;
