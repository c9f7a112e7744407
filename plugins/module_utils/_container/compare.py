# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a container that stands is the one that is wanted, option by option. Pure.

As Docker's Ansible users know it: only options that the user set are compared;
values and lists have to be equal, sets and dictionaries may hold more; the user
can say otherwise per option. A fleet's containers have to be what its files say, no
more and no less. Compared with is what the container was made from,
as its marks record it. A sealed spec is given once, before the container
exists, so no option can be changed in place: every difference means a new one.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import secrets
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import (
    ALLOW_MORE,
    DICT,
    IGNORE,
    LIST,
    OPTIONS,
    SET,
    STRICT,
    VALUE,
    Option,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.spec import ContainerSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.values import invalid

# Options that the user knows by other names, or that become several.
_ALIASES = {
    "env_file": ("env",),
    "volumes": ("volumes", "named_volumes", "volume_names", "external_volumes", "files"),
    "mounts": ("volumes", "named_volumes", "volume_names", "external_volumes", "files", "tmpfs"),
    "ports": ("published_ports",),
    "exposed": ("exposed_ports",),
    "expose": ("exposed_ports",),
}
_HIDDEN = "(secret)"


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What a container was made from: its options, digests of its secrets, and its image's id where it was known."""

    options: Mapping[str, Any] = field(default_factory=dict)
    digests: secrets.Digests = field(default_factory=secrets.Digests)
    image_id: str = ""
    readable: bool = True


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One option that is not as wanted; values of secrets are replaced by words."""

    option: str
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All differences of one container, in the order of their options' names."""

    differences: tuple[Difference, ...] = ()

    @property
    def equal(self) -> bool:
        return not self.differences

    @property
    def reason(self) -> str:
        """Why a new container is needed, in words."""
        return f"changed: {', '.join(one.option for one in self.differences)}" if self.differences else ""

    @property
    def before(self) -> dict[str, Any]:
        return {one.option: one.before for one in self.differences}

    @property
    def after(self) -> dict[str, Any]:
        return {one.option: one.after for one in self.differences}


def read_comparisons(value: Mapping[str, Any] | None) -> dict[str, str]:
    """The user's ``comparisons`` as one rule for every option. Raises InvalidOption."""
    given = dict(value or {})
    everything = given.pop("*", None)
    if everything not in (None, STRICT, IGNORE):
        raise invalid("comparisons.*", everything, "it stands for all options", f"Use {STRICT} or {IGNORE}")
    rules = {name: everything or option.comparison for name, option in OPTIONS.items()}
    for written, rule in given.items():
        for name in _ALIASES.get(written, (written,)):
            option = OPTIONS.get(name)
            if option is None:
                close = difflib.get_close_matches(str(written), sorted(OPTIONS.keys() | _ALIASES.keys()), n=3)
                hint = f"Did you mean {' or '.join(close)}" if close else "Name an option of the container"
                raise invalid("comparisons", written, "there is no such option to compare", hint)
            if rule not in (STRICT, IGNORE, ALLOW_MORE) or (rule == ALLOW_MORE and option.kind == VALUE):
                allowed = f"{STRICT} or {IGNORE}" if option.kind == VALUE else f"{STRICT}, {IGNORE} or {ALLOW_MORE}"
                raise invalid(f"comparisons.{written}", rule, "it cannot be compared so", f"Use {allowed}")
            rules[name] = rule
    return rules


def compare(
    wanted: ContainerSpec,
    applied: Applied,
    *,
    rules: Mapping[str, str],
    image_ids: Collection[str] = (),
    scope: str,
    digest_key: str,
    exact: bool = False,
) -> Comparison:
    """Find every option in which ``applied`` is not what is wanted.

    Args:
        rules: of ``read_comparisons``.
        image_ids: what the image's name stands for in the template now; empty where it holds none.
        scope: the service, as its secrets were digested for.
        exact: an option that is not wanted has to be as if it had never been set.

    Raises:
        InvalidOption: secrets were recorded under another digest key.
    """
    if not applied.readable:
        return Comparison(differences=(Difference(option="marks", before="unreadable", after="recorded"),))
    options, hidden = dict(wanted.options), dict(wanted.secrets)
    if exact:
        options = {name: _unset(OPTIONS[name]) for name in applied.options} | options
        hidden = {name: {} for name in applied.digests.names} | hidden
    found = [
        Difference(option=name, before=_plain(_before(OPTIONS[name], applied)), after=_plain(value))
        for name, value in options.items()
        if rules[name] != IGNORE and not matches(OPTIONS[name], value, _before(OPTIONS[name], applied), rules[name])
    ]
    for name, values in hidden.items():
        if rules[name] == IGNORE:
            continue
        allow_more = rules[name] == ALLOW_MORE
        changes = secrets.changed(name, values, applied.digests, scope=scope, key=digest_key, allow_more=allow_more)
        if changes:
            found.append(_secret(name, changes))
    moved = applied.image_id and image_ids and applied.image_id not in image_ids
    if moved and rules["image"] != IGNORE and all(one.option != "image" for one in found):
        found.append(Difference(option="image", before=applied.image_id, after=", ".join(sorted(image_ids))))
    return Comparison(differences=tuple(sorted(found, key=lambda one: one.option)))


def matches(option: Option, wanted: Any, actual: Any, rule: str) -> bool:
    """Whether one option's actual value satisfies the wanted one under a rule."""
    wanted, actual = _plain(wanted), _plain(actual)
    if rule == STRICT or option.kind == VALUE or actual is None:
        return bool(sorted(wanted) == sorted(actual) if option.kind == SET and actual is not None else wanted == actual)
    if option.kind == DICT:
        return all(name in actual and actual[name] == value for name, value in wanted.items())
    if option.kind == LIST:
        rest = iter(actual)
        return all(entry in rest for entry in wanted)
    return set(wanted) <= set(actual)


def _before(option: Option, applied: Applied) -> Any:
    return applied.options.get(option.name, option.default)


def _unset(option: Option) -> Any:
    return () if option.default is None and option.kind in (LIST, SET) else option.default


def _secret(option: str, changes: Mapping[str, str]) -> Difference:
    return Difference(
        option=option,
        before={name: _HIDDEN for name, change in changes.items() if change != "added"},
        after={name: f"{_HIDDEN[:-1]}, {change})" for name, change in changes.items() if change != "removed"},
    )


def _plain(value: Any) -> Any:
    """As JSON would carry it, so that what was recorded and what is wanted are of one type."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in sorted(value.items())}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value
