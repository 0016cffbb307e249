"""Checkers for the house rules: source in, violations out. The rules themselves stand in tests/test_architecture.py."""
