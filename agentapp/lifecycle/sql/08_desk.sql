-- Moves of the dead-letter desk, and forks.
SELECT 1;
