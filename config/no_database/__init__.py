"""The database of a process that was told of none: commands that need none work, the others get a sentence."""
