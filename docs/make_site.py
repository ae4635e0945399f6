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


def gather(root: Path) -> None:
    """Copy what the site is made of into build/site-source; what is no longer there goes."""
    source = root / "build" / "site-source"
    shutil.rmtree(source, ignore_errors=True)
    for pattern in GATHERED:
        for path in sorted(root.glob(pattern)):
            if path.is_file() and "__pycache__" not in path.parts:
                target = source / path.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


def render(root: Path) -> int:
    """Make pages of what was gathered; mkdocs' exit status, after its warnings.

    Not by its --quiet, with which --strict counts no warnings.
    """
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # a notice about a later mkdocs
    done = subprocess.run(command, cwd=root, env=quiet, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    warnings = [line for line in lines if not line.startswith("INFO")] if done.returncode else []
    print("\n".join(warnings), end="\n" if warnings else "", file=sys.stderr)
    return done.returncode


def build(root: Path = ROOT) -> int:
    """Gather and render; mkdocs' exit status."""
    gather(root)
    return render(root)


if __name__ == "__main__":
    sys.exit(build())
