"""A selection of a run: drawn from its scores, written to ``RUN/selections/NAME``.

Two passes: the first reads ids, sources, lengths and one scorer's column (and streams the prompts
once, for duplicates and lists of texts, keeping 8 bytes a row); texts are fetched only when the
subset is exported, for the chosen rows alone.

What lists and judgements by eye came to is kept beside the subset (``lists.parquet``): both change
after the draw, and the subset must be derivable without them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from circuitseer_core import review
from circuitseer_core.candidates import REASONS, Pool, Rules, make_pool
from circuitseer_core.diagnostics import diagnose, spearman
from circuitseer_core.errors import UserError
from circuitseer_core.files import write_json
from circuitseer_core.hashing import hash64, remix
from circuitseer_core.keys import draw_hashes
from circuitseer_core.matching import read_list
from circuitseer_core.runs import Run, now
from circuitseer_core.sampling import (
    TOKEN_COLUMNS,
    Drawing,
    budget_tokens,
    draw,
    list_rules,
)
from circuitseer_core.settings import SelectionSettings
from circuitseer_core.stage import versions
from circuitseer_core.texts import pool_prompts

if TYPE_CHECKING:
    from circuitseer_core.progress import Progress

FORMAT = 1
LIST_RULES = ("exclude", "drop", "include")


def select_run(
    run: Run, settings: SelectionSettings, progress: Progress | None = None
) -> dict[str, Any]:
    """Draw, diagnose and write one selection; returns its ``selection.json``.

    A selection of the same name is replaced, in one rename.

    Raises:
        UserError: no such scoring or scorer, a list cannot be read, or the draw is impossible.
    """
    started = time.monotonic()
    scoring = run.scores_settings(settings.scores)
    if scoring.get("state", "done") != "done":
        raise UserError(
            f"scoring {settings.scores!r} is not finished: run score --run {run.path} again"
        )
    everyone = load_pool(run, settings)
    _advance(progress, len(everyone), "drawing")
    drawing = draw(everyone, settings, run_rules(run, settings))
    frame = ids_frame(drawing)
    lists = lists_frame(everyone, drawing)
    summary = {
        "format": FORMAT,
        "name": settings.name,
        "created": now(),
        "settings": settings.model_dump(mode="json"),
        "temperature": _plain(drawing.temperature),
        "scores": settings.scores,
        "text": scoring.get("text", "prompt"),
        "counts": {
            "rejected": int(scoring.get("rejected") or 0),
            **drawing.sifted.counts,
            "selected": len(frame),
            "tokens": int(frame["tokens"].sum()),
        },
        "prompts_compared": everyone.prompt is not None,
        "lists": {"sha256": lists_hash(lists), "rows": len(lists), "files": _list_files(settings)},
        "pool_hash": pool_hash(everyone),
        "ids_hash": ids_hash(frame["id"]),
        "diagnostics": diagnose(drawing) | {"control": control_correlation(run, settings)},
        "command": settings.command(run.path),
        "versions": versions(),
    }
    summary["seconds"] = round(time.monotonic() - started, 3)
    _write(run, settings.name, frame, lists, summary)
    return summary


def load_pool(run: Run, settings: SelectionSettings, *, prompts: bool | None = None) -> Pool:
    """The whole pool of a scoring as arrays; ``prompts`` says whether to compare prompts too.

    By default they are read where a rule needs them: duplicates or lists.

    Raises:
        UserError: no such scoring, or no such scorer in it (naming those there are).
    """
    parts = run.score_parts(settings.scores)
    if not parts:
        raise UserError(f"{run.path}: scoring {settings.scores!r} has no finished shard yet")
    have = pq.read_schema(parts[0]).names
    known = run.scores_settings(settings.scores).get("scorers") or have
    if settings.scorer not in have:
        raise UserError(f"no scorer {settings.scorer!r} in this run; it has: {', '.join(known)}")
    wanted = dict.fromkeys(["id", "source", settings.scorer, *TOKEN_COLUMNS])
    frame = run.scores(settings.scores, [name for name in wanted if name in have])
    text = run.scores_settings(settings.scores).get("text", "prompt")
    if prompts is None:
        prompts = bool(settings.duplicates == "remove" or settings.exclude or settings.include)
    return make_pool(
        frame,
        settings.scorer,
        tokens=budget_tokens(frame, settings, text),
        prompt=pool_prompts(run, settings.scores) if prompts else None,
    )


def control_correlation(run: Run, settings: SelectionSettings) -> dict[str, Any] | None:
    """Rank correlation of the scorer with itself on random heads of the same layers.

    The mean over the control draws, and the rows they were computed on; None for a scorer without
    controls. Near 1 the choice of heads hardly matters to the scores.
    """
    have = pq.read_schema(run.score_parts(settings.scores)[0]).names
    controls = [name for name in have if name.startswith(f"control_{settings.scorer}_")]
    if not controls:
        return None
    frame = run.scores(settings.scores, [settings.scorer, *controls]).astype(np.float64)
    found = []
    for name in controls:
        both = frame[[settings.scorer, name]].dropna().to_numpy()
        rho = spearman(both[:, 0], both[:, 1]) if len(both) > 2 else None
        found += [] if rho is None else [(rho, len(both))]
    if not found:
        return None
    return {"spearman": float(np.mean([r for r, _ in found])), "rows": max(n for _, n in found)}


def run_rules(run: Run, settings: SelectionSettings) -> Rules:
    """The settings' lists, and what was pinned, dropped and tagged by eye in this run."""
    rules = list_rules(settings)
    state = review.load(run.path)
    pins = state.pins if settings.review else set()
    drops = state.drops if settings.review else set()
    pins = pins | state.tagged(*settings.include_tags)
    drops = drops | state.tagged(*settings.exclude_tags)
    return replace(rules, include_ids=rules.include_ids | pins, dropped=frozenset(drops))


