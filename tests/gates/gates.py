"""The gates: each is a function that returns a short word of what it saw, or raises GateFailed."""

from __future__ import annotations

import glob
import os
import re
import shutil
import sys
import tarfile
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from threading import Lock
from typing import TypeVar

import yaml

from tests.gates.places import (
    BUILD,
    MAIN,
    ROOT,
    WORK,
    GateFailed,
    ansible_test,
    artifact_tree,
    run,
    source_tree,
    virtual_environment,
)

T = TypeVar("T")

COLLECTIONS = BUILD / "collections"
PACKAGE = "ansible_collections.bonneville.vsphere.plugins.module_utils"
# All that the artifact may hold: a pattern for each kind of file, by its place.
SHIPPED = (
    r"MANIFEST\.json|FILES\.json|README\.md|LICENSE|CHANGELOG\.rst|CODE_OF_CONDUCT\.md|CONTRIBUTING\.md",
    r"requirements\.txt|bindep\.txt|meta/[a-z-]+\.yml",
    r"changelogs/(config|changelog)\.yaml|changelogs/fragments/[^/]+\.ya?ml",
    r"plugins/(action|connection|doc_fragments|inventory|modules|plugin_utils)/\w+\.py|plugins/plugin_utils/library/\w+\.py",
    r"plugins/module_utils/(\w+/)*\w+\.py",
    r"roles/\w+/(README\.md|(defaults|meta|tasks|vars)/\w+\.yml|files/[\w.-]+|templates/[\w.-]+\.j2)",
    r"playbooks/(\w+/)*[\w-]+\.(yml|md)",
    r"extensions/eda/[\w/]+\.(py|yml)|extensions/molecule/[\w/.-]+\.yml",
    r"docs/([\w-]+/)*[\w.-]+\.(md|rst|yml|svg|json)|LICENSES/[\w.-]+\.txt",
    r"examples/[\w/.-]+",
)
# Only the example of a repository has files whose names begin with a dot.
OLD_JUNK = re.compile(r"(__pycache__|\.pyc$|\.tar\.gz$|^(?!examples/gitops-repo/).*/\.)")


def once(make: Callable[..., T]) -> Callable[..., T]:
    """Make it once for all gates, that run side by side."""
    making, made = Lock(), cache(make)

    @wraps(make)
    def one_at_a_time(*arguments: str) -> T:
        with making:
            return made(*arguments)

    return one_at_a_time


@once
def artifact() -> Path:
    """The collection as Galaxy would get it, built of a clean copy of this checkout."""
    out = WORK / "built"
    shutil.rmtree(out, ignore_errors=True)
    run(MAIN / "ansible-galaxy", "collection", "build", "--output-path", out, cwd=source("source"))
    (built,) = out.glob("*.tar.gz")
    return built


source = once(source_tree)
unpacked = once(lambda: artifact_tree(artifact()))


def tools() -> Path:
    return virtual_environment("tools")


def ruff() -> str:
    run(MAIN / "ruff", "check", "plugins", "tests", "benchmarks")
    return run(MAIN / "ruff", "format", "--check", "plugins", "tests", "benchmarks").strip()


def mypy() -> str:
    said = run(
        MAIN / "mypy", "--config-file", ROOT / "pyproject.toml", "-p", PACKAGE, cwd=COLLECTIONS,
        env={"MYPYPATH": str(COLLECTIONS), "MYPY_CACHE_DIR": str(BUILD / "mypy")},
    )  # fmt: skip
    return said.strip()


def imports() -> str:
    said = run(
        MAIN / "lint-imports", "--config", ROOT / "pyproject.toml", "--no-cache", env={"PYTHONPATH": str(COLLECTIONS)}
    )
    return next(line for line in said.splitlines() if line.startswith("Contracts:"))


def go() -> str:
    go = Path(run(ROOT / "tests" / "setup" / "go.sh").splitlines()[-1])
    lab = ROOT / "tests" / "lab"
    gofmt = Path(run(go, "env", "GOROOT").strip()) / "bin" / "gofmt"
    badly = run(gofmt if gofmt.exists() else go.parent / "gofmt", "-l", lab).strip()
    if badly:
        raise GateFailed(f"gofmt would change:\n{badly}")
    run(go, "vet", "./...", cwd=lab)
    return "gofmt and go vet"


