"""A run folder made of random numbers: the files of a real run, any size, no model.

Tests and benchmarks/app.py open these runs; nothing in them was computed by a model, but every
column is consistent with the others: heads.parquet aggregates the importance parts, the scorers
are computed from the profiles, and token j of a text starts at character 5·j (texts are made of
four-letter words). Vectorised: 1,000,000 rows with 80x64 heads take well under two minutes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from circuitseer_core.data.prompts import prompt_hashes
from circuitseer_core.detection.importance_table import merge_parts
from circuitseer_core.runs import ownership
from circuitseer_core.runs.columns import ROW_GROUP
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings

WORDS = (
    "find", "what", "when", "take", "give", "each", "cost", "then", "more", "less", "half",
    "pair", "many", "sums", "area", "side", "cube", "root", "line", "mean", "last", "next",
    "days", "hour", "ball", "coin", "card", "pick", "left", "paid", "sold", "made", "uses",
    "from", "into", "with",
)  # fmt: skip
SCORERS = ("variance", "raw_variance", "focus", "divergence")
TOPICS = ("algebra", "geometry", "number theory", "probability", "calculus")
SINK = 0.35  # mean share of attention on the first token


@dataclass(frozen=True)
class Shape:
    """How big a run to make; ``profiles`` is the number of rows that keep theirs (None: all)."""

    rows: int = 400
    sources: int = 3
    layers: int = 6
    heads: int = 8
    probe: int = 24
    profiles: int | None = None
    rows_per_part: int = 50_000
    median_tokens: int = 60
    contrast: bool = False
    racing: bool = False
    detect_only: bool = False
    fraction: float | None = 0.1  # of the selection named "default"; None: no selection


def make_run(path: Path, shape: Shape = Shape(), *, seed: int = 0) -> Path:
    """Write a whole run folder at ``path`` and return it."""
    rng = np.random.default_rng(seed)
    path.mkdir(parents=True, exist_ok=True)
    ownership.mark(path)
    _write_detect(path, shape, rng)
    if not shape.detect_only:
        _write_scores(path, shape, rng)
    _write_manifest(path, shape)
    if shape.fraction is not None and not shape.detect_only:
        select_run(Run.open(path), SelectionSettings.of(fraction=shape.fraction))
    return path


def source_names(count: int) -> list[str]:
    """``count`` names of made-up sources."""
    return [f"source_{i:02d}" for i in range(count)]


def _write_manifest(path: Path, shape: Shape) -> None:
    manifest = {
        "format": 1,
        "name": path.name,
        "created": "2026-01-05T09:00:00+00:00",
        "state": "done",
        "versions": {"circuitseer": "0.1.0"},
        "model": _model(shape),
        "detect": {
            "settings": {"mode": "racing" if shape.racing else "exact", "probe_size": shape.probe},
            "finished": "2026-01-05T09:20:00+00:00",
            "noise_floor": 2e-4,
            "replay": True,
            "n_probe": shape.probe,
            "stack_tokens": 4096,
        },
        "commands": [],
        "seconds": {"detect": 312.4},
    }
    (path / "run.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def _model(shape: Shape) -> dict[str, Any]:
    return {
        "id": "synthetic/random-numbers",
        "revision": None,
        "weights_hash": "0" * 16,
        "tokenizer_hash": "1" * 16,
        "dtype": "float32",
        "device": "cpu",
        "n_layers": shape.layers,
        "heads_per_layer": [shape.heads] * shape.layers,
        "parameters": 1_000_000,
    }


def _write_detect(path: Path, shape: Shape, rng: np.random.Generator) -> None:
    sets = ["probe", "contrast"] if shape.contrast else ["probe"]
    cells = shape.layers * shape.heads
    scale = np.where(rng.random(cells) < 0.06, rng.lognormal(-1.5, 1.0, cells), 0.004)
    frames, per_set = [], {}
    for name in sets:
        ids, source = _ids(f"{name}_", shape.probe, shape.sources, rng)
        # A head acts on some sources more than on others, so that their maps differ.
        tilt = rng.uniform(0.4, 1.6, (shape.sources, cells))[source]
        delta = scale * tilt + rng.normal(0, 0.5, (shape.probe, cells)) * (scale + 0.004)
        keep = _raced(delta.mean(axis=0), shape) if name == "probe" else np.full(cells, shape.probe)
        per_set[name] = (delta, keep)
        _write_importance(path, name, ids, delta, keep, shape)
        frames.append(_probe_frame(name, ids, source, rng))
    merge_parts(path / "importance")  # as a finished detection does
    pd.concat(frames, ignore_index=True).to_parquet(path / "probe.parquet", index=False)
    frames[0][["id", "source", "base_loss"]].to_parquet(path / "pool.parquet", index=False)
    _heads_frame(per_set, shape).to_parquet(path / "heads.parquet", index=False)


def _raced(mean: np.ndarray, shape: Shape) -> np.ndarray:
    """Samples each head was evaluated on: all of them, or a quarter for the worst 60 %."""
    if not shape.racing:
        return np.full(mean.size, shape.probe)
    worst = mean < np.quantile(mean, 0.6)
    return np.where(worst, max(2, shape.probe // 4), shape.probe)


def _ids(
    prefix: str, count: int, sources: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    weights = 1.0 / np.arange(1, sources + 1) ** 0.7
    source = rng.choice(sources, count, p=weights / weights.sum())
    names = np.array(source_names(sources))[source]
    return np.array([f"{s}/{prefix}{i}" for i, s in enumerate(names)]), source


def _probe_frame(
    name: str, ids: np.ndarray, source: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    n_tokens = rng.integers(20, 90, ids.size)
    return pd.DataFrame(
        {
            "id": ids,
            "set": name,
            "source": np.array(source_names(int(source.max()) + 1))[source],
            "n_tokens": n_tokens.astype("int32"),
            "n_loss_tokens": (n_tokens // 2).astype("int32"),
            "base_loss": rng.gamma(4.0, 0.5, ids.size),
            "text": [" ".join(rng.choice(WORDS, 12)) for _ in ids],
        }
    )


def _write_importance(
    path: Path, name: str, ids: np.ndarray, delta: np.ndarray, keep: np.ndarray, shape: Shape
) -> None:
    folder = path / "importance"
    folder.mkdir(exist_ok=True)
    batches = np.array_split(np.arange(ids.size), max(1, ids.size // 75))
    for b, rows in enumerate(batches):
        for layer in range(shape.layers):
            heads = np.arange(shape.heads)
            block = delta[np.ix_(rows, layer * shape.heads + heads)]
            frame = pd.DataFrame(
                {
                    "id": np.repeat(ids[rows], shape.heads),
                    "set": name,
                    "layer": np.int32(layer),
                    "head": np.tile(heads, rows.size).astype("int32"),
                    "delta_loss": block.ravel(),
                }
            )
            seen = rows[:, None] < keep[layer * shape.heads + heads][None, :]
            target = folder / f"part-{name}-{b:05d}-{layer:03d}.parquet"
            frame[seen.ravel()].to_parquet(target, index=False)


def _heads_frame(per_set: dict[str, tuple[np.ndarray, np.ndarray]], shape: Shape) -> pd.DataFrame:
    delta, keep = per_set["probe"]
    mean, stderr = _moments(delta, keep)
    final = keep == keep.max()
    order = np.lexsort((-mean, ~final))
    rank = np.empty(mean.size, dtype="int32")
    rank[order] = np.arange(1, mean.size + 1)
    frame = pd.DataFrame(
        {
            "layer": np.repeat(np.arange(shape.layers, dtype="int32"), shape.heads),
            "head": np.tile(np.arange(shape.heads, dtype="int32"), shape.layers),
            "importance": mean,
            "stderr": stderr,
            "n": keep.astype("int32"),
            "raced_out": ~final,
            "rank": rank,
            "below_noise": np.abs(mean) < 2e-4,
        }
    )
    if "contrast" in per_set:
        other, _ = _moments(*per_set["contrast"])
        frame["contrast_importance"] = other
        frame["specificity"] = (mean - other) / 2.0
        frame["specificity_stderr"] = stderr / 2.0
        frame["specificity_rank"] = (-frame["specificity"]).rank(method="first").astype("int32")
    return frame


def _moments(delta: np.ndarray, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    seen = np.arange(delta.shape[0])[:, None] < keep[None, :]
    mean = np.where(seen, delta, 0).sum(axis=0) / keep
    spread = np.where(seen, (delta - mean) ** 2, 0).sum(axis=0) / np.maximum(keep - 1, 1)
    return mean, np.sqrt(spread / keep)


def _write_scores(path: Path, shape: Shape, rng: np.random.Generator) -> None:
    folder = path / "scores" / "default"
    folder.mkdir(parents=True, exist_ok=True)
    stock = " ".join(rng.choice(WORDS, 40_000))
    kept = shape.rows if shape.profiles is None else shape.profiles
    control_every = max(1, shape.rows // 20_000)
    for part, start in enumerate(range(0, shape.rows, shape.rows_per_part)):
        count = min(shape.rows_per_part, shape.rows - start)
        table = _score_part(start, count, shape, stock, kept, control_every, rng)
        target = folder / f"part-{part:05d}.parquet"
        pq.write_table(table, target, compression="zstd", row_group_size=ROW_GROUP)
    rejects = pd.DataFrame(
        {"id": ["source_00/bad"], "source": ["source_00"], "reason": ["the prompt is empty"]}
    )
    rejects.to_parquet(folder / "rejects.parquet", index=False)
    heads = pd.read_parquet(path / "heads.parquet").nsmallest(
        max(1, -(-shape.layers * shape.heads // 20)), "rank"
    )
    settings = {
        "heads": heads[["layer", "head"]].to_numpy().tolist(),
        "heads_rule": "0.05",
        "rank_by": "importance",
        "text": "prompt",
        "model": _model(shape),
        "data": [],
        "max_length": 4096,
        "dtype": "float32",
        "token_budget": 4096,
        "seed": 0,
        "control_heads": [[[0, 0]]] * 3,
        "scorers": [*SCORERS, "length", "random"],
        "state": "done",
        "rows": shape.rows,
        "rejected": 1,
        "seconds": 98.7,
    }
    (folder / "settings.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")


def _score_part(
    start: int,
    count: int,
    shape: Shape,
    stock: str,
    kept: int,
    control_every: int,
    rng: np.random.Generator,
) -> pa.Table:
    _, source = _ids("", count, shape.sources, rng)
    names = np.array(source_names(shape.sources))[source]
    tokens = rng.lognormal(np.log(shape.median_tokens) + 0.08 * (source % 5), 0.45, count)
    tokens = np.clip(tokens, 4, 2_000).astype("int64")
    profile, bounds = _profiles(tokens, source, rng)
    columns: dict[str, Any] = {
        "id": [f"{s}/{i}" for s, i in zip(names, range(start, start + count), strict=True)],
        "source": names,
        "n_tokens": tokens.astype("int32"),
        "n_tokens_full": tokens.astype("int32"),
        "n_response_tokens": rng.integers(10, 300, count).astype("int32"),
        "truncated": np.zeros(count, dtype=bool),
    }
    columns |= scorers(profile, bounds)
    columns |= {"length": tokens.astype("float64"), "random": rng.random(count)}
    controlled = np.arange(start, start + count) % control_every == 0
    for scorer in SCORERS:
        for draw in range(3):
            noisy = columns[scorer] * rng.lognormal(0, 0.05, count)
            columns[f"control_{scorer}_{draw}"] = np.where(controlled, noisy, np.nan)
    stored = max(0, min(count, kept - start))
    columns |= _lists(profile, bounds, stored, count)
    columns |= _texts(tokens, stock, source, rng)
    return pa.table(columns)


def _profiles(
    tokens: np.ndarray, source: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Profiles end to end, each summing to 1, and their bounds (count + 1 offsets)."""
    bounds = np.concatenate([[0], np.cumsum(tokens)])
    peaky = np.repeat(rng.uniform(0.6, 1.6, tokens.size) + 0.05 * (source % 7), tokens)
    weight = rng.standard_exponential(bounds[-1]) ** peaky
    sums = np.add.reduceat(weight, bounds[:-1])
    sink = np.clip(rng.normal(SINK, 0.05, tokens.size), 0.05, 0.9)
    weight *= np.repeat((1 - sink) / sums, tokens)
    weight[bounds[:-1]] += sink
    return weight, bounds


