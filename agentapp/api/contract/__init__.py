"""The OpenAPI document, made of what stands next to each method of an endpoint (`operation.py`)."""
