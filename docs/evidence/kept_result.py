"""A result of ``validate`` as files to keep beside these pages.

    python docs/evidence/kept_result.py RUN NAME --out docs/evidence/NAME [--csv]

Writes OUT.json (as the run keeps it, without the folders of files in its options) and OUT.parquet,
or OUT.csv. Of a training study it also prints the rows of the page's table.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from circuitseer_core.wording import plain, signed

FOLDERS = re.compile(r"(?:[^,=/]*/)+")


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--csv", action="store_true")
    asked = parser.parse_args()
    kept = asked.run / "experiments" / f"{asked.name}.json"
    result = json.loads(kept.read_text(encoding="utf-8"))
    result["options"] = {k: FOLDERS.sub("", str(v)) for k, v in result["options"].items()}
    text = json.dumps(result, indent=2, ensure_ascii=False)
    asked.out.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    table = pd.read_parquet(kept.with_suffix(".parquet"))
    if asked.csv:
        table.round(5).to_csv(asked.out.with_suffix(".csv"), index=False)
    else:
        shutil.copyfile(kept.with_suffix(".parquet"), asked.out.with_suffix(".parquet"))
    if asked.name.startswith("training"):
        print("\n".join(training_rows(table)))


def training_rows(table: pd.DataFrame) -> list[str]:
    """Arm, seeds, loss, difference from the reference, p after Holm: a line of Markdown each."""
    whole = table[table["whole"] & (table["measure"] == "loss")].sort_values("mean")
    return [f"| {' | '.join(_cells(row))} |" for _, row in whole.iterrows()]


def _cells(row: Any) -> list[str]:
    cells = [str(row["arm"]), str(row["seeds"]), plain(row["mean"], 4)]
    if pd.isna(row["difference"]):
        return [*cells, "", ""]
    ends = f"{signed(row['low'], 3)} to {signed(row['high'], 3)}"
    p = "" if pd.isna(row["p_holm"]) else plain(row["p_holm"], 2)
    return [*cells, f"{signed(row['difference'], 3)} ({ends})", p]


if __name__ == "__main__":
    main()
