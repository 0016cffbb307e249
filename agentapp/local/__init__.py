"""The whole stack on one machine: embedded servers, every process of the Procfile, a file that says what runs.

For development, the demo and tests. Production runs the Procfile's lines itself and names its own servers.
"""
