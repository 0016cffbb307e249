"""Job types and workflow kinds for tests with real workers, loaded as a team would load its own: AGENTAPP_EXTENSIONS."""
