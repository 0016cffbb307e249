-- The forms that must not be used, on tables of their own: each locks the stage and counts its parts in one statement.
-- All parts of a statement share the snapshot from before the lock was got, so the lock protects nothing: who waited
-- for it counts the parts as they were before the others were done.
CREATE TABLE wrong_stage (id int PRIMARY KEY, opened int NOT NULL DEFAULT 0);
CREATE TABLE wrong_part (
  stage int NOT NULL REFERENCES wrong_stage, n int NOT NULL, state text NOT NULL DEFAULT 'available',
  PRIMARY KEY (stage, n));

-- Complete a part, and open the next stage if no other part is unfinished. True when it was opened.
CREATE FUNCTION wrong_settle(p_stage int, p_n int) RETURNS boolean LANGUAGE sql AS $$
  WITH locked AS (SELECT id FROM wrong_stage WHERE id = p_stage FOR NO KEY UPDATE),
  mine AS (UPDATE wrong_part SET state = 'completed' WHERE stage = p_stage AND n = p_n),
  others AS (SELECT count(*) AS unfinished FROM locked JOIN wrong_part p ON p.stage = locked.id
              WHERE p.n <> p_n AND p.state <> 'completed'),
  opening AS (UPDATE wrong_stage SET opened = opened + 1 WHERE id = p_stage AND (SELECT unfinished FROM others) = 0
              RETURNING 1)
  SELECT EXISTS (SELECT 1 FROM opening)
$$;

-- Claim a part if none of its stage runs. True when it was claimed.
CREATE FUNCTION wrong_claim(p_stage int, p_n int) RETURNS boolean LANGUAGE sql AS $$
  WITH locked AS (SELECT id FROM wrong_stage WHERE id = p_stage FOR NO KEY UPDATE),
  others AS (SELECT count(*) AS running FROM locked JOIN wrong_part p ON p.stage = locked.id WHERE p.state = 'running'),
  claim AS (UPDATE wrong_part SET state = 'running' WHERE stage = p_stage AND n = p_n
             AND (SELECT running FROM others) = 0 RETURNING 1)
  SELECT EXISTS (SELECT 1 FROM claim)
$$;
