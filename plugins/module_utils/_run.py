# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How every module starts, keeps to check mode, fails, and ends."""

from __future__ import annotations

import importlib.util
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.bonneville.vsphere.plugins.module_utils._argspec import ArgSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    InvalidOption,
    LibraryMissing,
    Unsupported,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._progress import Pipe, Progress
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import sdk
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import (
    Connection,
    Session,
    open_session,
)

HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
# As far as the last "@": what is refused may be no proper address, and its password has what no address may have.
_ADDRESS_LOGIN = re.compile(r"\A(https?://)?.*@", re.DOTALL | re.IGNORECASE)
# What every module needs beside pyVmomi: modules by the packages that bring them.
_LIBRARIES = {"cryptography": "cryptography", "requests": "requests"}

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a module says when it did not fail.

    ``actions`` are what was done (in check mode: what would be), each a dict
    with at least ``action``, ``name`` and ``reason``. ``before`` and ``after``
    are the diff; ``values`` are the module's own return values.
    """

    changed: bool
    actions: Sequence[Mapping[str, Any]] = ()
    before: Any = None
    after: Any = None
    values: Mapping[str, Any] = field(default_factory=dict)


class Context:
    """What a module's main function is given: its options, and the two ways to the world."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self.params: Mapping[str, Any] = module.params
        self.check_mode: bool = module.check_mode
        self.progress: Progress = Pipe()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One login to vCenter for the time of the block."""
        params = self.params
        for port in ("vcenter_port", "proxy_port"):
            if params[port] is not None and not 0 < params[port] < 65536:
                raise InvalidOption(
                    "Cannot use the option", obj=port, why=f"{params[port]} is no TCP port", next_step="Use 1 to 65535"
                )
        connection = Connection(
            hostname=params["vcenter_hostname"],
            username=params["vcenter_username"],
            password=params["vcenter_password"],
            port=params["vcenter_port"],
            validate_certs=params["validate_certs"],
            proxy_host=params["proxy_host"] or "",
            proxy_port=params["proxy_port"] or 0,
        )
        with open_session(connection) as session:
            yield session

    def apply(self, plan: T, carry_out: Callable[[T], None]) -> bool:
        """The one guard of check mode: carry the plan out, unless nothing may be changed. True where it was."""
        if self.check_mode:
            return False
        carry_out(plan)
        return True

    def warn(self, message: str) -> None:
        """Show a warning beside the result."""
        self._module.warn(message)


def run(spec: ArgSpec, main: Callable[[Context], Result], *, libraries: Mapping[str, str] | None = None) -> None:
    """Be a module: read the arguments, do ``main``, print the result, exit.

    Args:
        libraries: what the module needs beside what all do: modules by the packages that bring them.
    """
    started = time.monotonic()
    module = _Module(spec)
    _require_libraries(module, _LIBRARIES | dict(libraries or {}))
    invocation = {"module_args": redacted(module.params, spec)}
    # AWX cancels a job by SIGTERM. As an exception it runs every `finally` on its way
    # out, so the session is logged out.
    signal.signal(signal.SIGTERM, _terminated)
    try:
        result = main(Context(module))
    except BonnevilleError as error:
        details = {**error.details, "actions": error.details.get("actions", [])}
        module.fail_json(msg=error.message, error_code=error.code, invocation=invocation, **details)
    answer: dict[str, Any] = {
        **result.values,
        "changed": result.changed,
        "actions": list(result.actions),
        "timings": {"total": round(time.monotonic() - started, 3)},
    }
    if module._diff:
        answer["diff"] = {"before": result.before or {}, "after": result.after or {}}
    module.exit_json(invocation=invocation, **answer)


def redacted(params: Mapping[str, Any], spec: ArgSpec) -> dict[str, Any]:
    """The arguments with every secret value, and every login in an address, hidden; keys stay to show what was given.

    They may be those of a task that is refused: what stands where a secret
    belongs is hidden, whatever it is.
    """
    shown = dict(params)
    secret = (*spec.secret, *(name for name, option in spec.options.items() if option.get("no_log")))
    hiding = {**dict.fromkeys(spec.addresses, _without_login), **dict.fromkeys(secret, lambda value: HIDDEN)}
    for path, hide in hiding.items():
        name, *rest = path.split(".")
        for given in (name, *spec.options.get(name, {}).get("aliases", ())):
            if given in shown:
                shown[given] = _hidden(shown[given], rest, hide)
    return shown


def _hidden(value: Any, path: Sequence[str], hide: Callable[[Any], Any]) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [_hidden(one, path, hide) for one in value]
    if not isinstance(value, dict):
        return hide(value)
    if not path:
        return {key: hide(one) for key, one in value.items()}
    return {key: _hidden(one, path[1:], hide) if key == path[0] else one for key, one in value.items()}


def _without_login(value: Any) -> Any:
    text = str(value)
    return _ADDRESS_LOGIN.sub(rf"\g<1>{HIDDEN}@", text) if "@" in text else value


class _Module(AnsibleModule):  # type: ignore[misc]
    """AnsibleModule that leaves option values out of the system log: some are secrets inside plain dicts."""

    def __init__(self, spec: ArgSpec) -> None:
        self._spec = spec
        super().__init__(supports_check_mode=True, **spec.module_arguments())

    def fail_json(self, msg: str, **kwargs: Any) -> NoReturn:
        """Fail without showing a secret, and with a code, also where Ansible itself refuses the arguments.

        For options that are refused on purpose, it says what to do instead.
        """
        kwargs.setdefault("invocation", {"module_args": redacted(self.params, self._spec)})
        refused = sorted(self._spec.refused.keys() & self.params.keys())
        if refused and msg.startswith("Unsupported parameters"):
            told = "; ".join(f"{name}: {self._spec.refused[name]}" for name in refused)
            msg = f"A container that is a VM has no such thing as {', '.join(refused)}. Leave it out; {told}."
            kwargs = {"error_code": Unsupported.code, "options": refused, **kwargs}
        kwargs.setdefault("error_code", InvalidOption.code)
        super().fail_json(msg, **kwargs)
        raise AssertionError("fail_json ends the process")

    def _log_invocation(self) -> None:
        self.log(f"Invoked with the options {', '.join(sorted(name for name, value in self.params.items() if value))}")


def _require_libraries(module: AnsibleModule, libraries: Mapping[str, str]) -> None:
    if sdk.MISSING:
        module.fail_json(msg=missing_required_lib("pyvmomi"), error_code=LibraryMissing.code, exception=sdk.MISSING)
    for package, name in libraries.items():
        if importlib.util.find_spec(name) is None:
            module.fail_json(msg=missing_required_lib(package), error_code=LibraryMissing.code)


def _terminated(signum: int, frame: object) -> NoReturn:
    raise SystemExit(f"ended by signal {signum}")
