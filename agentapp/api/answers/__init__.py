"""The types of all answers: what the functions of agentapp.api.shapes return, and what the OpenAPI document shows.

A type may get more fields in a later version, so clients must ignore those that they do not know.
"""
