"""The site of the documents: README, docs/ and what they link to, by mkdocs, links checked.

    python docs/make_site.py       → build/site/index.html

The sources are copied under the names that they have in the checkout, so that a link which works
there works here; mkdocs builds with --strict, and a link to nothing fails. Nothing is fetched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GATHERED = (
    "*.md", "LICENSE", "CITATION.cff", "benchmarks/*.md", "docs/**/*", "assets/*.svg",
)  # fmt: skip
LEFT_OUT = {".py", ".pyc"}


def gather(root: Path) -> None:
    """Copy what the site is made of into build/site-source; what is no longer there goes."""
    source = root / "build" / "site-source"
    shutil.rmtree(source, ignore_errors=True)
    for pattern in GATHERED:
        for path in sorted(root.glob(pattern)):
            if path.is_file() and path.suffix not in LEFT_OUT:
                target = source / path.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


def render(root: Path) -> int:
    """Make pages of what was gathered; mkdocs' exit status."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # a notice about a later mkdocs
    return subprocess.run(command, cwd=root, env=quiet, check=False).returncode


def build(root: Path = ROOT) -> int:
    """Gather and render; mkdocs' exit status."""
    gather(root)
    return render(root)


if __name__ == "__main__":
    sys.exit(build())