def scorers(profile: np.ndarray, bounds: np.ndarray) -> dict[str, np.ndarray]:
    """The attention scorers of concatenated profiles that have no special tokens."""
    first, tokens = bounds[:-1], np.diff(bounds)
    mean = 1.0 / tokens
    raw = np.add.reduceat(profile**2, first) / tokens - mean**2
    kept = profile.copy()
    kept[first] = 0.0
    kept /= np.repeat(np.add.reduceat(kept, first), tokens)
    left = tokens - 1
    focus = left**2 * (np.add.reduceat(kept**2, first) / left - (1.0 / left) ** 2)
    position = np.arange(profile.size) - np.repeat(first, tokens)
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, tokens.max() + 1))])
    flat = (np.repeat(harmonic[tokens], tokens) - harmonic[position]) / np.repeat(tokens, tokens)
    flat[first] = 0.0
    flat /= np.repeat(np.add.reduceat(flat, first), tokens)
    gap = np.divide((kept - flat) ** 2, flat, out=np.zeros_like(flat), where=flat > 0)
    first_gap = (tokens * profile[first] - 1) ** 2
    return {
        "sink_share": first_gap / (tokens**3 * raw),
        "variance": tokens**2 * raw,
        "raw_variance": raw,
        "focus": focus,
        "divergence": np.add.reduceat(gap, first),
    }


