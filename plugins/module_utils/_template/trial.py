# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a container can be cloned from a frozen template VM, seen by doing it.

No program of the user's runs: the throw-away container is taken up to the point
where its process would begin, and the command that it is given does not exist.
By then the clone has thawed, read its sealed spec, has its network, and its
engine has made and begun a container of the template's image.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import KEY_NONCE
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.template_marks import Marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    GuestFailed,
    GuestSilent,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol, sealing
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actions import Actions
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import ON
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.hardware import Hardware
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.waits import VmShows, Waiting
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.clone import CloneRequest
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import VmState

_SECONDS = 180.0
_COMMAND = "/bonneville-trial"
_NO_IMAGE = "bonneville/trial:none"
_WHAT = "The new generation runs no container"
_NEXT_STEP = "The generation before it keeps serving. Mend what the reason says, then run again"
# The container began, and its command was not found; or it was made, and the network gives no address, which is
# not the template's fault.
_SOUND = frozenset({"command_not_found", "dhcp_no_answer"})


class Trials:
    """Throw-away containers of one template. Places are managed object ids, but ``datastore`` is a name."""

    def __init__(
        self,
        session: Session,
        actions: Actions,
        *,
        folder: str,
        pools: Mapping[str, str],
        datastore: str,
    ) -> None:
        self._session = session
        self._actions = actions
        self._folder = folder
        self._pools = pools
        self._datastore = datastore

    def run(self, moid: str, name: str, *, host: str, marks: Marks) -> Waiting:
        """Clone, wait for the container, and remove it again; raises GuestFailed, GuestSilent."""
        hardware = self._actions.hardware(moid, name)
        nonce = secrets.token_hex(16)
        image = marks.images[0].name if marks.images else ""
        request = self._request(moid, name, host=host, marks=marks, hardware=hardware, nonce=nonce, image=image)
        trial = yield from self._actions.instant_clone(request)
        sound = _SOUND if image else _SOUND | {"image_missing"}
        try:
            yield VmShows(
                moid=trial,
                name=request.name,
                find=lambda state: _ran(state, nonce=nonce, template=name, sound=sound),
                awaited="a throw-away container",
                seconds=_SECONDS,
            )
        except BonnevilleError as error:
            yield from self._actions.destroy(trial, request.name, power=ON)
            if isinstance(error, GuestSilent):
                raise GuestSilent(
                    _WHAT, obj=name, why=error.why, next_step=_NEXT_STEP, details=error.details
                ) from error
            raise
        yield from self._actions.destroy(trial, request.name, power=ON)

    def _request(
        self, moid: str, name: str, *, host: str, marks: Marks, hardware: Hardware, nonce: str, image: str
    ) -> CloneRequest:
        spec = protocol.Spec(
            nonce=nonce,
            vm=name,
            template_uuid=hardware.instance_uuid,
            seed=secrets.token_hex(32),
            hostname="trial",
            network=protocol.GuestNetwork(),
            name="trial",
            image=image or _NO_IMAGE,
            pull="never",
            container={"Hostname": "trial", "Entrypoint": [_COMMAND], "Cmd": []},
        )
        own = Marks(
            template=marks.template,
            generation=marks.generation,
            host=marks.host,
            phase=marks_of.TRIAL,
            bios_uuid=str(uuid.uuid4()),
            sequence=marks.sequence,
            cluster=marks.cluster,
        )
        # What a clone may inherit of its source's is emptied.
        inherited = (protocol.KEY_PREPARE, protocol.KEY_FREEZE, protocol.KEY_KEY, protocol.KEY_STATUS)
        trial = f"{name}~trial-{nonce[:6]}"
        return CloneRequest(
            key=trial,
            name=trial,
            source=moid,
            bios_uuid=own.bios_uuid,
            extra_config={
                **own.encode(),
                KEY_NONCE: nonce,
                **dict.fromkeys(inherited, ""),
                protocol.KEY_SPEC: sealing.seal(spec.encode(), key=marks.key, obj=trial),
            },
            folder=self._folder,
            pool=self._pools[host],
            log=f"[{self._datastore}] {trial}/container.log",
        )


def _ran(state: VmState, *, nonce: str, template: str, sound: frozenset[str]) -> bool | None:
    """Whether the container got as far as it can; raises GuestFailed when it never will."""
    text = state.extra_config.get(protocol.KEY_STATUS, "")
    try:
        status = protocol.Status.decode(text) if text else None
    except protocol.ProtocolError:
        return None
    if status is None or status.nonce != nonce:
        return None
    if status.phase in ("created", "running", "exited"):
        return True
    if status.phase != "failed":
        return None
    reason = status.reason or protocol.Reason(code="internal", message="it gave no reason")
    if reason.code in sound:
        return True
    raise GuestFailed(
        _WHAT,
        obj=template,
        why=reason.message,
        next_step=_NEXT_STEP,
        details={"vm": template, "reason": {"code": reason.code, "message": reason.message}},
    )
