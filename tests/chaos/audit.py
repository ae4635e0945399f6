"""What pip-audit found, in a line that does not take "not looked up" for "nothing found".

    python -m tests.chaos.audit REPORT.json

pip-audit passes over a package whose page PyPI does not hand out, and ends well. Here that is a
failure: the line says how many packages were looked up, and how many were not and why.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def lines_and_verdict(report: dict[str, Any]) -> tuple[list[str], bool]:
    """Lines to print, and whether every package was looked up and has no known weakness."""
    packages = report["dependencies"]
    skipped = [p for p in packages if "skip_reason" in p]
    weak = [p for p in packages if p.get("vulns")]
    lines = [
        f"{p['name']} {p['version']}: {v['id']}, mended in {', '.join(v['fix_versions']) or 'none'}"
        for p in weak
        for v in p["vulns"]
    ]
    lines.append(
        f"{len(packages) - len(skipped)} of {len(packages)} packages looked up, "
        f"{len(weak)} with known weaknesses"
    )
    if skipped:
        lines.append(
            f"{len(skipped)} were not looked up (first: {skipped[0]['skip_reason']}). Advisories "
            "are read from https://pypi.org/pypi/NAME/VERSION/json; a mirror without these pages "
            "tells nothing."
        )
    return lines, not skipped and not weak and bool(packages)


def main(path: Path) -> int:
    """Print the lines; 1 where something is wrong or unknown."""
    if not path.is_file():
        print("pip-audit wrote no report")
        return 1
    lines, fine = lines_and_verdict(json.loads(path.read_text(encoding="utf-8")))
    print("\n".join(lines))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
