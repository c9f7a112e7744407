# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet's plan as a document that people review and machines compare. Pure.

Nothing in it depends on when it was made, on vCenter's ids, or on the order of
anything: the same files and the same fleet give the same bytes. Its schema is
``docs/plan.schema.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import secrets
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.spec import ContainerSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import (
    CREATE,
    RECREATE,
    REMOVE,
    UNCHANGED,
    Action,
    Plan,
    Service,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption, PlanDiffers

SCHEMA = 1
UPDATE = "update"
SECTIONS = (CREATE, UPDATE, RECREATE, REMOVE, UNCHANGED)
_SIGNS = {CREATE: "+", UPDATE: "^", RECREATE: "~", REMOVE: "-", UNCHANGED: "="}
_HIDDEN = "(secret)"
# What a container is doing while it is looked at is no part of a plan.
_PASSING = ("state",)
_SHOWN_HMAC = 12


@dataclass(frozen=True, kw_only=True)
class PlanDocument:
    """The document, and what is said of it."""

    content: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """Over the canonical form: sorted keys, no blanks, UTF-8."""
        return hashlib.sha256(canonical(self.content)).hexdigest()

    @property
    def summary(self) -> str:
        """One line, such as ``+ 3 create, ~ 1 recreate (image), - 1 remove, = 12 unchanged``."""
        parts = []
        for section in SECTIONS:
            entries = self.content[section]
            if entries:
                causes = sorted({cause for entry in entries for cause in _causes(section, entry)})
                named = f" ({', '.join(causes)})" if causes else ""
                parts.append(f"{_SIGNS[section]} {len(entries)} {section}{named}")
        if self.content["removed_volumes"]:
            parts.append(f"- {len(self.content['removed_volumes'])} volume with all that is on it")
        return ", ".join(parts) or "= 0 unchanged"


def canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def document(
    plan: Plan, *, fleet: str, folder: str, orphans: Iterable[str] = (), removed_volumes: Iterable[str] = ()
) -> PlanDocument:
    """A plan as a document: each container once, in the section of the most that is done to it.

    Args:
        orphans: names of containers that the files name no longer and that stay.
        removed_volumes: names of the disks that go, with all that is on them.
    """
    by_container: dict[tuple[str, str], list[Action]] = {}
    for action in plan.actions:
        # A second VM of a container is removed beside what is done to the first.
        by_container.setdefault((action.name, REMOVE if action.kind == REMOVE else ""), []).append(action)
    sections: dict[str, list[dict[str, Any]]] = {section: [] for section in SECTIONS}
    for (name, _unused), actions in sorted(by_container.items()):
        section = _section(actions)
        sections[section].append(_entry(name, section, actions))
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "fleet": fleet,
        "folder": folder,
        "counts": {section: len(entries) for section, entries in sections.items()},
        "orphans": sorted(orphans),
        "removed_volumes": sorted(removed_volumes),
        **sections,
    }
    # As JSON carries it, so that what is returned is what was counted.
    return PlanDocument(content=json.loads(canonical(content)))


def check_expected(found: PlanDocument, expected: str) -> None:
    """Refuse any plan but the one that was reviewed, given by its SHA-256 or as the file that it was written to.

    Raises: PlanDiffers with both digests and, where the plan itself was given, all that is different; InvalidOption.
    """
    if not expected:
        return
    known = None if _is_digest(expected) else _read(expected)
    wanted = expected.lower() if known is None else PlanDocument(content=known).sha256
    if wanted == found.sha256:
        return
    differences = differing(known, found.content) if known is not None else []
    told = f"; different are {'; '.join(differences)}" if differences else ""
    raise PlanDiffers(
        "What would be done is not the plan that was expected",
        obj=found.content["fleet"],
        why=f"expected is {wanted}, and it is {found.sha256}: {found.summary}{told}",
        next_step="Review the new plan, and give its plan_sha256 in expected_plan",
        details={
            "expected_sha256": wanted,
            "plan_sha256": found.sha256,
            "plan": dict(found.content),
            "summary": found.summary,
            "differences": differences,
        },
    )


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """In words, container by container, how two plans differ."""
    old, new = _places(before), _places(after)
    found = []
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            found.append(f"{name}: was {old[name][0]}, is not there")
        elif name not in old:
            found.append(f"{name}: was not there, is {new[name][0]}")
        elif old[name][0] != new[name][0]:
            found.append(f"{name}: was {old[name][0]}, is {new[name][0]}")
        elif old[name][1] != new[name][1]:
            found.append(f"{name}: is {new[name][0]} as before, with other values")
    for key in ("fleet", "folder", "orphans", "removed_volumes"):
        if before.get(key) != after.get(key):
            found.append(f"{key}: was {before.get(key)}, is {after.get(key)}")
    return found


