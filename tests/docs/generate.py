"""Write what of the guides follows from the code or is told elsewhere: error codes, guests' reasons, Compose keys,
privileges, and the two pages that docs/how-it-works.md is the source of.

``make docs`` runs it; a test fails where a table in the checkout is not what it would write, or lacks a code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / ".build" / "collections")]

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import codes  # noqa: E402
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.support import LEVELS  # noqa: E402
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import REASONS  # noqa: E402
from ansible_collections.bonneville.vsphere.plugins.module_utils._privileges import TASKS, needed  # noqa: E402

from tests.docs.markdown import as_rst  # noqa: E402

RST = ROOT / "docs" / "docsite" / "rst"
MODULE_UTILS = ROOT / "plugins" / "module_utils"

# What to do about each reason that a guest gives; a reason without an entry fails the run.
ADVICE = {
    "dhcp_no_answer": "No DHCP server answered on the container's network. Check the port group, or set an address.",
    "unseal_failed": "The guest could not read its specification. Build the template again.",
    "spec_rejected": "Collection and template do not understand each other. Build the template again.",
    "schema_unsupported": "The template's agent is of another version. Build the template again.",
    "image_missing": "The template does not hold the image and pulling was not allowed. Add it to the template.",
    "image_pull_failed": "The registry refused or was not reached. Check name, tag, login and the guest's network.",
    "wrong_architecture": "The image has no build for the guest's processor. Use one that has.",
    "command_not_found": "The command or entry point is not in the image. Check its spelling and path.",
    "container_create_failed": "Docker refused the container. The message has its words.",
    "container_start_failed": "Docker could not start the container. The message has its words.",
    "port_conflict": "Two published ports of the container are the same, or one is taken in the VM.",
    "docker_unavailable": "The guest's Docker Engine does not answer. Look at its console, or build the template again.",  # noqa: E501
    "disk_full": "The guest's disk is full. Build the template with a larger disk_gb.",
    "container_exited": "The container ended when it was to run. Its last lines of output are in the error.",
    "archive_damaged": "An image archive could not be loaded. Write it again with docker save.",
    "volume_missing": "The volume's disk did not appear in the guest. Run again; look at the VM's disks if it stays so.",  # noqa: E501
    "volume_unusable": "The volume's disk has no file system that the guest can mount.",
    "settings_failed": "The guest could not apply a setting, such as its host name or network. The message has which.",
    "internal": "The agent met what it did not foresee. Report it with the message.",
    "progress": "It is no failure: what the guest is doing now.",
}


def all_codes() -> dict[str, str]:
    """Every error code of the collection with its sentence, wherever its class stands."""
    import importlib

    for path in sorted(MODULE_UTILS.rglob("*.py")):
        if "BonnevilleError)" in path.read_text() and "agent" not in path.parts:
            name = path.relative_to(MODULE_UTILS).with_suffix("").as_posix().replace("/", ".")
            importlib.import_module(f"ansible_collections.bonneville.vsphere.plugins.module_utils.{name}")
    return dict(sorted(codes().items()))


def table(header: Iterable[str], rows: Iterable[Iterable[str]], widths: str) -> str:
    """A list table in reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in (tuple(header), *map(tuple, rows)):
        for number, cell in enumerate(row):
            text = cell.replace("\\", "\\\\").replace("*", "\\*").replace("|", "\\|") if "``" not in cell else cell
            lines.append(f"   {'* -' if number == 0 else '  -'} {text}".rstrip())
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """The generated files by name."""
    errors = table(
        ("error_code", "what it says"), ((f"``{code}``", text) for code, text in all_codes().items()), "25 75"
    )
    reasons = table(("reason.code", "what to do"), ((f"``{code}``", ADVICE[code]) for code in sorted(REASONS)), "25 75")
    compose = ""
    for level, keys in LEVELS.items():
        rows = (
            (f"``{name}``", key.supported, key.how, f"{key.why}. {key.instead}." if key.why else "")
            for name, key in keys.items()
        )
        compose += f"Keys of a {level}\n{'~' * (10 + len(level))}\n\n"
        compose += table(
            ("key", "supported", "what it does", "what is not honoured, and what to do"), rows, "22 10 34 34"
        )
        compose += "\n"
    troubles, fleets, first = RST / "troubleshooting.rst", RST / "fleets.rst", RST / "first_container.rst"
    return {
        **how_it_works(),
        first.name: _put(first.read_text(), "privileges", privileges()),
        troubles.name: _put(_put(troubles.read_text(), "error codes", errors), "reasons", reasons),
        fleets.name: _put(fleets.read_text(), "Compose keys", compose),
    }


def privileges() -> str:
    """Each privilege, for what it is, and by which tasks' roles it is had."""
    uses: dict[str, dict[str, None]] = {}
    for task in TASKS.values():
        for name, use in task.items():
            uses.setdefault(name, {})[use] = None
    rows = (
        (f"``{name}``", "; ".join(uses[name]), ", ".join(f"``{task}``" for task in TASKS if name in TASKS[task]))
        for name in sorted(needed(TASKS))
    )
    return table(("privilege", "for what", "tasks"), rows, "38 34 28")


def how_it_works() -> dict[str, str]:
    """The pages of the docs site that docs/how-it-works.md has: all of it, and its last chapter as one of its own."""
    text = (ROOT / "docs" / "how-it-works.md").read_text()
    before, heading, chapter = text.partition("## To verify on your vCenter\n")
    return {
        "how_it_works.rst": as_rst(before, label="how_it_works"),
        "to_verify.rst": as_rst("#" + heading[2:] + chapter, label="to_verify"),
    }


def _put(page: str, name: str, tables: str) -> str:
    """The page with the tables between its two comments of that name."""
    begin, end = f".. {name}, written by tests/docs/generate.py from the code\n", f".. end of {name}\n"
    before, _unused, rest = page.partition(begin)
    _unused, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the page has no place for the {name}")
    return f"{before}{begin}\n{tables.rstrip()}\n\n{end}{after}"


def main() -> None:
    for name, text in pages().items():
        (RST / name).write_text(text)


if __name__ == "__main__":
    main()
