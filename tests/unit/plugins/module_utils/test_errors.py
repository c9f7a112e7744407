"""What an error says, and what is added to it later."""

from __future__ import annotations

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, codes


@pytest.mark.parametrize(
    ("why", "message"),
    [
        ("it ended.", "Cannot start 'web': it ended; so the old one was started again. See its log."),
        ("", "Cannot start 'web': so the old one was started again. See its log."),
    ],
)
def test_what_is_added_is_a_part_of_the_cause(why: str, message: str) -> None:
    error = BonnevilleError("Cannot start", obj="web", why=why, next_step="See its log.")
    error.add("so the old one was started again.")
    assert error.message == message


def test_a_missing_library_is_a_code_like_any_other() -> None:
    assert "not installed" in codes()["library_missing"]
