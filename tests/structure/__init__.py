"""Checkers for the rules of the code: source in, violations out. The rules are in tests/test_architecture.py."""
