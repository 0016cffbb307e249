"""Around a body: claim, check, perform, settle. Task modules need `job` and `JobContext`, nothing else."""

from agentapp.runtime import worker as worker  # Celery's signals, in whichever process runs jobs
from agentapp.runtime.context import JobContext
from agentapp.runtime.decorator import job

__all__ = ["JobContext", "job"]
