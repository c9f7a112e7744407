"""``make changelog`` and ``make release``: write a release's changelog; build its artifact, if all of it agrees."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator

import yaml

from tests.gates.gates import artifact, changelog, contents, source, tools
from tests.gates.places import ROOT, GateFailed, run

FRAGMENTS = ROOT / "changelogs" / "fragments"
WRITTEN = ("CHANGELOG.rst", "changelogs/changelog.yaml")


def version() -> str:
    return str(yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"])


def fragments() -> list[str]:
    return sorted(path.name for path in FRAGMENTS.glob("*.y*ml"))


def complaints(version: str) -> Iterator[str]:
    """Each thing that does not agree with the version, and what to do."""
    told = ROOT / "changelogs" / "changelog.yaml"
    releases = yaml.safe_load(told.read_text())["releases"] if told.exists() else {}
    if version not in releases:
        yield f"changelogs/changelog.yaml has no release {version}: run 'make changelog'"
    if f"v{version}\n" not in (ROOT / "CHANGELOG.rst").read_text():
        yield f"CHANGELOG.rst does not name v{version}: run 'make changelog'"
    if fragments():
        yield f"fragments are in no release yet: {', '.join(fragments())}. Set a new version and run 'make changelog'"
    if run("git", "status", "--porcelain").strip():
        yield "there are changes that are not committed"
    if f"v{version}" not in run("git", "tag", "--points-at", "HEAD").split():
        yield f"this commit does not bear the tag v{version}, which galaxy.yml's version asks for: 'git tag v{version}'"


def write() -> str:
    """Take the fragments into the changelog as the release that galaxy.yml names. Raises: GateFailed."""
    taken = fragments()
    if not taken:
        raise GateFailed("there is nothing to tell: changelogs/fragments/ has no fragment")
    # antsibull-changelog copies the whole collection first: not the one that has .build/ in it.
    tree, bin_ = source("source"), tools()
    path = {"PATH": f"{bin_}:{os.environ['PATH']}", "PYTHONPATH": ""}
    run(bin_ / "antsibull-changelog", "release", cwd=tree, env=path)
    for name in WRITTEN:
        shutil.copy2(tree / name, ROOT / name)
    for name in taken:
        if not (tree / "changelogs" / "fragments" / name).exists():
            (FRAGMENTS / name).unlink()
    return f"{version()}: {len(taken)} fragments are in CHANGELOG.rst now; read it, commit, and tag"


def build() -> str:
    """The artifact of this commit's release. Raises: GateFailed, saying what does not agree."""
    found = list(complaints(version()))
    if found:
        raise GateFailed("This is no release:\n" + "\n".join(f"- {one}" for one in found))
    changelog()
    contents()
    return f"{version()}: {artifact()}"


def main(words: list[str]) -> int:
    try:
        print(write() if words == ["changelog"] else build())
    except GateFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
