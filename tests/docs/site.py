"""Build the docs site below .build/docs with antsibull-docs and Sphinx."""

from __future__ import annotations

import os
import shutil

from tests.gates.places import BUILD, run, virtual_environment

SITE = BUILD / "docs"


def main() -> None:
    tools = virtual_environment("tools")
    shutil.rmtree(SITE, ignore_errors=True)
    (SITE / "rst").mkdir(parents=True)
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "collections"),
        "PYTHONPATH": "",
    }
    run(
        tools / "antsibull-docs", "collection", "--use-current", "--squash-hierarchy", "--fail-on-error",
        "--dest-dir", SITE / "rst", "bonneville.vsphere", env=environment,
    )  # fmt: skip
    (SITE / "rst" / "conf.py").write_text(
        'project = "bonneville.vsphere"\nextensions = ["sphinx_antsibull_ext"]\nhtml_theme = "sphinx_ansible_theme"\n'
    )
    run(tools / "python", "-m", "sphinx", "-q", "-b", "html", SITE / "rst", SITE / "html", env=environment)
    print(f"The docs site: {SITE / 'html' / 'index.html'}")


if __name__ == "__main__":
    main()
