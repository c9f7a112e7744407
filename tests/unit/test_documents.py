"""The documents' tables are what the code says, and none of its codes is missing."""

from __future__ import annotations

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import REASONS

from tests.docs.generate import ADVICE, RST, all_codes, pages


@pytest.mark.parametrize("name", ["fleets.rst", "troubleshooting.rst"])
def test_a_table_is_what_the_code_says(name: str) -> None:
    assert (RST / name).read_text() == pages()[name], "run 'make docs' and commit what it wrote"


def test_no_code_is_missing() -> None:
    text = (RST / "troubleshooting.rst").read_text()
    assert [code for code in (*all_codes(), *REASONS) if f"``{code}``" not in text] == []
    assert set(ADVICE) == set(REASONS)
