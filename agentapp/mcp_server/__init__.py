"""The MCP server at /mcp: an assistant submits tasks, watches them and records decisions, with an API key.

Django authenticates a request as it does those of the API, and hands it over; the tools call the same services, and
their errors have the same words.
"""
