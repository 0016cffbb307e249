"""Tests of pure decisions: no database, no broker, all of them together within two seconds."""
