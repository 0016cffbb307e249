"""The Python client against the API, and against servers that are not well."""
