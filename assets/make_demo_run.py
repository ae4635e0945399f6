"""Bundle a finished run's numbers as assets/demo-run: what the app shows at first.

    python assets/make_demo_run.py RUN

RUN was made with (two CPU cores, fp32):

    detect --model demo --probe demo --contrast self-instruct.jsonl --probe-size 16 \
           --probe-pool 64 --mode racing --max-length 192 --dtype fp32
    score  --data demo --dtype fp32
    select --name demo --fraction 0.1
    select --name top-k --fraction 0.1 --temperature 0

self-instruct.jsonl: the seed and user-oriented tasks of yizhongw/self-instruct (Apache-2.0). Texts
stay out: those of the demo corpus come from the installed data packages by id, the contrast's
are not needed. Folder names of the machine it ran on are cut to file names.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TARGET = Path(__file__).parent / "demo-run"
TEXTS = ("prompt", "response", "original")
_FOLDERS = re.compile(r"(?:/[\w.-]+)+/([\w.-]+)")


def main(source: Path) -> None:
    """Copy the tables without texts, the JSON files without folders."""
    shutil.rmtree(TARGET, ignore_errors=True)
    for path in sorted(source.rglob("*")):
        target = TARGET / path.relative_to(source)
        if path.suffix == ".parquet":
            write(target, without_texts(pq.read_table(path)))
        elif path.suffix == ".json" and path.name not in ("progress.json", "job.json"):
            target.parent.mkdir(parents=True, exist_ok=True)
            content = without_folders(json.loads(path.read_text(encoding="utf-8")))
            target.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    manifest = TARGET / "run.json"
    run = json.loads(manifest.read_text(encoding="utf-8")) | {"name": TARGET.name}
    manifest.write_text(json.dumps(run, indent=2, ensure_ascii=False) + "\n")


def without_texts(table: pa.Table) -> pa.Table:
    """Null prompts, responses and originals; the probe's text and tokens go altogether."""
    for name in TEXTS:
        if name in table.column_names:
            at = table.column_names.index(name)
            table = table.set_column(at, name, pa.nulls(table.num_rows, pa.string()))
    if "text" in table.column_names:
        table = table.drop_columns(["token_ids", "loss_from"])
        table = table.set_column(
            table.column_names.index("text"), "text", pa.nulls(table.num_rows, pa.string())
        )
    return table


def without_folders(value: Any) -> Any:
    """The same JSON with ``/some/folder/name`` cut to ``name``."""
    if isinstance(value, dict):
        return {k: without_folders(v) for k, v in value.items()}
    if isinstance(value, list):
        return [without_folders(v) for v in value]
    return _FOLDERS.sub(r"\1", value) if isinstance(value, str) else value


def write(target: Path, table: pa.Table) -> None:
    """One Parquet file, small."""
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, target, compression="zstd", compression_level=19)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
