"""The ends of logs are read over datastore access, whatever their size, and whatever is wrong with them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.logs import Log, last_lines
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

from tests.support.lab import Lab

Write = Callable[[str, bytes], str]


@pytest.fixture
def write(session: Session, scripted_lab: Lab) -> Write:
    """Put a file into a VM's directory; its datastore path."""
    if "logs-of" not in scripted_lab.vms("others"):
        scripted_lab.control("POST", "/vms", {"name": "logs-of", "folder": "others"})
    datastore = scripted_lab.ready["datastore"]

    def put(name: str, content: bytes) -> str:
        answer = session.http(
            "PUT",
            f"/folder/logs-of/{name}?dcPath=DC0&dsName={datastore}",
            headers={"Content-Length": str(len(content))},
            body=content,
        )
        assert answer.status in (200, 201)
        return f"[{datastore}] logs-of/{name.replace('%20', ' ')}"

    return put


def read(session: Session, path: str, lines: int) -> Log:
    return last_lines(session, [path], datacenter="DC0", lines=lines)[path]


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        (b"", 5, ()),
        (b"one\n", 5, ("one",)),
        (b"one\r\ntwo\r\n", 5, ("one", "two")),
        (b"one\ntwo\nthree", 2, ("two", "three")),
        (b"one\n\n", 5, ("one", "")),
        (b"caf\xc3\xa9 \xff\n", 5, ("café \ufffd",)),
        (b"a\x0cb\x1cc\xe2\x80\xa8d\n", 5, ("a\x0cb\x1cc\u2028d",)),
        # More than a first look holds: a second one, which is longer.
        (b"".join(b"%07d %s\n" % (number, b"x" * 400) for number in range(1000)), 3, None),
        (b"".join(b"%07d %s\n" % (number, b"x" * 400) for number in range(1000)), 900, None),
        (b"x" * 200_000 + b"\nlast\n", 1, ("last",)),
    ],
)
def test_last_lines(
    session: Session, write: Write, content: bytes, lines: int, expected: tuple[str, ...] | None
) -> None:
    found = read(session, write("some.log", content), lines)
    assert found.reason == ""
    assert found.lines == (tuple(content.decode().splitlines()[-lines:]) if expected is None else expected)


def test_no_more_than_a_mebibyte_is_read(session: Session, write: Write) -> None:
    line = b"x" * 1023 + b"\n"
    found = read(session, write("large.log", line * 4096), 4000)
    assert len(found.lines) == 1023  # the first one of the mebibyte may be a part of a line
    assert set(found.lines) == {"x" * 1023}


def test_one_line_without_an_end(session: Session, write: Write) -> None:
    (line,) = read(session, write("endless.log", b"y" * 3_000_000), 10).lines
    assert line == "y" * 2**20


def test_many_at_once_each_by_its_path(session: Session, write: Write, scripted_lab: Lab) -> None:
    paths = [write(f"{number}%20of%20many.log", b"this is %d\n" % number) for number in range(20)]
    gone = f"[{scripted_lab.ready['datastore']}] logs-of/never-was.log"
    found = last_lines(session, [*paths, gone, "", "no path"], datacenter="DC0", lines=1)
    assert [found[path].lines for path in paths] == [(f"this is {number}",) for number in range(20)]
    assert found[gone] == Log(reason="there is no log file", missing=True)
    assert found[""].reason == found["no path"].reason == "it is not known where the log file is"


def test_what_cannot_be_read_says_why(session: Session, write: Write, scripted_lab: Lab) -> None:
    path = write("locked.log", b"secret\n")
    assert read(session, path.replace(f"[{scripted_lab.ready['datastore']}]", "[no-such-datastore]"), 5).missing
    scripted_lab.control("POST", "/sessions/expire")
    found = read(session, path, 5)
    assert found.lines == ()
    assert "HTTP 401" in found.reason
