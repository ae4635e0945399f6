"""Bundle a finished run's numbers as assets/demo-run: what the app shows at first.

    python assets/make_demo_run.py split FOLDER
    python assets/make_demo_run.py bundle RUN

``split`` writes the demo corpus as two files: probe.jsonl, seven problems a source of 20 to 600
characters with their solution, and scored.jsonl, all others. RUN was made of them (two CPU cores,
fp32, every head on every problem of the probe, twenty draws of random heads):

    detect --model demo --probe probe.jsonl --probe-criterion stratified --probe-size 56 \
           --probe-pool 56 --mode exact
    score  --data scored.jsonl --dtype fp32
    score  --data scored.jsonl --dtype fp32 --name response --text response
    select --name top-k --fraction 0.1 --temperature 0
    select --name demo --fraction 0.1
    validate length, complexity, random-heads, temperature, probe, sinks
    validate stability --set rescore=60
    validate joint-ablation --set data=scored.jsonl --set limit=60
    score  --data scored.jsonl --dtype fp32 --name readings --head-features --head-feature-rows 0
    calibrate --scores readings --target steps --name steps --within-sources --permutations 20

The probe was measured when a detection had no noise floor yet and a scoring three draws of random
heads. Both were made up for: ``detect`` on the same probe drawn again, with the loss changes there
were, and both scorings, and what rests on them, from the start; joint-ablation in several parts,
whose time was not kept.

Texts stay out: those of the demo corpus come from the installed data packages by id. So does the
scoring with head readings, which is large and scores as ``default`` does: its calibration is what
the app shows. Folder names of the machine it ran on are cut to file names.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TARGET = Path(__file__).parent / "demo-run"
TEXTS = ("prompt", "response", "original")
LEFT_OUT = Path("scores", "readings")
SHARE = 7
"""Problems of each source in the probe."""
_FOLDERS = re.compile(r"(?:/[\w.-]+)+/([\w.-]+)")


def main(source: Path) -> None:
    """Copy the tables without texts, the JSON files without folders; put them in place at the end.

    A run that began as a copy of the bundle will do, the bundle itself will not.
    """
    if source.resolve() == TARGET.resolve() or not (source / "run.json").is_file():
        raise SystemExit(f"{source} is the bundle itself, or no run: give the folder of a run")
    made = TARGET.with_name(f".{TARGET.name}")
    shutil.rmtree(made, ignore_errors=True)
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        part_of_experiment = len(inside.parts) > 2 and inside.parts[0] == "experiments"
        if LEFT_OUT in inside.parents or part_of_experiment:
            continue
        target = made / inside
        if path.name.startswith("part-") and inside.parts[0] == "scores":
            continue
        if path.suffix == ".parquet" and inside.parts[0] == "experiments":
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)  # its verdict names the file by its bytes
        elif path.suffix == ".parquet":
            write(target, without_texts(pq.read_table(path)))
        elif path.suffix == ".json" and path.name not in ("progress.json", "job.json"):
            target.parent.mkdir(parents=True, exist_ok=True)
            content = without_folders(json.loads(path.read_text(encoding="utf-8")))
            many = None if path.name == "calibration.json" else 2  # a million numbers of weights
            target.write_text(json.dumps(content, indent=many, ensure_ascii=False) + "\n")
    for settings in sorted(made.glob("scores/*/settings.json")):
        merge_shards(source / "scores" / settings.parent.name, settings)
    manifest = made / "run.json"
    run = json.loads(manifest.read_text(encoding="utf-8")) | {"name": TARGET.name}
    manifest.write_text(json.dumps(run, indent=2, ensure_ascii=False) + "\n")
    shutil.rmtree(TARGET, ignore_errors=True)
    made.rename(TARGET)


def merge_shards(parts: Path, settings: Path) -> None:
    """A scoring in shards of full length: a slow machine cuts it into many, by its speed.

    Of such a one the times go: other work ran beside it, and estimates would build on them.
    """
    sys.path.insert(0, str(TARGET.parents[1]))
    from circuitseer_core.runs.columns import control_column
    from circuitseer_core.runs.records import ScoringRecord
    from circuitseer_core.scoring.settings import fingerprint
    from circuitseer_core.scoring.shards import Note, part_path

    record = ScoringRecord.read(settings)
    tables = [pq.read_table(path) for path in sorted(parts.glob("part-*.parquet"))]
    whole = pa.concat_tables(without_texts(t).replace_schema_metadata() for t in tables)
    size = record.shard_rows or len(whole)
    record.shards = -(-len(whole) // size)
    if len(tables) > record.shards:
        record.shard_chars = record.text_chars = record.estimate_s = None
        record.seconds = 0.0
    for number in range(record.shards):
        table = whole.slice(number * size, size)
        note = Note(
            settings=fingerprint(record), shard=number, entries=len(table), rows=len(table),
            tokens=pc.sum(table["n_tokens"]).as_py(), token_budget=record.token_budget or 0,
            controls=len(table) - table[control_column("variance", 0)].null_count,
        )  # fmt: skip
        metadata = {"circuitseer": json.dumps(asdict(note))}
        write(part_path(settings.parent, number), table.replace_schema_metadata(metadata))
    record.write(settings)


def without_texts(table: pa.Table) -> pa.Table:
    """Null prompts, responses and originals; the probe's text and tokens go altogether."""
    for name in TEXTS:
        if name in table.column_names:
            at = table.column_names.index(name)
            table = table.set_column(at, name, pa.nulls(table.num_rows, pa.string()))
    if "text" in table.column_names:
        gone = [name for name in ("token_ids", "loss_from") if name in table.column_names]
        table = table.drop_columns(gone)
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
    """One signed Parquet file, small: numbers of full precision take less as split bytes."""
    sys.path.insert(0, str(TARGET.parents[1]))
    from circuitseer_core.checksums import checked_writer, unsigned

    table = unsigned(table)
    target.parent.mkdir(parents=True, exist_ok=True)
    split_up = {f.name: "BYTE_STREAM_SPLIT" for f in table.schema if f.type == pa.float64()}
    words = [f.name for f in table.schema if f.name not in split_up]
    options = {"use_dictionary": words, "column_encoding": split_up or None}
    with checked_writer(target, table.schema, compression_level=19, **options) as writer:
        writer.write_table(table)


def split(folder: Path) -> None:
    """The demo corpus as probe.jsonl and scored.jsonl, ids as they are."""
    sys.path.insert(0, str(TARGET.parents[1]))
    from circuitseer_core.hashing import hash64
    from circuitseer_core.runs.texts import demo_texts

    texts = demo_texts()
    ids = list(texts)
    keys = hash64(7, "bundled-probe", ids)
    taken: dict[str, int] = {}
    probe = set()
    for _, key in sorted(zip(keys.tolist(), ids, strict=True)):
        sample = texts[key]
        length = len(f"{sample.original['question']}{sample.original['solution']}")
        if sample.response and 20 <= length <= 600 and taken.get(sample.source, 0) < SHARE:
            taken[sample.source] = taken.get(sample.source, 0) + 1
            probe.add(key)
    for name, kept in (("probe", probe), ("scored", set(ids) - probe)):
        rows = (
            {"id": key.split("/", 1)[1], "source": texts[key].source} | texts[key].original
            for key in ids
            if key in kept
        )
        lines = [json.dumps(row, default=str) + "\n" for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    {"split": split, "bundle": main}[sys.argv[1]](Path(sys.argv[2]))
