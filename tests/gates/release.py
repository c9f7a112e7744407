"""``make release``: build the artifact, after version, tag and changelog agree."""

from __future__ import annotations

import sys

import yaml

from tests.gates.gates import artifact, changelog, contents
from tests.gates.places import ROOT, GateFailed, run


def check() -> str:
    """The version that is to be released. Raises: GateFailed, saying what does not agree."""
    version = str(yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"])
    told = ROOT / "changelogs" / "changelog.yaml"
    releases = yaml.safe_load(told.read_text())["releases"] if told.exists() else {}
    if version not in releases:
        raise GateFailed(f"changelogs/changelog.yaml has no release {version}: run 'antsibull-changelog release'")
    if f"v{version}" not in (ROOT / "CHANGELOG.rst").read_text():
        raise GateFailed(f"CHANGELOG.rst does not name v{version}: run 'antsibull-changelog generate'")
    left = sorted(path.name for path in (ROOT / "changelogs" / "fragments").glob("*.y*ml"))
    if left:
        raise GateFailed(
            f"fragments are not in the changelog yet: {', '.join(left)}: run 'antsibull-changelog release'"
        )
    if run("git", "status", "--porcelain").strip():
        raise GateFailed("there are changes that are not committed")
    if f"v{version}" not in run("git", "tag", "--points-at", "HEAD").split():
        raise GateFailed(f"this commit does not bear the tag v{version} that galaxy.yml's version asks for")
    return version


def main() -> int:
    try:
        version = check()
        changelog()
        contents()
        print(f"{version}: {artifact()}")
    except GateFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
