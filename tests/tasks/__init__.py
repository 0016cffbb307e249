"""Job types, each through the runtime."""
