"""Roles of Postgres for classes of processes: what each may do, and the statements that say so to Postgres."""
