"""From documents to passages that an answer may quote."""
