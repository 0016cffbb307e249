"""Use cases: what API, admin and commands may do. Permission first, then a move, then publishing."""
