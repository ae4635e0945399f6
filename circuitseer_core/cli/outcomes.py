"""How the three stages ended, in facts and in lines: numbers, rows that were lost, doubts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from circuitseer_core import stages
from circuitseer_core.cli.output import Outcome
from circuitseer_core.detection.heads import lcb_by_chance, raced
from circuitseer_core.files import read_columns
from circuitseer_core.runs.cluster_records import CLUSTER, ClusterRecord
from circuitseer_core.runs.clusters import cluster_folder
from circuitseer_core.runs.commands import as_typed
from circuitseer_core.runs.folder import SETTINGS_FILE, Run
from circuitseer_core.runs.integrity import lost_lines
from circuitseer_core.runs.records import ScoringRecord
from circuitseer_core.runs.review_lines import REVIEW_FILE, read_lines
from circuitseer_core.runs.selection_records import Counts, ListFile, SelectionRecord
from circuitseer_core.signatures.catalogue import warnings
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.wording import count, listing, signed

MOST_REASONS = 3
"""Reasons of rejects that are named in a line; JSON has more."""


def detected(run: Run) -> Outcome:
    """After ``detect``."""
    heads, detection = run.heads(), run.detection
    strongest = heads.nsmallest(5, "rank")
    doubts = warnings(run, stage="detect")
    following = as_typed(["score", "--run", str(run.path), "--data"]) + " …"
    facts = {
        "command": "detect",
        "run": str(run.path),
        "heads": len(heads),
        "evaluations": detection.evaluations,
        "probe_samples": detection.n_probe,
        "probe_rows_seen": detection.probe_pool_seen,
        "probe_left_out": detection.probe_left_out,
        "contrast_left_out": detection.contrast_left_out,
        "strongest": strongest[["layer", "head", "importance", "stderr", "n"]].to_dict("records"),
        "noise_floor": detection.noise_floor,
        "estimated_seconds": detection.estimate_s,
        "seconds": run.record.seconds.get("detect"),
        "warnings": _warned(doubts),
        "settings": str(run.path / SETTINGS_FILE),
        "next": following,
    }
    named = ", ".join(
        f"({h.layer},{h.head}) {signed(h.importance, 3)}" for h in strongest.itertuples()
    )
    measured = f"{len(heads)} heads measured on {count(detection.n_probe or 0, 'probe sample')}"
    lines = [f"{measured}; largest loss increases in nats: {named}"]
    left_out = {"probe": detection.probe_left_out, "contrast": detection.contrast_left_out}
    lines += [
        f"left out of the {name}'s candidates: {_reasons(left)}"
        for name, left in left_out.items()
        if left
    ]
    return Outcome(facts, [*lines, *_warnings(doubts), f"next: {following}"])


def scored(run: Run, name: str) -> Outcome:
    """After ``score``."""
    scoring, folder = run.scoring(name), run.scores_dir(name)
    reasons = run.rejects(name)["reason"].value_counts()
    rejects = folder / "rejects.parquet" if scoring.rejected else None
    doubts = warnings(run, scoring=name, stage="score")
    named = [] if name == "default" else ["--scores", name]
    following = as_typed(["select", "--run", str(run.path), *named])
    by_chance = _by_chance(run, scoring)
    facts: dict[str, Any] = {
        "command": "score",
        "run": str(run.path),
        "name": name,
        "rows": scoring.rows,
        "tokens": scoring.tokens,
        "rejected": scoring.rejected,
        "grown_at": scoring.grown_at,
        "reject_reasons": {str(reason): int(rows) for reason, rows in reasons.head(20).items()},
        "rejects_file": None if rejects is None else str(rejects),
        **_oddities(run.score_parts(name)),
        "heads": [f"{layer}.{head}" for layer, head in scoring.heads],
        "heads_by_chance": by_chance,
        "estimated_seconds": scoring.estimate_s,
        "seconds": scoring.seconds,
        "warnings": _warned(doubts),
        "settings": str(folder / SETTINGS_FILE),
        "next": following,
    }
    lines = [f"{scoring.rows:,} samples scored, {scoring.rejected:,} rejected"]
    if scoring.grown_at:
        lines.append(
            f"the data has grown beyond its first {scoring.grown_at[-1]:,} rows, which were kept "
            "as scored; selections made before are of the smaller pool"
        )
    if rejects is not None:
        lines.append(f"rejected: {_reasons(reasons.to_dict())}; each row in {rejects}")
    if odd := _odd_rows(facts, scoring.max_length):
        lines.append(odd)
    if by_chance is not None:
        most = "at most " if raced(run.heads()) else ""
        lines.append(
            f"{len(scoring.heads)} heads pass --heads lcb; without any effect {most}"
            f"{by_chance:.1f} would (--heads bh bounds the share of false ones by 5 %)"
        )
    return Outcome(facts, [*lines, *_warnings(doubts), f"next: {following}"])


def _by_chance(run: Run, scoring: ScoringRecord) -> float | None:
    """Heads that would pass the lower bound without any effect; None where the run's own heads are
    not those that the rule chose from, or are not there."""
    if scoring.heads_rule != "lcb" or scoring.heads_from is not None:
        return None
    return lcb_by_chance(run.heads()) if run.heads_path.is_file() else None


def drawn(run: Run, selection: SelectionRecord) -> Outcome:
    """After ``select``."""
    counts, name = selection.counts, selection.name
    doubts = warnings(run, selection=name, stage="select")
    lists = selection.lists.files if selection.lists else []
    _, lost = read_lines(run.path)
    decision = stages.decision(run.path, selection)
    following = as_typed(["export", "--run", str(run.path), "--selection", name, "--out"]) + " …"
    diagnostics = selection.diagnostics
    removed = selection.removals.to_json() if selection.removals else None
    facts = {
        "command": "select",
        "run": str(run.path),
        "name": name,
        "scores": selection.scores,
        "scorer": selection.settings.scorer,
        "temperature": selection.to_json()["temperature"],
        "selected": counts.selected,
        "tokens": counts.tokens,
        "rows": counts.to_json(),
        "lists": [entry.to_json() for entry in lists],
        "judgements_lost": lost,
        "removals": removed,
        "ess_share": diagnostics.ess_share if diagnostics else None,
        "decision": decision,
        "warnings": _warned(doubts),
        "settings": str(run.selection_dir(name) / SETTINGS_FILE),
        "next": following,
    }
    lines = [_fates(counts), *_matches(lists), *stages.removals(run.path, selection)]
    if counts.included_but_out:
        lines.append(f"{count(counts.included_but_out, 'row')} to include left out all the same")
    if lost:
        lines.append(f"{run.path / REVIEW_FILE}: {lost_lines(lost)}")
    lines.append(f"{counts.selected:,} samples selected ({counts.tokens:,} tokens)")
    return Outcome(facts, [*lines, decision, *_warnings(doubts), f"next: {following}"])


def clustered(run: Path, scores: str, record: ClusterRecord) -> Outcome:
    """After ``cluster``."""
    named = [*zip(record.names(), record.clusters, strict=False)]
    of = [] if scores == "default" else ["--scores", scores]
    words = ["select", "--run", str(run), *of, "--stratify", "equal", "--stratify-by", CLUSTER]
    following = as_typed(words)
    facts = {"command": "cluster", "run": str(run), "scores": scores, **record.to_json()}
    facts |= {"settings": str(cluster_folder(Run.open(run), scores) / SETTINGS_FILE)}
    lines = [f"{name}: {count(one.rows, 'row')}" for name, one in named]
    return Outcome(facts, [*lines, f"next: {following}"])


def _oddities(parts: Sequence[Path]) -> dict[str, int | None]:
    """Rows that repeat a prompt, were cut, have no response; None where shards do not say."""
    have = set(pq.read_schema(parts[0]).names)
    wanted = ["prompt_hash", "truncated", "n_response_tokens"]
    frame = read_columns(parts, [name for name in wanted if name in have])
    repeated = truncated = silent = None
    if "prompt_hash" in frame:
        hashes = frame["prompt_hash"].to_numpy()
        hashes = hashes[hashes != 0]  # 0: no prompt
        repeated = len(hashes) - len(np.unique(hashes))
    if "truncated" in frame:
        truncated = int(frame["truncated"].sum())
    if "n_response_tokens" in frame:
        silent = int(pd.isna(frame["n_response_tokens"]).sum())
    return {"duplicates": repeated, "truncated": truncated, "without_response": silent}


def _odd_rows(facts: Mapping[str, Any], max_length: int | None) -> str:
    clauses = []
    if repeated := facts["duplicates"]:
        clauses.append(f"{repeated:,} repeat another row's prompt (select draws from one of each)")
    if truncated := facts["truncated"]:
        clauses.append(f"{truncated:,} were cut at {max_length:,} tokens")
    if silent := facts["without_response"]:
        clauses.append(f"{silent:,} have no response")
    return f"of the scored rows {'; '.join(clauses)}" if clauses else ""


def _fates(counts: Counts) -> str:
    """What became of the pool's rows."""
    lost = {
        "duplicate": counts.duplicate,
        "nearly a duplicate": counts.near_duplicate,
        "holding a benchmark's question": counts.contaminated,
        "excluded by id": counts.excluded_id,
        "excluded by text": counts.excluded_text,
        "dropped by eye or tag": counts.dropped,
        "without a response": counts.no_response,
        "without a score": counts.no_score,
    }
    parts = [f"{rows:,} {why}" for why, rows in lost.items() if rows]
    left = f"; left out: {', '.join(parts)}" if parts else ""
    rejected = f", {counts.rejected:,} rejected before" if counts.rejected else ""
    return f"{counts.rows:,} rows scored{rejected}{left}; {counts.eligible:,} could be drawn"


