"""MCP servers whose tools agents may use: this installation is their client."""
