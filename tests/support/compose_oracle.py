"""What docker compose itself makes of the corpus of Compose files, and the specification's schema: both from Debian.

    python -m tests.support.compose_oracle corpus    writes oracle.json beside each case
    python -m tests.support.compose_oracle schema    writes plugins/module_utils/_fleet/model/schema_text.py

Tests do not need this, only their author does. Two packages of Debian's unstable
are fetched through apt, from the archive that this machine's apt uses, with
lists of their own; they are unpacked and not installed. ``DOCKER_COMPOSE`` names
a docker-compose that is there already.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests/unit/plugins/module_utils/_fleet/corpus"
SCHEMA_TEXT = ROOT / "plugins/module_utils/_fleet/model/schema_text.py"
# Where the oracle saw the corpus; it prints absolute paths.
PLACE = "/corpus"


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        if sys.argv[1:] == ["schema"]:
            unpacked = _unpack("golang-github-compose-spec-compose-go-dev", Path(scratch))
            (source,) = unpacked.rglob("schema/compose-spec.json")
            SCHEMA_TEXT.write_text(_schema_file(json.loads(source.read_text())))
        elif sys.argv[1:] == ["corpus"]:
            program = os.environ.get("DOCKER_COMPOSE") or str(
                next(
                    path for path in _unpack("docker-compose", Path(scratch)).rglob("docker-compose") if path.is_file()
                )
            )
            for case in sorted(path for path in CORPUS.iterdir() if path.is_dir()):
                (case / "oracle.json").write_text(json.dumps(_ask(program, case), indent=1, sort_keys=True) + "\n")
        else:
            sys.exit(__doc__)


def settings(case: Path) -> dict[str, Any]:
    """A case's files and profiles."""
    path = case / "case.json"
    given = json.loads(path.read_text()) if path.exists() else {}
    return {"files": ["compose.yaml"], "profiles": [], **given}


def _ask(program: str, case: Path) -> Any:
    options = settings(case)
    command = [program, "--project-name", "fleet", "--project-directory", str(case)]
    for file in options["files"]:
        command += ["-f", str(case / file)]
    for profile in options["profiles"]:
        command += ["--profile", profile]
    answer = subprocess.run(
        [*command, "config", "--format", "json"],
        env={"PATH": os.defpath, "HOME": "/nowhere"},
        capture_output=True,
        text=True,
    )
    if answer.returncode:
        sys.exit(f"{case.name}: {answer.stderr}")
    return json.loads(answer.stdout.replace(str(case), f"{PLACE}/{case.name}"))


def _unpack(package: str, scratch: Path) -> Path:
    """Fetch a package of Debian's unstable and unpack it."""
    for directory in ("lists/partial", "cache/archives/partial", "unpacked"):
        (scratch / directory).mkdir(parents=True, exist_ok=True)
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (scratch / "sources.list").write_text(f"deb [signed-by={keyring}] {_mirror()} sid main\n")
    (scratch / "apt.conf").write_text(
        f'Dir::Etc::SourceList "{scratch}/sources.list";\nDir::Etc::SourceParts "-";\n'
        f'Dir::State::Lists "{scratch}/lists";\nDir::Cache "{scratch}/cache";\n'
    )
    environment = {**os.environ, "APT_CONFIG": str(scratch / "apt.conf")}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "download", "-qq", package]):
        subprocess.run(command, cwd=scratch, env=environment, check=True)
    for archive in scratch.glob(f"{package}_*.deb"):
        subprocess.run(["dpkg", "-x", archive, scratch / "unpacked"], check=True)
    return scratch / "unpacked"


def _mirror() -> str:
    """The Debian archive that this machine's apt uses, which is often the only one that it can reach."""
    for path in sorted(Path("/etc/apt").glob("sources.list*")):
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            found = re.search(
                r"^(?:URIs:|deb(?: \[[^]]*\])?) *(https?://\S+/debian/?)(?:\s|$)", file.read_text(), re.MULTILINE
            )
            if found:
                return found[1]
    return "http://deb.debian.org/debian"


def _schema_file(schema: Any) -> str:
    """The schema as a Python file; head and foot are those that the file has."""
    head, _, rest = SCHEMA_TEXT.read_text().partition('r"""\n')
    return f'{head}r"""\n{_lines(_bare(schema))}\n"""{rest.partition(chr(34) * 3)[2]}'


def _bare(value: Any, *, names: bool = False) -> Any:
    """Without descriptions; below ``properties`` and the like, keys are names."""
    if isinstance(value, dict):
        return {
            key: _bare(item, names=not names and key in ("properties", "definitions", "patternProperties"))
            for key, item in value.items()
            if names or key not in ("description", "deprecated", "title")
        }
    return [_bare(item) for item in value] if isinstance(value, list) else value


def _lines(value: Any, indent: int = 0, width: int = 96) -> str:
    """JSON in lines that are neither long nor many."""
    flat = json.dumps(value)
    if len(flat) + indent < width or not isinstance(value, (dict, list)):
        return flat
    pad = " " * (indent + 1)
    if isinstance(value, list):
        inner = [f"{pad}{_lines(item, indent + 1, width)}" for item in value]
        return "[\n" + ",\n".join(inner) + "\n" + " " * indent + "]"
    inner = []
    for key, item in value.items():
        name = json.dumps(key)
        short = json.dumps(item)
        fits = len(name) + 2 + len(short) + indent + 1 <= width
        inner.append(f"{pad}{name}: {short if fits else _lines(item, indent + 1, width)}")
    return "{\n" + ",\n".join(inner) + "\n" + " " * indent + "}"


if __name__ == "__main__":
    main()
