"""The process that reads one file: `python -m agentapp.retrieval.parsing TYPE CHARSET LIMITS PARENT_PID`.

The file comes by stdin; {"title", "text"} or {"unreadable"} goes to stdout, as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys

from agentapp.policies.file_types import FileType
from agentapp.retrieval.parsing import reading
from agentapp.retrieval.parsing.limits import Limits, Unreadable

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    file_type, charset, limits_text, parent = arguments
    limits = Limits.load(limits_text)
    _end_with(parent)
    data = sys.stdin.buffer.read()
    limits.enforce()
    try:
        title, text = reading.read(data, file_type=FileType(file_type), charset=charset, limits=limits)
        answer = {"title": title, "text": text}
    except Unreadable as error:
        answer = {"unreadable": str(error)}
    except MemoryError:
        answer = {"unreadable": f"To read it takes more than {limits.memory_mb} MB of memory. Split it."}
    except RecursionError:
        answer = {"unreadable": "It is nested too deeply to be read."}
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode())
    sys.stdout.flush()


def _end_with(parent: str) -> None:
    """Die when the worker dies: nobody would wait for the answer."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if str(os.getppid()) != parent:
        raise SystemExit("The process that started this one is gone.")


if __name__ == "__main__":
    main(sys.argv[1:])
