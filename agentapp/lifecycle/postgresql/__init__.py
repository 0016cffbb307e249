"""Django's Postgres backend with what the moves need of a session. DATABASES names it as ENGINE."""
