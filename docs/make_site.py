"""The site of the documents: README, docs/ and what they link to, by mkdocs, links checked.

    python docs/make_site.py       → build/site/index.html

The sources are copied under the names that they have in the checkout, so that a link which works
there works here; mkdocs builds with --strict, and a link to nothing fails. Nothing is fetched.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "build" / "site-source"
SITE = ROOT / "build" / "site"
GATHERED = (
    "*.md", "LICENSE", "CITATION.cff", "benchmarks/*.md", "docs/**/*", "assets/*.svg",
)  # fmt: skip
LEFT_OUT = {".py", ".pyc"}


def gather() -> None:
    """Copy what the site is made of; what is no longer there goes."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for pattern in GATHERED:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file() and path.suffix not in LEFT_OUT:
                target = SOURCE / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


def build() -> int:
    """Build the site; mkdocs' exit status."""
    gather()
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(build())
