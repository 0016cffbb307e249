"""Read a Procfile: one process a line, `name: shell command`."""

import re
from pathlib import Path

from agentapp.local.problem import StackProblem

_LINE = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_-]*):\s*(?P<command>\S.*)")


def read(path: Path) -> dict[str, str]:
    """Return the commands by name, in the order of the file. Blank lines and lines that start with # do not count.

    Raises:
        StackProblem: no such file, a line that is none of `name: command`, or a name that comes twice.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise StackProblem(f"{path} cannot be read ({error.strerror}): start in a checkout that has it.") from error
    commands: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise StackProblem(f"{path.name}, line {number}: write `name: command`, not {line.strip()!r}.")
        if match["name"] in commands:
            raise StackProblem(f"{path.name}, line {number}: the name {match['name']} comes twice; each needs its own.")
        commands[match["name"]] = match["command"].strip()
    return commands
