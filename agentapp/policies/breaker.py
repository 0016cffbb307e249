"""When a model or a tool counts as broken: nothing is sent to it for a while, then one call tries. [E6]"""

from __future__ import annotations

# Half of at least ten calls within half a minute failed: open for half a minute, twice as long each time in a row.
BREAKER = {"window_s": 30.0, "min_calls": 10, "share": 0.5, "open_s": 30.0, "longest_s": 300.0}
