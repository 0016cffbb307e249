"""Files on their way into the knowledge base."""