def stored_rules(run: Run, name: str, settings: SelectionSettings) -> tuple[Rules, str]:
    """The rules as a selection's ``lists.parquet`` kept them, and that file's content hash."""
    path = run.selection_dir(name) / "lists.parquet"
    if not path.is_file():
        raise UserError(f"{path} is missing: the lists behind the selection are not known")
    lists = pd.read_parquet(path)
    named = {rule: frozenset(lists.loc[lists["rule"] == rule, "id"]) for rule in LIST_RULES}
    rules = Rules(
        exclude_ids=named["exclude"],
        dropped=named["drop"],
        include_ids=named["include"],
        duplicates=settings.duplicates == "remove",
    )
    return rules, lists_hash(lists)


def ids_frame(drawing: Drawing) -> pd.DataFrame:
    """ids.parquet, best first.

    id, source, score, weight (score after length control), key, probability, rank (from 1),
    n_tokens, tokens (as the budget counts them), included (a must-have).
    """
    pool, chosen = drawing.pool, drawing.chosen
    names = np.array(pool.names, dtype=object)
    return pd.DataFrame(
        {
            "id": pd.Series(pool.ids).iloc[chosen].to_numpy(dtype=object),
            "source": names[pool.source[chosen]],
            "score": pool.score[chosen],
            "weight": drawing.weight[chosen],
            "key": drawing.keys[chosen],
            "probability": drawing.chances[chosen],
            "rank": np.arange(1, len(chosen) + 1, dtype=np.int64),
            "n_tokens": pool.length[chosen].astype(np.int64),
            "tokens": pool.tokens[chosen],
            "included": drawing.groups.first[chosen],
        }
    )


def lists_frame(everyone: Pool, drawing: Drawing) -> pd.DataFrame:
    """lists.parquet: id and rule (exclude, drop, include) of every row that a rule named."""
    reason, first = drawing.sifted.reason, drawing.sifted.first
    rows = {
        "exclude": np.isin(reason, [REASONS.index("excluded_id"), REASONS.index("excluded_text")]),
        "drop": reason == REASONS.index("dropped"),
        "include": first,
    }
    parts = [
        pd.DataFrame(
            {"id": [str(everyone.ids[int(i)]) for i in np.flatnonzero(mask)], "rule": rule}
        )
        for rule, mask in rows.items()
    ]
    frame = pd.concat(parts, ignore_index=True).astype({"id": str, "rule": str})
    return frame.sort_values(["rule", "id"], ignore_index=True)


def lists_hash(lists: pd.DataFrame) -> str:
    """SHA-256 over sorted (rule, id) lines."""
    lines = sorted(
        f"{rule}\t{sample}" for rule, sample in zip(lists["rule"], lists["id"], strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def ids_hash(ids: Iterable[str]) -> str:
    """SHA-256 over the ids in rank order, one a line."""
    digest = hashlib.sha256()
    for sample in ids:
        digest.update(sample.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def pool_hash(pool: Pool) -> str:
    """32 hex digits over every row's id, source, score and tokens, whatever the rows' order."""
    rows = draw_hashes(pool.ids, 0, domain="pool")
    names = hash64(0, "source", pool.names)
    for column in (pool.score + 0.0, pool.length + 0.0, pool.tokens):  # + 0.0: no negative zero
        rows = remix(rows ^ np.ascontiguousarray(column).view(np.uint64), 0)
    rows = remix(rows ^ names[pool.source], 0)
    with np.errstate(over="ignore"):
        sums = [int(remix(rows, number).sum(dtype=np.uint64)) for number in (1, 2)]
    return "".join(f"{value:016x}" for value in sums)


def _write(
    run: Run, name: str, frame: pd.DataFrame, lists: pd.DataFrame, summary: dict[str, Any]
) -> None:
    """Write the three files aside, then put the folder in place."""
    target = run.selection_dir(name)
    aside = run.path / f".selection-{name}.{os.getpid()}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        frame.to_parquet(aside / "ids.parquet", index=False)
        lists.to_parquet(aside / "lists.parquet", index=False)
        write_json(aside / "selection.json", summary)
        replace_folder(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def replace_folder(new: Path, target: Path) -> None:
    """Put a finished folder in the place of another on the same file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        os.rename(target, old)
    os.rename(new, target)
    shutil.rmtree(old, ignore_errors=True)


def _list_files(settings: SelectionSettings) -> list[dict[str, Any]]:
    found = []
    for rule, entries in (("exclude", settings.exclude), ("include", settings.include)):
        found += [{"rule": rule, **file} for file in read_list(entries).files]
    return found


def _plain(temperature: float) -> float | str:
    return "inf" if np.isinf(temperature) else temperature


def _advance(progress: Progress | None, rows: int, message: str) -> None:
    if progress is not None:
        progress.resize(rows)
        progress.advance(rows, message)
