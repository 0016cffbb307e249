-- What is published at once, and what a job that ends leaves free.

-- How many of n jobs that become available together are published at once. The others wait as rows: where others wait
-- already, behind a gate, or because the broker holds enough. A lone job is let try its gates at the claim.
CREATE OR REPLACE FUNCTION moves.room(
  p_queue text, p_type text, p_tenant bigint, p_model text, p_tool text, p_n int, p_begun boolean, p_now timestamptz
) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RETURN moves.room_of(moves.keys(p_queue, p_type, p_tenant, p_model, p_tool), p_type, p_tenant, p_model, p_tool, p_n, p_begun,
                       p_now);
END $$;

-- The same by some of their keys.
CREATE OR REPLACE FUNCTION moves.room_of(
  keys text[], p_type text, p_tenant bigint, p_model text, p_tool text, p_n int, p_begun boolean, p_now timestamptz
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  room int;
  counted boolean;
  busy record;
BEGIN
  IF p_n > 1 AND (SELECT count(*) FROM agentapp_limit WHERE key = ANY(keys)) < cardinality(keys) THEN
    PERFORM moves.ensure_limits(keys);
  END IF;
  SELECT CASE
           WHEN bool_or(holds OR mode = 'paused' OR mode = 'draining' AND NOT p_begun
                        OR breaker <> 'closed' OR closed_until > p_now) THEN 0
           WHEN p_n = 1 THEN 1
           -- The dispatcher knows how to read a meter.
           WHEN bool_or(request_s IS NOT NULL OR token_s IS NOT NULL) THEN 0
           ELSE least(p_n, coalesce(max(runway), CASE WHEN bool_or(scope = 'queue') THEN 64 END)) END,
         bool_or(concurrency IS NOT NULL)
    INTO room, counted FROM agentapp_limit x WHERE x.key = ANY(keys);
  room := coalesce(room, p_n);
  IF room > 1 AND counted THEN
    busy := moves.count_busy(p_type, p_tenant, p_model, p_tool, true);
    room := greatest(0, least(room, (
      SELECT min(x.concurrency - x.reserved
                 - moves.busy_of_scope(x.scope, busy.global, busy.job_type, busy.tenant, busy.model, busy.tool))
        FROM agentapp_limit x WHERE x.key = ANY(keys))));
  END IF;
  RETURN room;
END $$;

-- Whether somebody waits for what a job that has ended held.
CREATE OR REPLACE FUNCTION moves.is_awaited(j agentapp_job) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
  keys text[] := moves.keys(j.queue, j.type, j.tenant_id, j.model, j.tool);
BEGIN
  RETURN EXISTS (SELECT 1 FROM agentapp_limit WHERE key = ANY(keys) AND holds);
END $$;
