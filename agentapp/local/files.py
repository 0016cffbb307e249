"""Files of the stack: those that only their owner may read, and the servers that come in wheels."""

import importlib.util
import os
from pathlib import Path

from agentapp.local.problem import StackProblem


def write_private(path: Path, content: str) -> None:
    """Write a file of mode 0600; a reader sees the old content or the new, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    draft.replace(path)


def packaged(server: str, package: str, pattern: str, *, otherwise: str) -> Path:
    """Return the program of an embedded server, the newest that fits the pattern within its package.

    Raises:
        StackProblem: there is none; `otherwise` is the setting that names a server elsewhere.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise StackProblem(f"The embedded {server} is not installed: start with `make up`, or set {otherwise}.")
    found = sorted(Path(spec.submodule_search_locations[0]).glob(pattern))
    if not found:
        raise StackProblem(f"The embedded {server} has no files for this kind of machine: set {otherwise}.")
    return found[-1]
