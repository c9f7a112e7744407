"""The floor: what the same work costs a bare pyVmomi script that knows everything beforehand.

One login; all clone tasks begun at once by one thread or by several; one filter
over all of them and WaitForUpdatesEx until they have ended; then the same for
removal. It looks for nothing, checks nothing, waits for no guest and repairs
nothing, so nobody who does any of this can be faster.

It is a process of its own, as a module is, and takes its orders as JSON.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pyVmomi import vim, vmodl
from pyVmomi.SoapAdapter import SoapStubAdapter

Collector = vmodl.query.PropertyCollector


class Script:
    """A login, and the calls that are made with it."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.stub = SoapStubAdapter(
            host=os.environ["VMWARE_HOST"],
            port=int(os.environ["VMWARE_PORT"]),
            ns="vim25/6.7",
            path="/sdk",
            poolSize=threads,
            sslContext=ssl.create_default_context(),
        )
        self.content = vim.ServiceInstance("ServiceInstance", self.stub).RetrieveContent()
        self.content.sessionManager.Login(os.environ["VMWARE_USER"], os.environ["VMWARE_PASSWORD"], None)

    def log_out(self) -> None:
        self.content.sessionManager.Logout()

    def begin(self, call: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """A task for each item, begun by as many threads as there are."""
        if self.threads == 1:
            return [call(item) for item in items]
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(call, items))

    def wait(self, tasks: Iterable[Any]) -> list[Any]:
        """Each task's result, once all have ended."""
        pending = {task._moId: task for task in tasks}
        order, results = list(pending), {}
        collector = self.content.propertyCollector
        spec = Collector.FilterSpec(
            propSet=[Collector.PropertySpec(type=vim.Task, pathSet=["info.state", "info.error", "info.result"])],
            objectSet=[Collector.ObjectSpec(obj=task) for task in pending.values()],
        )
        watched = collector.CreateFilter(spec, False)
        version = ""
        while pending:
            update = collector.WaitForUpdatesEx(version, Collector.WaitOptions(maxWaitSeconds=60))
            version = update.version
            for one in update.filterSet[0].objectSet:
                values = {change.name: change.val for change in one.changeSet}
                results.setdefault(one.obj._moId, {}).update(values)
                state = values.get("info.state")
                if state == "error":
                    raise RuntimeError(str(results[one.obj._moId].get("info.error")))
                if state == "success":
                    pending.pop(one.obj._moId)
        watched.DestroyPropertyFilter()
        return [results[moid].get("info.result") for moid in order]

    def read(self, objects: Iterable[Any], properties: dict[Any, list[str]], select: Sequence[Any] = ()) -> list[Any]:
        """Objects' properties in one call."""
        spec = Collector.FilterSpec(
            propSet=[Collector.PropertySpec(type=kind, pathSet=paths) for kind, paths in properties.items()],
            objectSet=[Collector.ObjectSpec(obj=managed, selectSet=list(select)) for managed in objects],
        )
        page = self.content.propertyCollector.RetrievePropertiesEx([spec], Collector.RetrieveOptions())
        found = []
        while page:
            found += page.objects
            page = self.content.propertyCollector.ContinueRetrievePropertiesEx(page.token) if page.token else None
        return found


def clone(script: Script, order: dict[str, Any]) -> None:
    """Instant clones of the sources in turn; each one's log port gets a file of its own, or vSphere refuses it."""
    sources = [vim.VirtualMachine(moid, script.stub) for moid in order["sources"]]
    folder = vim.Folder(order["folder"], script.stub)
    ports = {}
    for one in script.read(sources, {vim.VirtualMachine: ["config.hardware.device"]}):
        (devices,) = (changed.val for changed in one.propSet)
        ports[one.obj._moId] = next(device for device in devices if isinstance(device, vim.vm.device.VirtualSerialPort))

    def begin(number: int) -> Any:
        source, name = sources[number % len(sources)], f"floor-{number}"
        known = ports[source._moId]
        port = vim.vm.device.VirtualSerialPort(key=known.key, yieldOnPoll=known.yieldOnPoll)
        port.backing = vim.vm.device.VirtualSerialPort.FileBackingInfo(
            fileName=f"[{order['datastore']}] {name}/container.log"
        )
        edit = vim.vm.device.VirtualDeviceSpec(operation="edit", device=port)
        location = vim.vm.RelocateSpec(folder=folder, deviceChange=[edit])
        return source.InstantClone_Task(vim.vm.InstantCloneSpec(name=name, location=location))

    made = script.wait(script.begin(begin, range(order["count"])))
    Path(order["made"]).write_text(json.dumps([vm._moId for vm in made]))


def remove(script: Script, order: dict[str, Any]) -> None:
    """Power off and delete what was cloned."""
    vms = [vim.VirtualMachine(moid, script.stub) for moid in json.loads(Path(order["made"]).read_text())]
    script.wait(script.begin(lambda vm: vm.PowerOffVM_Task(), vms))
    script.wait(script.begin(lambda vm: vm.Destroy_Task(), vms))


def look(script: Script, order: dict[str, Any]) -> None:
    """One read of a folder's VMs: the least that it takes to know that nothing is to be done."""
    members = Collector.TraversalSpec(name="members", type=vim.Folder, path="childEntity", skip=False)
    wanted = {vim.VirtualMachine: ["name", "config.extraConfig", "runtime.powerState"]}
    found = script.read([vim.Folder(order["folder"], script.stub)], wanted, [members])
    if len(found) != order["count"]:
        raise RuntimeError(f"{len(found)} VMs were read, not {order['count']}")


def main() -> None:
    order = json.loads(sys.argv[1])
    script = Script(order["threads"])
    try:
        {"clone": clone, "remove": remove, "look": look}[order["do"]](script, order)
    finally:
        script.log_out()


if __name__ == "__main__":
    main()