def _matches(lists: Sequence[ListFile]) -> list[str]:
    """How many rows each list names, and which ids name none."""
    lines = [
        f"{entry.rule} {entry.file}: {count(entry.ids, 'id')} and {count(entry.texts, 'text')}, "
        f"which {count(entry.rows or 0, 'row')} of the pool {'has' if entry.rows == 1 else 'have'}"
        for entry in lists
        if not entry.is_id
    ]
    for entry in (each for each in lists if each.ambiguous):
        several = count(entry.ambiguous or 0, "id is that", "ids are those")
        lines.append(
            f"{entry.rule} {entry.file}: {several} of several sources and named no row (write "
            "source/id)"
        )
    for rule in ("exclude", "include"):
        ids = [entry for entry in lists if entry.is_id and entry.rule == rule]
        unknown = [entry.file for entry in ids if not entry.rows and not entry.ambiguous]
        if unknown:
            lines.append(f"{rule}: no row has the id {listing(unknown)}, and it is no file either")
    return lines


def _reasons(reasons: Mapping[str, int]) -> str:
    """The commonest reasons, most rows first: "12 no response, 3 longer than 160 tokens"."""
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    shown = [f"{rows:,} {reason}" for reason, rows in ordered[:MOST_REASONS]]
    rest = sum(rows for _, rows in ordered[MOST_REASONS:])
    return ", ".join([*shown, f"{rest:,} for other reasons"] if rest else shown)


def _warned(doubts: Sequence[Signature]) -> list[dict[str, Any]]:
    return [
        {"key": s.key, "severity": s.severity, "title": s.title, "text": s.text, "number": s.number}
        for s in doubts
        if s.severity != "good"
    ]


def _warnings(doubts: Sequence[Signature]) -> list[str]:
    return [f"warning: {s.title}: {s.text}" for s in doubts if s.severity == "warn"]
