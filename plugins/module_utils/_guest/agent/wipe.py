# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a program that handles the sealing key, and leave nothing of the key in the memory that it had.

The kernel takes a process's memory back as it is, and what lies in a template's free
memory when it freezes is in every clone. So the process is held at its very end, and
all that it could write to is overwritten before the kernel gets it.
"""

from __future__ import annotations

import os
import signal
import threading

from .shell import ENVIRONMENT, Done, journal

# ptrace(2).
_CONT, _SEIZE = 7, 0x4206
_EVENT_EXIT = 6
_AT_EXIT = 1 << _EVENT_EXIT
# malloc gives nothing back to the kernel while the program runs: neither the heap's top, nor large pieces.
_KEEP = {"MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_MMAP_MAX_": "0"}
# It begins once it is traced, at the end of its fourth file.
_BEGIN = 'read -r _ <&3; exec "$@" 3<&-'
_BLOCK = 1024 * 1024


def run_wiped(argv: list[str], *, data: bytes = b"", timeout: float = 30.0) -> Done:
    """As ``run``; where the program's memory cannot be overwritten, the journal says why."""
    # Files without names: a pipe would have to be read while the process is held.
    given, out, err = (os.memfd_create(argv[0]) for _unused in range(3))
    wait, begin = os.pipe()
    try:
        os.write(given, data)
        os.lseek(given, 0, os.SEEK_SET)
        # In a guest there is no AnsibleModule, whose run_command pylint would rather see.
        # pylint: disable-next=ansible-bad-function
        pid = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", _BEGIN, "sh", *argv],
            {**ENVIRONMENT, **_KEEP},
            file_actions=[(os.POSIX_SPAWN_DUP2, file, number) for number, file in enumerate((given, out, err, wait))],
            setsigdef=[signal.SIGPIPE],
        )
        _hold(pid)
        os.close(begin)
        begin = -1
        code = _end(pid, timeout)
        said = [os.pread(file, os.fstat(file).st_size, 0) for file in (out, err)]
    finally:
        for file in (given, out, err, wait, begin):
            if file >= 0:
                os.close(file)
    if code == -signal.SIGKILL:
        said[1] = f"{argv[0]} did not end within {timeout} s".encode()
    return Done(code=code, out=said[0], err=said[1])


def _hold(pid: int) -> None:
    """Have the process stop when it ends, with its memory as it was."""
    refused = _ptrace(_SEIZE, pid, _AT_EXIT)
    if refused:
        journal(f"what openssl leaves in memory is not overwritten: {refused}")


def _end(pid: int, timeout: float) -> int:
    """Wait for its end, and overwrite what it had; its exit code, negative for a signal's number."""
    late = threading.Timer(timeout, os.kill, (pid, signal.SIGKILL))
    late.start()
    ended = False
    try:
        while True:
            _pid, status = os.waitpid(pid, 0)
            if not os.WIFSTOPPED(status):
                ended = True
                return os.waitstatus_to_exitcode(status)
            event = status >> 16
            if event == _EVENT_EXIT:
                _overwrite(pid)
            _ptrace(_CONT, pid, 0 if event else os.WSTOPSIG(status))
    finally:
        late.cancel()
        if not ended:
            os.kill(pid, signal.SIGKILL)


def _overwrite(pid: int) -> None:
    """Zeros over all that a process can write to and has for itself."""
    try:
        with open(f"/proc/{pid}/maps", "rb") as maps, open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            for line in maps:
                span, rights = line.split()[:2]
                if not (rights.startswith(b"rw") and rights.endswith(b"p")):
                    continue
                place, end = (int(address, 16) for address in span.split(b"-"))
                memory.seek(place)
                while place < end:
                    place += memory.write(bytes(min(end - place, _BLOCK)))
    except OSError as error:
        journal(f"what openssl leaves in memory is not overwritten: {error.strerror}")


def _ptrace(request: int, pid: int, data: int) -> str:
    """ptrace(2), with no address; "" or why it failed."""
    try:
        # Only whoever has a key to hide pays for the import.
        import ctypes
    except ImportError as error:
        return str(error)
    call = ctypes.CDLL(None, use_errno=True).ptrace
    call.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    call.restype = ctypes.c_long
    return "" if call(request, pid, None, data) == 0 else os.strerror(ctypes.get_errno())
