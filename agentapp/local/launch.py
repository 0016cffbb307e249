"""Become another program, one that ends when its parent dies. Run as a file, on the standard library alone:

    python -I -S launch.py PARENT_PID SIGNAL UID GID REACH PROGRAM [ARGUMENT ...]

A file and not subprocess's `preexec_fn`: that one runs Python in a forked copy of a process with threads, and can hang.
UID -1 keeps the account. REACH 1 keeps the right to pass through directories closed to the new account, and no other
right: a server refuses to run as root, but a checkout under /root must work as it is, without a chmod of /root.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_SECBIT_NO_SETUID_FIXUP = 4
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Sets(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def _require(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _reach() -> int:
    """Return the number of the right to pass closed directories that we hold: the narrow one, else the wide one."""
    status = Path("/proc/self/status").read_text()
    held = int(status.split("CapPrm:")[1].split()[0], 16)
    return _CAP_DAC_READ_SEARCH if held >> _CAP_DAC_READ_SEARCH & 1 else _CAP_DAC_OVERRIDE


def _change_account(libc: ctypes.CDLL, *, uid: int, gid: int, keep_reach: bool) -> None:
    capability = _reach() if keep_reach else 0
    if keep_reach:
        # Rights survive the change of account, and count for access(2) too, which Postgres asks about its own files.
        _require(libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0), "keep capabilities")
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if keep_reach:
        bit = 1 << capability
        sets = (_Sets * 2)(_Sets(bit, bit, bit), _Sets(0, 0, 0))
        _require(libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), ctypes.byref(sets)), "set capabilities")
        _require(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0), "raise a capability")


def main(arguments: list[str]) -> None:
    parent, death_signal, uid, gid, reach = (int(argument) for argument in arguments[:5])
    program = arguments[5:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if uid >= 0:
            _change_account(libc, uid=uid, gid=gid, keep_reach=bool(reach))
        # After the change of account, which clears it.
        _require(libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0), "ask for the signal")
    if os.getppid() != parent:  # it died before we asked
        raise SystemExit("The process that started this one is gone.")
    os.execvp(program[0], program)  # noqa: S606 - a list, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