def changelog() -> str:
    # It copies the whole collection first: not the one that has .build/ in it.
    run(tools() / "antsibull-changelog", "lint", cwd=source("source"))
    return "fragments and changelog.yaml"


def documents() -> str:
    bin_ = tools()
    run(
        bin_ / "antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "all",
        "--skip-rstcheck", ".", cwd=unpacked(), env={"PATH": f"{bin_}:{os.environ['PATH']}"},
    )  # fmt: skip
    return "plugin docs, their references, extra docs"


def lint() -> str:
    said = run(
        MAIN / "ansible-lint", "--offline", "--profile", "production", "--nocolor",
        env={"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "NO_COLOR": "1"},
    )  # fmt: skip
    return next((line for line in reversed(said.splitlines()) if line.startswith("Passed")), said[-200:]).strip()


def contents() -> str:
    """The artifact has what a user needs, and nothing else."""
    with tarfile.open(artifact()) as packed:
        files = [one.name for one in packed if one.isfile()]
    strange = [name for name in files if OLD_JUNK.search(name) or not any(re.fullmatch(p, name) for p in SHIPPED)]
    if strange:
        raise GateFailed("the artifact holds what is not known to be of use there:\n" + "\n".join(strange))
    tracked = set(run("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines())
    lost = [
        name
        for name in tracked
        if name.startswith(("plugins/", "roles/", "playbooks/", "meta/")) and (ROOT / name).is_file()
        and name not in files
    ]  # fmt: skip
    if lost:
        raise GateFailed("the artifact lacks:\n" + "\n".join(sorted(lost)))
    return f"{len(files)} files, {artifact().stat().st_size // 1024} KiB"


def importer(*, linting: bool = True) -> str:
    """galaxy-importer takes the artifact, and warns of nothing.

    Its own run of ansible-lint has fewer rules than that of the gate ``lint``, on files that this one has, too.
    """
    bin_ = virtual_environment("importer")
    config = WORK / "galaxy-importer.cfg"
    config.write_text(f"[galaxy-importer]\nrun_ansible_lint = {linting}\n")
    said = run(
        bin_ / "python", "-m", "galaxy_importer.main", artifact(), cwd=artifact().parent,
        env={"PATH": f"{bin_}:{os.environ['PATH']}", "GALAXY_IMPORTER_CONFIG": str(config)},
    )  # fmt: skip
    warnings = [line for line in said.splitlines() if line.startswith(("WARNING", "ERROR"))]
    if warnings:
        raise GateFailed("galaxy-importer says:\n" + "\n".join(warnings))
    return "no warnings"


def examples() -> str:
    """Every example of the documents, run against the lab."""
    said = run(MAIN / "python", "-m", "pytest", "-q", "tests/examples", env={"PYTHONPATH": str(COLLECTIONS)})
    return said.splitlines()[-1]


# What introspection leaves out of the requirements, since ansible-core brings it.
BROUGHT = frozenset({"PyYAML"})


def builder() -> str:
    """ansible-builder makes a build context of the example's definition, in which our requirements get into the image.

    The image itself is not built: that wants a registry, and takes minutes.
    """
    context = WORK / "builder"
    shutil.rmtree(context, ignore_errors=True)
    run(
        tools() / "ansible-builder", "create", "--file", ROOT / "examples" / "awx" / "execution-environment.yml",
        "--context", context, "--output-filename", "Containerfile",
    )  # fmt: skip
    steps = (context / "Containerfile").read_text()
    lost = [step for step in ("galaxy collection install", "introspect.py introspect") if step not in steps]
    if lost:
        raise GateFailed(f"the Containerfile has no step {' and none '.join(lost)}:\n{steps}")
    collections = yaml.safe_load((context / "_build" / "requirements.yml").read_text())["collections"]
    if "bonneville.vsphere" not in collections:
        raise GateFailed(f"the image would have the collections {collections}, and not ours")
    # The step that reads meta/execution-environment.yml, by the context's own script, as the build runs it.
    found = context / "requirements.txt"
    run(
        tools() / "python", context / "_build" / "scripts" / "introspect.py", "introspect", "--write-pip", found,
        unpacked().parents[2],
    )  # fmt: skip
    told = {line.partition("#")[0].strip() for line in found.read_text().splitlines()}
    wanted = {line for line in (unpacked() / "requirements.txt").read_text().splitlines() if line[:1] not in ("", "#")}
    lacking = {line for line in wanted - told if re.split(r"\W", line)[0] not in BROUGHT}
    if lacking:
        raise GateFailed(f"the image would lack {', '.join(sorted(lacking))}; it would have {', '.join(sorted(told))}")
    return f"a Containerfile of {steps.count(chr(10))} lines, {len(told)} Python requirements"


def _newest_python() -> tuple[str, str]:
    """A Python for the newest ansible-core and its version. Raises: Skipped."""
    places = [os.environ.get("NEWEST_PYTHON", ""), "python3.13", "python3.12", "python3.14"]
    places += sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.1[23].*/bin/python3")), reverse=True)
    for place in places:
        path = place and shutil.which(place)
        if not path:
            continue
        try:
            return path, run(path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
        except GateFailed:  # a shim of pyenv for a version that is not set
            continue
    raise Skipped("no Python 3.12 or newer is here, which the newest ansible-core wants: name one by NEWEST_PYTHON")


class Skipped(Exception):
    """A gate cannot be run on this machine; the message says why."""


def _on_tested() -> tuple[Path, str]:
    return MAIN, f"{sys.version_info.major}.{sys.version_info.minor}"


def _on_newest() -> tuple[Path, str]:
    python, version = _newest_python()
    return virtual_environment("newest", python=python), version


def _sanity(where: Callable[[], tuple[Path, str]]) -> str:
    bin_, python = where()
    if any(unpacked().glob("tests/sanity/ignore*")):
        raise GateFailed("there is an ignore file for the sanity tests; there shall be none")
    said = ansible_test(unpacked(), "sanity", "--venv", bin_=bin_, python=python, path=[tools()])
    if "not found" in said:
        raise GateFailed(f"a sanity test did not run:\n{said}")
    return f"{len(re.findall(r'^Running sanity test', said, re.MULTILINE))} tests on Python {python}"


def _units(where: Callable[[], tuple[Path, str]]) -> str:
    bin_, python = where()
    said = ansible_test(source("units"), "units", "--venv", bin_=bin_, python=python)
    return re.findall(r"=+ (\d+ passed.*?) =+", said)[-1]


def _integration(where: Callable[[], tuple[Path, str]]) -> str:
    bin_, python = where()
    lab = os.environ.get("BONNEVILLE_LAB", str(BUILD / "lab"))
    tree = source("integration")
    (tree / "tests" / "integration" / "integration_config.yml").write_text(f"---\nlab_binary: {lab}\n")
    targets = sorted(
        path.parent.name
        for path in (ROOT / "tests" / "integration" / "targets").glob("*/aliases")
        if "hidden" not in path.read_text()
    )
    ansible_test(tree, "integration", "--venv", *targets, bin_=bin_, python=python)
    return f"{len(targets)} targets: {', '.join(targets)}"


GATES: dict[str, Callable[[], str]] = {
    "ruff": ruff,
    "mypy": mypy,
    "imports": imports,
    "go": go,
    "changelog": changelog,
    "contents": contents,
    "documents": documents,
    "lint": lint,
    "importer": importer,
    "importer-unlinted": lambda: importer(linting=False),
    "builder": builder,
    "examples": examples,
    "sanity": lambda: _sanity(_on_tested),
    "units": lambda: _units(_on_tested),
    "integration": lambda: _integration(_on_tested),
    "sanity-newest": lambda: _sanity(_on_newest),
    "units-newest": lambda: _units(_on_newest),
    "integration-newest": lambda: _integration(_on_newest),
}
# Side by side they take the least time when the longest begin first.
LONGEST_FIRST = ("sanity", "integration", "units", "examples", "lint", "importer", "importer-unlinted", "documents")


def for_all() -> list[str]:
    """All of them, none twice."""
    return [name for name in GATES if name != "importer-unlinted"]


def for_ci() -> list[str]:
    """The gates beside ``make test``, none of whose work is done twice.

    That has the tested ansible-core, so ansible-test is run on the newest; on the tested one, where no Python for the
    newest is here. The importer leaves the linting to the gate ``lint``. The documents' examples run what the tests run
    and are left to ``make check``: on a slow day CI would take too long.
    """
    twice = {"importer", "ruff", "mypy", "imports", "go", "examples"}
    try:
        _newest_python()
        twice |= {name for name in GATES if f"{name}-newest" in GATES}
    except Skipped:
        twice |= {name for name in GATES if name.endswith("-newest")}
    return [name for name in GATES if name not in twice]
