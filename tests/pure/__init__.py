"""Tests of pure decisions: no database, no broker, all of them together within two seconds."""

from hypothesis import settings

# Few examples, so that these tests are run at every save; no deadline, because a busy machine is not a bug.
quick = settings(max_examples=40, deadline=None)
