"""The documents' tables are what the code says, and none of its codes is missing."""

from __future__ import annotations

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import REASONS

from tests.docs.generate import ADVICE, ROOT, RST, all_codes, pages

PAGES = ["first_container.rst", "fleets.rst", "how_it_works.rst", "to_verify.rst", "troubleshooting.rst"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_its_source_says(name: str) -> None:
    assert (RST / name).read_text() == pages()[name], "run 'make docs' and commit what it wrote"


def test_no_code_is_missing() -> None:
    text = (RST / "troubleshooting.rst").read_text()
    assert [code for code in (*all_codes(), *REASONS) if f"``{code}``" not in text] == []
    assert set(ADVICE) == set(REASONS)


def test_every_generated_page_is_compared() -> None:
    assert sorted(pages()) == PAGES


def test_the_readme_tells_of_every_module() -> None:
    readme = (ROOT / "README.md").read_text()
    modules = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
    assert [name for name in modules if f"| `{name}` |" not in readme] == []
