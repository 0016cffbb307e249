"""A worker: `python -m config.worker` takes the options of `celery worker`, and begins with less.

Celery's own command loads every command that there is, with their packages: Flower and its web server, an interactive
prompt and what colours it. That is an eighth of the CPU time in which a worker starts, and 12 MB in each process.
"""

from __future__ import annotations

import sys

from config.start import loading

# With what is imported here Celery's command is complete but for the app.
with loading():
    from celery.bin.base import CLIContext
    from celery.bin.worker import worker

    from config.celery import app

if __name__ == "__main__":
    # No word on colours: they are for terminals.
    context = CLIContext(app=app, no_color=None, workdir=None)  # type: ignore[arg-type]  # the stubs know no third one
    worker.main(sys.argv[1:], prog_name="python -m config.worker", auto_envvar_prefix="CELERY_WORKER", obj=context)
