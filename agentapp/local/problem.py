"""The one error of this package."""

from agentapp.errors import AgentappError


class StackProblem(AgentappError):
    """The stack cannot start or go on; the message is a sentence that says what to do."""