def _section(actions: Iterable[Action]) -> str:
    kinds = {action.kind for action in actions}
    for kind in (CREATE, RECREATE, REMOVE):
        if kind in kinds:
            return kind
    return UNCHANGED if kinds == {UNCHANGED} else UPDATE


def _entry(name: str, section: str, actions: list[Action]) -> dict[str, Any]:
    first = actions[0]
    entry: dict[str, Any] = {"container": name, "service": first.service.name}
    if section == UNCHANGED:
        return entry
    working = sorted((action for action in actions if action.kind != UNCHANGED), key=lambda one: one.kind)
    entry["actions"] = [action.kind for action in working]
    entry["reason"] = "; ".join(action.reason for action in working)
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for action in working:
        before |= action.before
        after |= action.after
    if section == CREATE:
        after = _whole(first.service)
    if section == REMOVE:
        before = {key: value for key, value in before.items() if key not in _PASSING}
    if section == RECREATE:
        after |= _digests(first.service)
    return {**entry, "before": before, "after": after}


def _whole(service: Service) -> dict[str, Any]:
    """All that a new container is made from; of secrets their names, with a digest key each one's digest."""
    spec = service.spec
    if spec is None:
        return {}
    return {**dict(spec.options), **_secret_names(spec), **_digests(service), "state": service.state}


def _secret_names(spec: ContainerSpec) -> dict[str, Any]:
    return {option: dict.fromkeys(sorted(values), _HIDDEN) for option, values in spec.secrets.items() if values}


def _digests(service: Service) -> dict[str, Any]:
    """With a digest key another value of a secret is another plan; without one it cannot be told apart."""
    spec = service.spec
    if spec is None or not service.digest_key or not any(spec.secrets.values()):
        return {}
    made = secrets.digest(spec.secrets, scope=service.identity("").scope, key=service.digest_key, salt="")
    listed = {option: {name: mac[:_SHOWN_HMAC] for name, mac in names.items()} for option, names in made.names.items()}
    return {"secret_digests": listed}


def _causes(section: str, entry: Mapping[str, Any]) -> Iterable[str]:
    """What the summary says in brackets: the options that changed, or the steps that are taken."""
    if section == UPDATE:
        return entry["actions"]  # type: ignore[no-any-return]
    if section != RECREATE:
        return ()
    changed = [key for key in entry["after"] if key != "secret_digests"]
    return changed or [entry["reason"].partition(":")[0]]


def _places(content: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Each container's section and entry, by its name."""
    found = {}
    for section in SECTIONS:
        for entry in content.get(section) or ():
            found[str(entry.get("container"))] = (section, entry)
    return found


def _is_digest(text: str) -> bool:
    return len(text) == 64 and all(letter in "0123456789abcdef" for letter in text.lower())


def _read(path: str) -> dict[str, Any]:
    try:
        content = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or not isinstance(content.get("fleet"), str):
        raise _unreadable(path, "it is no plan of this version")
    return content


def _unreadable(path: str, why: str) -> InvalidOption:
    return InvalidOption(
        "Cannot use expected_plan",
        obj=path,
        why=why,
        next_step="Give a plan's SHA-256, or the file that the plan was written to",
        details={"option": "expected_plan"},
    )
