"""The numbers of a calibration as files to keep beside docs/evidence/calibration.md.

    python docs/evidence/calibration_numbers.py RUN NAME --out docs/evidence/calibration-NAME

Writes OUT.json (settings, target, estimates, gains, chance, verdict and the 30 heaviest heads of
calibration.json; no weights, no paths) and OUT.csv (the comparison as a table).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from circuitseer_core.calibration.report import table
from circuitseer_core.runs.folder import Run

KEPT = ("name", "settings", "target", "text", "estimates", "gains", "chance", "verdict")
HEADS = 30


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    record = Run.open(options.run).calibration(options.name)
    whole = record.to_json()
    model = record.model
    numbers = {key: whole[key] for key in KEPT if key in whole}
    numbers["model"] = None if model is None else {"id": model.id, "weights": model.weights_hash}
    numbers["heads"] = whole.get("heads", [])[:HEADS]
    numbers["versions"] = record.versions
    text = json.dumps(numbers, indent=1, ensure_ascii=False)
    options.out.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    table(record).to_csv(options.out.with_suffix(".csv"), index=False)


if __name__ == "__main__":
    main()
