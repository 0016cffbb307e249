"""From a file to its text, in a process of its own that has limits and no credentials."""
