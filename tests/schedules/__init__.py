"""Tasks that begin by the clock."""
