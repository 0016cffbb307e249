"""Job types and workflow kinds for tests with real workers, loaded like a team's own: by AGENTAPP_EXTENSIONS."""
