# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How one template VM is made or mended, step by step.

Each VM's work is a generator: it does what takes no time and yields what it
waits for (``waits``). All of them run side by side over one Watch, so hosts are
worked on in parallel without a thread for each; they meet at the donor, the
one VM that holds the images and that the others are cloned from.

A VM whose build ended half-way is told by its marks, and the next run goes on
from there. Only one that never held its images is destroyed again at once.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.template_marks import Image, Marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import bundle, orders, protocol, sealing
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actions import Actions
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import ON, Host, TemplateVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.hardware import Hardware, extra, settle
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.loading import ArchiveDisks
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.plan import (
    CLONE,
    FETCH,
    FREEZE,
    IMPORT,
    MOVE,
    REFREEZE,
    VERIFY,
    Step,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.site import Site
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import Login, TemplateSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.switch import Switch
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.trial import Trials
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.waits import (
    Flow,
    OthersDid,
    Room,
    Spoken,
    Told,
    VmShows,
    Waiting,
    frozen,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import network_backing
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova_import import ImportPlace, import_ova
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

# From power-on to the agent's first word: a boot, cloud-init and the agent's installation.
_FIRST_WORD_SECONDS = 600.0
_FREEZE_SECONDS = 120.0
# Hosts that are worked on side by side: as many clones as vCenter makes at a time, and boots that a datastore bears.
_HOSTS_AT_A_TIME = 16


@dataclass(frozen=True, kw_only=True)
class Work:
    """A template VM in the making."""

    moid: str
    name: str
    host: Host
    marks: Marks


class Builder:
    """Carries out a plan's steps, once. ``milestones`` has, per VM, the seconds at which each was reached."""

    def __init__(
        self,
        session: Session,
        *,
        spec: TemplateSpec,
        sequence: int,
        site: Site,
        logins: tuple[Login, ...],
        deadline: Deadline,
        progress: Callable[[str], None],
    ) -> None:
        self._session = session
        self._actions = Actions(session)
        self._spec = spec
        self._sequence = sequence
        self._site = site
        self._logins = logins
        self._deadline = deadline
        self._progress = progress
        self._disks = ArchiveDisks(
            session, self._actions, datacenter=site.datacenter, archives=spec.archives, progress=progress
        )
        self._trials = Trials(
            session, self._actions, folder=site.folder.moid, pools=site.pools, datastore=site.datastore.name
        )
        self._began = time.monotonic()
        self._donor: Work | None = None
        self._donor_failed: BonnevilleError | None = None
        self._to_clone: set[str] = set()
        self._room = Room(_HOSTS_AT_A_TIME)
        self._switch = self._switch_of(())
        self._told: defaultdict[str, Told] = defaultdict(Told)
        self.milestones: dict[str, dict[str, float]] = {}

    @property
    def retired(self) -> Mapping[str, tuple[str, ...]]:
        """Of VMs that had to be kept: the names of the VMs that depend on them, by the steps' keys."""
        return self._switch.retired

    def flows(self, steps: tuple[Step, ...]) -> dict[str, Flow]:
        """The work of each step, by its key."""
        self._to_clone = {step.name for step in steps if step.makes == CLONE}
        self._switch = self._switch_of(steps)
        return {step.key: self._flow(step) for step in steps}

    def _switch_of(self, steps: tuple[Step, ...]) -> Switch:
        return Switch(self._session, self._actions, steps, destroy=self._destroy, progress=self._progress)

    def _flow(self, step: Step) -> Flow:
        failed: BonnevilleError | None = None
        try:
            yield from self._switch.put_aside(step) if step.aside else self._carry_out(step)
        except BonnevilleError as error:
            failed = error
            if step.donor and self._donor is None:
                self._donor_failed = error
            raise
        finally:
            self._to_clone.discard(step.name)
            self._room.leave(step.key)
            self._switch.ended(step, failed)

    def _carry_out(self, step: Step) -> Flow:
        if step.destroys:
            yield from self._destroy(step.destroys)
        work: Work = yield from self._obtain(step)
        if step.donor:
            self._donor = work
            self._room.leave(step.key)
            yield OthersDid(find=lambda: not self._to_clone)
            yield self._room.enter(step.key)
        if step.action not in (FETCH, VERIFY):
            if step.action != FREEZE:
                yield from self._boot(work)
            work = yield from self._freeze(work)
        if step.trial:
            yield from self._trials.run(work.moid, work.name, host=work.host.moid, marks=work.marks)
            self._reached(work.name, "verified")
            self._progress(f"{work.name}: verified")

    def _destroy(self, vm: TemplateVm) -> Waiting:
        yield from self._actions.destroy(vm.moid, vm.name, power=vm.power)
        self._disks.sweep(vm)
        self._progress(f"{vm.name}: removed")

    def _obtain(self, step: Step) -> Waiting:
        """The step's VM, holding the images, in the template's folder; powered off, but for FREEZE, FETCH, VERIFY."""
        if step.makes == IMPORT:
            return (yield from self._make_first(step))
        if step.makes == CLONE:
            donor: Work | BonnevilleError = yield OthersDid(find=lambda: self._donor or self._donor_failed)
            if isinstance(donor, BonnevilleError):
                raise donor
            yield self._room.enter(step.key)
            marks = self._marks(step.host, phase=donor.marks.phase, images=donor.marks.images)
            work: Work = yield from self._full_clone(step, source=donor.moid, marks=marks)
            self._to_clone.discard(step.name)
            self._reached(step.name, "cloned")
            return work
        vm = step.vm
        if vm is None:
            raise AssertionError("this step comes after the VM was made")
        yield self._room.enter(step.key)
        marks = replace(vm.marks, cluster=self._site.cluster, hosts=self._site.hosts)
        work = Work(moid=vm.moid, name=vm.name, host=step.host, marks=marks)
        if step.brings_back:
            yield from self._actions.bring_back(vm.moid, vm.name, folder=self._site.folder.moid)
            self._progress(f"{vm.name}: brought back")
        if step.action in (REFREEZE, MOVE):
            yield from self._actions.switch_off(vm)
        if step.action == MOVE:
            yield from self._actions.relocate(
                work.moid, work.name, host=step.host.moid, pool=self._site.pools[step.host.moid]
            )
        return work

    # Making ------------------------------------------------------------------

    def _make_first(self, step: Step) -> Waiting:
        marks = self._marks(step.host, phase=marks_of.IMPORTING)
        if self._site.ova:
            self._progress(f"{step.name}: importing {self._site.ova.path}")
            moid = import_ova(
                self._session,
                ova=self._site.ova,
                name=step.name,
                place=ImportPlace(
                    host=step.host.moid,
                    pool=self._site.pools[step.host.moid],
                    folder=self._site.folder.moid,
                    datastore=self._site.datastore.moid,
                    network=self._site.network,
                ),
                bios_uuid=marks.bios_uuid,
                extra_config=marks.encode(),
                seconds=self._deadline.remaining(),
                progress=lambda text: self._progress(f"{step.name}: {text}"),
                pull=self._site.pull,
            )
            work = Work(moid=moid, name=step.name, host=step.host, marks=marks)
        else:
            self._progress(f"{step.name}: cloning {self._spec.source.path}")
            work = yield from self._full_clone(step, source=self._site.source_vm, marks=marks)
        self._reached(step.name, "imported")
        try:
            return (yield from self._prime(work))
        except BonnevilleError:
            # Without its images it is of no use to a later run; whoever gave a wrong image name finds nothing left.
            yield from self._actions.destroy(work.moid, work.name, power=ON)
            raise

    def _full_clone(self, step: Step, *, source: str, marks: Marks) -> Waiting:
        moid = yield from self._actions.full_clone(
            source=source,
            name=step.name,
            folder=self._site.folder.moid,
            host=step.host.moid,
            pool=self._site.pools[step.host.moid],
            datastore=self._site.datastore.moid,
            bios_uuid=marks.bios_uuid,
            extra_config=marks.encode(),
        )
        return Work(moid=moid, name=step.name, host=step.host, marks=marks)

    def _prime(self, work: Work) -> Waiting:
        """Boot once to put the images in, and shut down again: a login that it was given is in no memory afterwards."""
        hardware = self._actions.hardware(work.moid, work.name)
        if self._spec.archives:
            yield from self._disks.attach(work.moid, work.name, hardware)
            hardware = self._actions.hardware(work.moid, work.name)
        order = self._order(hardware, prime=True)
        yield from self._settle(work, hardware, {**bundle.user_data(work.marks.bios_uuid), protocol.KEY_PREPARE: order})
        yield from self._actions.power_on(work.moid, work.name)
        words = protocol.TEMPLATE_PHASES[1:]
        status, _unused = yield from self._hear(work, words, "the agent's first word", _FIRST_WORD_SECONDS)
        if self._logins:
            yield from self._log_in(work)
        status, _unused = yield from self._hear(work, ("primed",), "the agent to have put the images in")
        yield from self._actions.shut_down(work.moid, work.name)
        images = tuple(Image(name=image.name, id=image.id, digest=image.digest) for image in status.images)
        primed = replace(work, marks=replace(work.marks, phase=marks_of.PRIMED, images=images))
        # All at once, so that whatever is marked as primed can be cloned as it stands.
        config = extra({**primed.marks.encode(), **bundle.no_user_data(), protocol.KEY_LOGIN: ""})
        config.deviceChange = self._disks.removals(hardware)
        yield from self._actions.reconfigure(work.moid, work.name, config)
        self._reached(work.name, "primed")
        return primed

    def _log_in(self, work: Work) -> Waiting:
        _unused, key = yield from self._hear(
            work, protocol.TEMPLATE_PHASES, "the agent's sealing key", _FIRST_WORD_SECONDS, key=True
        )
        logins = orders.Logins(
            nonce=self._spec.generation,
            template=self._spec.name,
            logins=tuple(
                protocol.Login(server=login.server, username=login.username, password=login.password)
                for login in self._logins
            ),
        )
        sealed = sealing.seal(logins.encode(), key=key, obj=f"the registry logins of {work.name}")
        yield from self._actions.reconfigure(work.moid, work.name, extra({protocol.KEY_LOGIN: sealed}))

    # From off to frozen --------------------------------------------------------

    def _boot(self, work: Work) -> Waiting:
        hardware = self._actions.hardware(work.moid, work.name)
        # A status or an order of the boot before must not pass for one of this boot.
        stale = dict.fromkeys((protocol.KEY_STATUS, protocol.KEY_KEY, protocol.KEY_FREEZE, protocol.KEY_LOGIN), "")
        order = self._order(hardware, prime=False)
        yield from self._settle(work, hardware, {**stale, **work.marks.encode(), protocol.KEY_PREPARE: order})
        yield from self._actions.power_on(work.moid, work.name)
        yield from self._hear(work, protocol.TEMPLATE_PHASES, "the agent's first word", _FIRST_WORD_SECONDS)

    def _freeze(self, work: Work) -> Waiting:
        """Record the key and order the freeze in one go: no VM of ours freezes without its key in the marks."""
        status, key = yield from self._hear(work, ("ready",), "the agent to be ready", key=True)
        self._reached(work.name, "ready")
        sealing.fingerprint(key)  # raises SealBroken when it is none
        images = tuple(Image(name=image.name, id=image.id, digest=image.digest) for image in status.images)
        marks = replace(
            work.marks,
            phase=marks_of.FROZEN,
            key=key,
            agent=status.agent,
            speaks=status.speaks,
            images=images or work.marks.images,
        )
        order = {**marks.encode(), protocol.KEY_FREEZE: status.boot}
        yield from self._actions.reconfigure(work.moid, work.name, extra(order))
        yield VmShows(
            moid=work.moid,
            name=work.name,
            find=frozen(work.name, self._spec.generation),
            awaited="the VM to freeze",
            seconds=_FREEZE_SECONDS,
        )
        self._reached(work.name, "frozen")
        self._progress(f"{work.name}: frozen")
        return replace(work, marks=marks)

    # Single actions ------------------------------------------------------------

    def _hear(
        self, work: Work, phases: tuple[str, ...], awaited: str, seconds: float = 0.0, *, key: bool = False
    ) -> Waiting:
        """The agent's status of one of these phases and its key; the agent's failure is raised."""
        spoken = Spoken(
            name=work.name,
            generation=self._spec.generation,
            phases=phases,
            progress=self._progress,
            told=self._told[work.moid],
        )

        def find(state: object) -> object:
            said = spoken(state)  # type: ignore[arg-type]
            return said if said and (said[1] or not key) else None

        limit = min(seconds or self._deadline.remaining(), self._deadline.remaining())
        return (yield VmShows(moid=work.moid, name=work.name, find=find, awaited=awaited, seconds=limit))

    def _settle(self, work: Work, hardware: Hardware, values: Mapping[str, str]) -> Waiting:
        config = settle(
            hardware,
            name=work.name,
            spec=self._spec,
            nic_backing=network_backing(self._site.network),
            bios_uuid=work.marks.bios_uuid,
            annotation=self._annotation(work.host),
            extra_config=values,
        )
        yield from self._actions.reconfigure(work.moid, work.name, config)

    def _order(self, hardware: Hardware, *, prime: bool) -> str:
        return orders.Prepare(
            template=self._spec.name,
            generation=self._spec.generation,
            prime=prime,
            images=tuple(orders.PrepareImage(name=image, pull=prime) for image in sorted(self._spec.images)),
            archives=self._disks.orders(hardware) if prime else (),
            login_sealed=prime and bool(self._logins),
            insecure_registries=tuple(sorted(self._spec.insecure_registries)),
            bridge_cidr=self._spec.bridge_cidr or None,
            settings=self._spec.settings if prime else None,
            template_uuid=hardware.instance_uuid,
        ).encode()

    def _marks(self, host: Host, *, phase: str, images: tuple[Image, ...] = ()) -> Marks:
        return Marks(
            template=self._spec.name,
            generation=self._spec.generation,
            host=host.moid,
            phase=phase,
            bios_uuid=marks_of.bios_uuid(
                vcenter=self._session.instance_uuid,
                folder=self._site.folder.path,
                template=self._spec.name,
                host=host.moid,
                generation=self._spec.generation,
                sequence=self._sequence,
            ),
            spec=self._spec.canonical(),
            images=images,
            sequence=self._sequence,
            cluster=self._site.cluster,
            hosts=self._site.hosts,
        )

    def _annotation(self, host: Host) -> str:
        return (
            f"Template '{self._spec.name}' (generation {self._spec.generation}) of bonneville.vsphere for host "
            f"{host.name}. Container VMs are instant clones of it: leave it powered on and frozen, and remove it "
            "only with the module photon_template."
        )

    def _reached(self, name: str, milestone: str) -> None:
        self.milestones.setdefault(name, {})[milestone] = round(time.monotonic() - self._began, 3)
