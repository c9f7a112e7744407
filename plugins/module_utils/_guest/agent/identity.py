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

from . import places, state
from .shell import journal, run

_RTC = "/dev/rtc0"
_RTC_RD_TIME = 0x80247009
_RNDRESEEDCRNG = 0x5207
# The RTC counts whole seconds; less than this is no jump.
_CLOCK_SLACK = 2.0
_SSH_KEYS = "/etc/ssh/ssh_host_*"
_MACHINE_ID = "/etc/machine-id"
# A link to the other on most systems; a file of its own counts before it when that is empty.
_DBUS_ID = "/var/lib/dbus/machine-id"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
# What systemd feeds the generator with at the next boot.
_NEXT_SEED = "/var/lib/systemd/random-seed"
_JOURNALD = "/run/systemd/journal/socket"


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
    behind = now - time.time()
    if abs(behind) < _CLOCK_SLACK:
        return
    try:
        time.clock_settime(time.CLOCK_REALTIME, now)
    except OSError as error:
        journal(f"clock: {error.strerror}")
        return
    journal(f"the clock was {behind:.0f} s behind the VM's RTC")
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


def forget_machine_id() -> None:
    """Have the next boot make a new one: this disk is about to be copied, and DHCP servers know clients by it."""
    with open(_MACHINE_ID, "w", encoding="ascii"):
        pass
    if not os.path.islink(_DBUS_ID):
        state.remove(_DBUS_ID)


def set_names(hostname: str) -> None:
    """A machine-id of its own, and the host name, now and at every boot; a boot id until then."""
    own = os.urandom(16).hex()
    named = [(_MACHINE_ID, own), ("/etc/hostname", hostname)]
    if os.path.exists(_DBUS_ID) and not os.path.islink(_DBUS_ID):
        named.append((_DBUS_ID, own))
    # In place: these files may be mounts, which cannot be replaced.
    for path, text in named:
        with open(path, "w", encoding="ascii") as file:
            file.write(text + "\n")
    _set_boot_id()
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


def _set_boot_id() -> None:
    """Whoever asks for the boot's id finds one of this VM's own; the kernel's is in the memory that was copied."""
    raw = bytearray(os.urandom(16))
    raw[6], raw[8] = raw[6] & 0x0F | 0x40, raw[8] & 0x3F | 0x80  # RFC 4122, random
    text = raw.hex()
    own = f"{places.RUN}/boot_id"
    state.write(own, "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:])).encode() + b"\n", mode=0o444,
                durable=False)  # fmt: skip
    done = run(["mount", "--bind", own, _BOOT_ID])
    if done.code:
        journal(f"the boot id is the template's: {done.said}")


def settle(*, ssh: bool) -> None:
    """What need not keep the container waiting: the next boot's seed, the journal, and sshd if it ran before."""
    if os.path.exists(_NEXT_SEED):
        state.write(_NEXT_SEED, os.urandom(512), mode=0o600, durable=False)
    if os.path.exists(_JOURNALD):
        # It writes under the machine-id that it began with, where nobody looks for this machine's journal.
        run(["systemctl", "--no-block", "restart", "systemd-journald.service"])
    if ssh:
        make_ssh_keys()


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
