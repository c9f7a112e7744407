"""What has to hold after every fault."""

from __future__ import annotations

from typing import Any

from tests.chaos.faults import Fault
from tests.chaos.world import ELSEWHERE, LEFT, SESSION, Look, World


def told(fault: Fault, result: dict[str, Any]) -> None:
    """The run says what it has to say of the fault, and nothing of one that passes by itself."""
    shown = f"{result.get('error_code')}: {result.get('msg')}"
    if not any(fault.codes):
        assert not result.get("failed"), f"it passes by itself, and was shown: {shown}"
        return
    assert result.get("failed"), f"it was not told: {result['actions']}"
    assert result["error_code"] in fault.codes, shown
    assert all(words in result["msg"] for words in fault.says), shown


def all_well(world: World, fault: Fault, before: Look) -> None:
    """One undisturbed run reaches what was wanted, a further one has nothing to do, and nothing is left over."""
    assert world.look().others == before.others, "what is not ours was touched"
    world.mend()
    again = world.run()
    assert not again.get("failed"), again["msg"]
    quiet = world.run()
    assert not quiet.get("failed"), quiet["msg"]
    assert not quiet["changed"], quiet["actions"]
    after = world.look()
    wanted = {f"renamed-{world.name}" if fault.renamed and name == world.victim else name for name in world.wanted}
    assert set(after.ours) == wanted
    assert after.count == len(after.ours), "there are two of one name"
    assert {vm["folder"] for vm in after.ours.values()} <= {world.folder, *([ELSEWHERE] if fault.moved else [])}
    assert after.others == before.others
    excused = set(fault.leaves) - set(SESSION)
    assert {key: after.left[key] for key in LEFT if key not in excused} == {
        key: before.left[key] for key in LEFT if key not in excused
    }
    assert after.orphans == before.orphans
    assert after.folders == before.folders
    frozen = sum(vm["frozen"] for vm in after.ours.values()) - sum(vm["frozen"] for vm in before.ours.values())
    assert after.guests - before.guests == after.count - before.count, frozen
    world.end()
    ended = world.look()
    assert ended.count == 0
    assert ended.orphans == before.orphans
