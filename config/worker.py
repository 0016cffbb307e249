"""A worker of Celery: `python -m config.worker` takes the options of `celery -A config worker`, and starts for less.

The `celery` command loads all its subcommands, and those of all packages that have one: Flower with its web server is
half a second of CPU in every worker. `celery -A config worker` still starts the same worker; `--detach` and the pools
gevent and eventlet are for it alone.
"""

from __future__ import annotations

import os
import sys

from config.start import loading

if __name__ == "__main__":
    with loading():
        from celery.bin.base import CLIContext
        from celery.bin.worker import worker

        from config.celery import app

    context = CLIContext(app=app, no_color=bool(os.environ.get("NO_COLOR")), workdir=None)
    # At SIGHUP Celery starts its process anew, with these words: those that name the file would find no package.
    sys.argv = ["-m", "config.worker", *sys.argv[1:]]
    worker.main(sys.argv[2:], prog_name="python -m config.worker", obj=context, auto_envvar_prefix="CELERY_WORKER")
