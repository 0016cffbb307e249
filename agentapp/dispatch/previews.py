"""How texts of running jobs lie in the broker's server, for those who write them and those who read them.

One string for each job and attempt: the mark of a run, and the text so far in UTF-8. A text of one run only grows.
"""

from __future__ import annotations

# A wake: which text has grown, as JSON of the ids of the task and the job, and the attempt.
CHANNEL = "agentapp.text"
RUN_CHARACTERS = 8
# What the names of texts begin with.
KEYS = "agentapp:text:"
# How long a text is kept behind its last piece, and behind its end, in seconds.
KEPT_S, KEPT_AT_THE_END_S = 120, 30

# KEYS: the text. ARGV: the wake, the mark of the run, how much of the text is there already in bytes, what follows, how
# long it is kept; 0 takes it away. Answers 0 when it is not as the writer believes: then it writes all from 0.
TELL = f"""
local told = tonumber(ARGV[3])
if told > 0 then
  local run = redis.call('GETRANGE', KEYS[1], 0, #ARGV[2] - 1)
  if run ~= ARGV[2] or redis.call('STRLEN', KEYS[1]) ~= #run + told then
    return 0
  end
  redis.call('APPEND', KEYS[1], ARGV[4])
elseif ARGV[5] == '0' then
  redis.call('DEL', KEYS[1])
  return 1
else
  redis.call('SET', KEYS[1], ARGV[2] .. ARGV[4])
end
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('PUBLISH', '{CHANNEL}', ARGV[1])
return 1
"""


# KEYS: texts. ARGV: the length of the mark of a run, then for each text how many bytes of it are known. Answers with
# the mark of each, and what follows.
READ = """
local found = {}
for n, key in ipairs(KEYS) do
  found[2 * n - 1] = redis.call('GETRANGE', key, 0, ARGV[1] - 1)
  found[2 * n] = redis.call('GETRANGE', key, ARGV[1] + ARGV[n + 1], -1)
end
return found
"""


def key(job: str, attempt: int) -> str:
    return f"{KEYS}{job}:{attempt}"