def _lists(profile: np.ndarray, bounds: np.ndarray, stored: int, count: int) -> dict[str, pa.Array]:
    offsets = pa.array(
        np.concatenate([bounds[: stored + 1], np.full(count - stored, bounds[stored])]),
        type=pa.int32(),
    )
    missing = pa.array(np.arange(count) >= stored)
    end = int(bounds[stored])
    position = np.arange(end) - np.repeat(bounds[:stored], np.diff(bounds[: stored + 1]))
    return {
        name: pa.ListArray.from_arrays(offsets, values, mask=missing)
        for name, values in {
            "profile": pa.array(profile[:end].astype("float16")),
            "token_starts": pa.array((position * 5).astype("int32")),
            "special_mask": pa.array(np.zeros(end, dtype=bool)),
        }.items()
    }


def _texts(
    tokens: np.ndarray, stock: str, source: np.ndarray, rng: np.random.Generator
) -> dict[str, Any]:
    at = rng.integers(0, len(stock) // 5 - int(tokens.max()) - 1, tokens.size) * 5
    prompts = [stock[a : a + 5 * n - 1] for a, n in zip(at.tolist(), tokens.tolist(), strict=True)]
    level = rng.integers(1, 6, tokens.size).tolist()
    topic = [TOPICS[i] for i in rng.integers(0, len(TOPICS), tokens.size)]
    responses = [f"so it is {a % 997}" for a in at.tolist()]
    original = [
        f'{{"level": {lv}, "topic": "{tp}", "answer": "{a % 997}"}}'
        for lv, tp, a in zip(level, topic, at.tolist(), strict=True)
    ]
    return {
        "prompt_hash": prompt_hashes(prompts),
        "prompt": prompts,
        "response": responses,
        "original": original,
    }
