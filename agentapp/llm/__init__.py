"""The way to a language model: one client for every OpenAI-compatible provider."""
