from __future__ import annotations

from dataclasses import replace

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.template_marks import Image
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.digests import pinned

from tests.unit.plugins.module_utils._template.tables import SPEC, vm

OLD, NEW = {"web:1": "sha256:aa"}, {"web:1": "sha256:bb"}
HOLDS_OLD = (Image(name="web:1", id="sha256:1", digest="sha256:aa"),)
HOLDS_NEW = (Image(name="web:1", id="sha256:2", digest="sha256:bb"),)


def test_what_the_registry_says_is_part_of_a_new_generation() -> None:
    assert pinned(SPEC, [], OLD).generation != pinned(SPEC, [], NEW).generation
    assert pinned(SPEC, [], {}).generation == SPEC.generation


def test_a_generation_that_holds_what_the_registry_has_is_the_wanted_one() -> None:
    unpinned = vm(1, marks={"images": HOLDS_OLD})
    assert pinned(SPEC, [unpinned], OLD) == SPEC
    first = pinned(SPEC, [], OLD)
    standing = vm(1, spec=first, marks={"images": HOLDS_OLD})
    for found in (OLD, {}):
        assert pinned(SPEC, [standing], found) == first


def test_a_moved_tag_is_another_generation_and_stays_the_same_until_it_moves_again() -> None:
    first = pinned(SPEC, [], OLD)
    standing = vm(1, spec=first, marks={"images": HOLDS_OLD})
    second = pinned(SPEC, [standing], NEW)
    assert second.generation != first.generation
    building = vm(1, spec=second, moid="vm-9", marks={"phase": "importing", "images": (), "sequence": 2})
    assert pinned(SPEC, [standing, building], NEW) == second
    built = replace(building, marks=replace(building.marks, phase="frozen", images=HOLDS_NEW))
    assert pinned(SPEC, [standing, built], NEW) == second
    # Who cannot ask keeps the newest.
    assert pinned(SPEC, [standing, built], {}) == second


def test_changed_options_and_retired_vms_pin_nothing() -> None:
    other = replace(SPEC, memory_mb=4096)
    assert pinned(SPEC, [vm(1, spec=replace(other, digests=(("web:1", "sha256:aa"),)))], {}).digests == ()
    retired = vm(1, spec=pinned(SPEC, [], OLD), marks={"images": HOLDS_OLD, "phase": "retired"})
    assert pinned(SPEC, [retired], {}) == SPEC
