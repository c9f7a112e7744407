from __future__ import annotations

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.logs import tail
from hypothesis import given
from hypothesis import strategies as st

LINES = st.lists(st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=["Cs"])), max_size=20)


@pytest.mark.parametrize(
    ("data", "lines", "whole", "expected"),
    [
        (b"", 3, True, ()),
        (b"", 3, False, ()),
        (b"\n", 3, True, ("",)),
        (b"a\nb\n", 1, True, ("b",)),
        (b"a\nb", 5, True, ("a", "b")),
        (b"rt of a\nb\n", 5, False, ("b",)),
        (b"rt of a line that never ends", 5, False, ("rt of a line that never ends",)),
        (b"\nb\n", 5, False, ("b",)),
        (b"a\n", 0, True, ()),
        (b"\xa9 cut\nwhole\n", 5, True, ("\ufffd cut", "whole")),
    ],
)
def test_tail(data: bytes, lines: int, whole: bool, expected: tuple[str, ...]) -> None:
    assert tail(data, lines=lines, whole=whole) == expected


@given(written=LINES, lines=st.integers(0, 25), ending=st.sampled_from(["\n", "\r\n"]))
def test_a_whole_log_gives_its_last_lines(written: list[str], lines: int, ending: str) -> None:
    data = "".join(line + ending for line in written).encode()
    assert tail(data, lines=lines, whole=True) == tuple(written[-lines:] if lines else ())


@given(written=LINES, lines=st.integers(1, 25), cut=st.integers(0, 200))
def test_the_end_of_a_log_gives_none_but_its_last_lines(written: list[str], lines: int, cut: int) -> None:
    data = "".join(line + "\n" for line in written).encode()
    found = tail(data[cut:], lines=lines, whole=False)
    if len(found) > 1:
        assert list(found) == written[-len(found) :]


@given(st.binary(max_size=300))
def test_any_bytes_are_lines(data: bytes) -> None:
    assert all("\n" not in line for line in tail(data, lines=10**6, whole=True))
