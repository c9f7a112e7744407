# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes a clone another machine than its template: clock, randomness, names, keys."""

from __future__ import annotations

import fcntl
import glob
import os
import socket
import struct
import time

from . import state
from .shell import journal, run

_RTC = "/dev/rtc0"
_RTC_RD_TIME = 0x80247009
_RNDRESEEDCRNG = 0x5207
# The RTC counts whole seconds; less than this is no jump.
_CLOCK_SLACK = 2.0
_SSH_KEYS = "/etc/ssh/ssh_host_*"


def set_clock() -> None:
    """Set the clock, which stood still while frozen, from the VM's RTC (UTC); nothing where there is no RTC."""
    try:
        with open(_RTC, "rb") as file:
            raw = fcntl.ioctl(file, _RTC_RD_TIME, bytes(36))
    except OSError:
        return
    # Only a VM with an RTC pays for the import.
    from datetime import datetime, timezone

    second, minute, hour, day, month, year = struct.unpack("6i", raw[:24])
    now = datetime(year + 1900, month + 1, day, hour, minute, second, tzinfo=timezone.utc).timestamp()
    if abs(now - time.time()) < _CLOCK_SLACK:
        return
    try:
        time.clock_settime(time.CLOCK_REALTIME, now)
    except OSError as error:
        journal(f"clock: {error.strerror}")
        return
    # It believes in the offset that it measured before the freeze.
    run(["systemctl", "--no-block", "try-restart", "systemd-timesyncd.service"])


def reseed(seed: str) -> None:
    """Mix the host's token into the kernel's generator, whose state is the template's, and have it used at once."""
    with open("/dev/urandom", "wb", buffering=0) as file:
        file.write(bytes.fromhex(seed))
        try:
            fcntl.ioctl(file, _RNDRESEEDCRNG)
        except OSError as error:
            journal(f"the random generator was fed, not reseeded: {error.strerror}")


def set_names(hostname: str) -> None:
    """A machine-id of its own, and the host name, now and at every boot."""
    # In place: these files may be mounts, which cannot be replaced.
    for path, text in (("/etc/machine-id", os.urandom(16).hex()), ("/etc/hostname", hostname)):
        with open(path, "w", encoding="ascii") as file:
            file.write(text + "\n")
    try:
        socket.sethostname(hostname)
    except OSError as error:
        journal(f"host name: {error.strerror}")
    short = hostname.partition(".")[0]
    with open("/etc/hosts", "a+", encoding="utf-8", errors="replace") as file:
        file.seek(0)
        kept = [line for line in file if not line.startswith("127.0.1.1")]
        file.truncate(0)
        file.writelines([*kept, f"127.0.1.1\t{hostname}{' ' + short if short != hostname else ''}\n"])


def drop_ssh_keys() -> bool:
    """Before the freeze: stop sshd and remove its host keys, which no two VMs may share; True if there were any."""
    keys = glob.glob(_SSH_KEYS)
    if keys:
        run(["systemctl", "stop", "sshd.service"])
    for key in keys:
        state.remove(key)
    return bool(keys)


def make_ssh_keys() -> None:
    """Give sshd host keys of this VM's own and start it again."""
    for command in (["ssh-keygen", "-A"], ["systemctl", "--no-block", "start", "sshd.service"]):
        done = run(command)
        if done.code:
            journal(f"{command[0]}: {done.said}")


def memory_mb() -> int:
    """The memory that this guest sees."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1024 * 1024)
