-- What the functions of this set pass on to each other.

-- A row of history that is not written yet.
CREATE TYPE moves.event AS (noun text, id uuid, from_state text, to_state text, reason text, data jsonb);

-- A task under its lock, in the course of a move: what moves change of its row; who moves it, and when; what is to be
-- written into its history; and what the move has come to: links of the jobs that it opened, how many more it `held` back
-- for want of room, the job that its worker has `taken`, the `problem` of a stage that could not be opened, the `answer`.
-- (Fields have the types of plain values: what plpgsql has to cast costs more than the reading.)
CREATE VIEW moves.task AS
SELECT id, tenant_id, api_key_id, user_id, kind::text, root, state::text, priority, risk::text, result, error, result_bind,
       position, parts_left, stages_total, jobs_total, jobs_done, seq, tokens, cost_usd::numeric, started_at, finished_at,
       deadline_at, ''::text AS actor, NULL::timestamptz AS now, '{}'::moves.event[] AS log, '[]'::jsonb AS opened,
       0 AS held, NULL::jsonb AS taken, NULL::text AS problem, NULL::jsonb AS answer
  FROM agentapp_workflow;
