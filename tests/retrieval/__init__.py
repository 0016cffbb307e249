"""Retrieval: cutting, loading, searching."""
