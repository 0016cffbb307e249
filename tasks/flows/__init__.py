"""Workflow kinds, one file each."""
