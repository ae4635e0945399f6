"""The fit to head readings beside everything that might do as well, on the same folds.

Blocks: all heads; the reasoning heads alone; sets of as many random heads; words; looks of the text
(digits, LaTeX, operators, newlines); the paper's scores; perplexity and IFD where they were scored;
the source. Every one is fitted in the same way; the paper's scores are judged as they are, too.
``rest`` is all but the heads, stacked; ``X + heads`` is X and the heads, stacked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.calibration.blocks import (
    Block,
    head_block,
    score_block,
    source_block,
    surface_block,
    word_block,
)
from circuitseer_core.calibration.folds import folds_by_hash
from circuitseer_core.calibration.judge import Judge, Judged, mean_of
from circuitseer_core.calibration.nested import Design, OutOfFold, out_of_fold
from circuitseer_core.calibration.rows import Rows
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.errors import UserError
from circuitseer_core.runs.calibration_records import Chance, Estimate, Gain

HEADS, REASONING, RANDOM, WORDS, REST = "heads", "reasoning heads", "random heads", "words", "rest"
PLUS = " + heads"
POOLED, WITHIN, OWN, OTHER = "pooled", "within", "own", "other"
RANDOM_SETS = 10
MIN_ROWS = 60
"""Fewest rows that are fitted to: with fewer a fold has hardly anything to learn from."""
_LOSSES = ("perplexity", "ifd")


@dataclass(slots=True)
class Study:
    """All that was measured. ``blocks``, ``design`` and ``folds`` are of the pooled fit."""

    blocks: list[Block]
    design: Design
    folds: NDArray[np.int64]
    pooled: OutOfFold
    estimates: list[Estimate]
    gains: list[Gain]
    chance: Chance


def study(
    rows: Rows,
    target: Floats,
    settings: CalibrateSettings,
    reasoning: Sequence[Head],
    on_fold: Callable[[], None] = lambda: None,
) -> Study:
    """Fit and judge.

    Args:
        rows: those with a target.
        target: (N,) finite, higher is harder.
        reasoning: the heads that the scoring was made with.

    Raises:
        UserError: too few rows, or a target that is the same everywhere.
    """
    if len(rows) < MIN_ROWS:
        raise UserError(
            f"{len(rows)} rows have a target and head readings: at least {MIN_ROWS} are needed"
        )
    if np.ptp(target) == 0:
        raise UserError("the target is the same on every row")
    source = np.unique(rows.source.astype(str), return_inverse=True)[1].astype(np.int64)
    folds = folds_by_hash(rows.ids, settings.folds, settings.seed)
    groups = source if settings.within_sources else None
    design = Design(target, rows.tokens, _permuted(target, groups, settings), groups)
    blocks = all_blocks(rows, settings, reasoning)
    plain = [b.name for b in blocks if b.name not in (HEADS, REASONING) and RANDOM not in b.name]
    stacks = {name + PLUS: (name, HEADS) for name in plain}
    stacks |= {REST: tuple(plain), REST + PLUS: (*plain, HEADS)}
    pooled = out_of_fold(blocks, stacks, design, folds, on_fold)
    estimates: list[Estimate] = []
    gains: list[Gain] = []
    judged_by = {POOLED: None} | ({WITHIN: source} if len(np.unique(source)) > 1 else {})
    for judged, by in judged_by.items():
        judge = Judge(target, rows.tokens, groups=by, seed=settings.seed)
        found = _judged(judge, rows, pooled, folds)
        estimates += [_estimate(name, judged, j, len(rows)) for name, j in found.items()]
        gains += _gains(found, judged, [*plain, REST, *rows.scorers()])
    chance = _chance(design, pooled, folds, estimates)
    if len(judged_by) > 1:
        for extra in (_own, _other):
            more, better = extra(rows, target, source, settings, on_fold)
            estimates += more
            gains += better
    return Study(blocks, design, folds, pooled, estimates, gains, chance)


def all_blocks(rows: Rows, settings: CalibrateSettings, reasoning: Sequence[Head]) -> list[Block]:
    """Every block of the comparison, the heads first."""
    families = settings.families
    own = [head for head in reasoning if head in set(rows.heads)]
    blocks = [head_block(rows, HEADS, rows.heads, families, settings.heads_at_most)]
    if own and len(own) < len(rows.heads):
        blocks.append(head_block(rows, REASONING, own, families))
        others = [head for head in rows.heads if head not in set(own)]
        rng = np.random.default_rng(settings.seed)
        for number in range(RANDOM_SETS):
            pick = rng.choice(len(others), size=min(len(own), len(others)), replace=False)
            heads = sorted(others[i] for i in pick)
            blocks.append(head_block(rows, f"{RANDOM} {number}", heads, families))
    blocks += [word_block(rows), surface_block(rows)]
    known = rows.scorers()
    paper = [name for name in known if rows.controls(name)]
    losses = [name for name in _LOSSES if name in known]
    if paper:
        blocks.append(score_block(rows, "paper's scores", paper))
    if losses:
        blocks.append(score_block(rows, "perplexity and IFD", losses))
    if len(set(rows.source)) > 1 and not settings.within_sources:
        blocks.append(source_block(rows))
    return blocks


def _permuted(
    target: Floats, groups: NDArray[np.int64] | None, settings: CalibrateSettings
) -> Floats:
    """(N, P) the target in other orders, within each group where given."""
    rng = np.random.default_rng(settings.seed + 1)
    columns = np.tile(target[:, None], (1, settings.permutations))
    parts = [np.arange(len(target))] if groups is None else []
    if groups is not None:
        parts = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    for rows in parts:
        columns[rows] = rng.permuted(columns[rows], axis=0)
    return columns


def _judged(
    judge: Judge, rows: Rows, found: OutOfFold, folds: NDArray[np.int64]
) -> dict[str, Judged]:
    """Every line of one comparison, in order."""
    lines = {name: judge.partial(p, folds) for name, p in found.blocks.items()}
    sets = [lines.pop(name) for name in list(lines) if name.startswith(f"{RANDOM} ")]
    if sets:
        lines[RANDOM] = mean_of(sets)
    for family, predicted in found.variants[HEADS].items():
        lines[f"{HEADS}: {family}"] = judge.partial(predicted, folds)
    for name in rows.scorers():
        lines[name] = judge.partial(rows.numbers[name])
        if controls := rows.controls(name):
            of_random = [judge.partial(rows.numbers[c]) for c in controls]
            lines[f"{name} ({RANDOM})"] = mean_of(of_random)
    return lines


def _estimate(
    name: str, judged: str, found: Judged, rows: int, source: str | None = None
) -> Estimate:
    low, high = found.interval
    return Estimate(
        name=name,
        judged=judged,
        value=_plain(found.value),
        low=_plain(low),
        high=_plain(high),
        rows=rows,
        source=source,
    )


def _gain(
    found: Mapping[str, Judged], name: str, than: str, judged: str, source: str | None = None
) -> Gain:
    gap = found[name].minus(found[than])
    low, high = gap.interval
    return Gain(
        name=name,
        than=than,
        judged=judged,
        value=_plain(gap.value),
        low=_plain(low),
        high=_plain(high),
        source=source,
    )


def _gains(found: Mapping[str, Judged], judged: str, others: Sequence[str]) -> list[Gain]:
    """The heads against other sets of heads and the best of the others, and what they add."""
    best = max(
        (name for name in others if name in found and np.isfinite(found[name].value)),
        key=lambda name: found[name].value,
    )
    pairs = [(HEADS, name) for name in (REASONING, RANDOM) if name in found]
    pairs += [(HEADS, best), (WORDS + PLUS, WORDS), (REST + PLUS, REST)]
    if best + PLUS in found:
        pairs.append((best + PLUS, best))
    return [_gain(found, *pair, judged) for pair in dict.fromkeys(pairs)]


def _chance(
    design: Design, found: OutOfFold, folds: NDArray[np.int64], estimates: Sequence[Estimate]
) -> Chance:
    """What the same fit gives on permuted targets, judged as the true one."""
    judged = POOLED if design.source is None else WITHIN
    values = np.array(
        [
            Judge(permuted, design.tokens, groups=design.source).value(predicted, folds)
            for permuted, predicted in zip(design.permuted.T, found.permuted.T, strict=True)
        ]
    )
    true = next((e.value for e in estimates if (e.name, e.judged) == (HEADS, judged)), None)
    low, high = np.quantile(values, [0.025, 0.975])
    reached = int((values >= (true if true is not None else -2.0)).sum())
    return Chance(
        draws=len(values),
        mean=float(values.mean()),
        low=float(low),
        high=float(high),
        p=(1 + reached) / (1 + len(values)),
    )


def _few_blocks(rows: Rows, settings: CalibrateSettings) -> list[Block]:
    heads = head_block(rows, HEADS, rows.heads, settings.families, settings.heads_at_most)
    return [heads, word_block(rows), surface_block(rows)]


_FEW_STACKS = {WORDS + PLUS: (WORDS, HEADS)}


def _own(
    rows: Rows,
    target: Floats,
    source: NDArray[np.int64],
    settings: CalibrateSettings,
    on_fold: Callable[[], None],
) -> tuple[list[Estimate], list[Gain]]:
    """Every source with enough rows by itself, with folds of its own."""
    estimates: list[Estimate] = []
    gains: list[Gain] = []
    for number in np.unique(source):
        at = np.flatnonzero(source == number)
        if len(at) < MIN_ROWS or np.ptp(target[at]) == 0:
            continue
        some = rows.take(at)
        design = Design(target[at], some.tokens, np.zeros((len(at), 0)))
        folds = folds_by_hash(some.ids, settings.folds, settings.seed)
        found = out_of_fold(_few_blocks(some, settings), _FEW_STACKS, design, folds, on_fold)
        judge = Judge(design.target, design.tokens, seed=settings.seed)
        lines = {name: judge.partial(p, folds) for name, p in found.blocks.items()}
        name = str(rows.source[at[0]])
        estimates += [_estimate(k, OWN, j, len(at), name) for k, j in lines.items()]
        gains.append(_gain(lines, WORDS + PLUS, WORDS, OWN, name))
    return estimates, gains


def _other(
    rows: Rows,
    target: Floats,
    source: NDArray[np.int64],
    settings: CalibrateSettings,
    on_fold: Callable[[], None],
) -> tuple[list[Estimate], list[Gain]]:
    """Every source by a fit on the others, and all of them together within sources."""
    groups = source if settings.within_sources else None
    design = Design(target, rows.tokens, np.zeros((len(rows), 0)), groups)
    found = out_of_fold(_few_blocks(rows, settings), _FEW_STACKS, design, source, on_fold)
    estimates: list[Estimate] = []
    gains: list[Gain] = []
    for number in [None, *np.unique(source)]:
        at = np.arange(len(rows)) if number is None else np.flatnonzero(source == number)
        if len(at) < MIN_ROWS or np.ptp(target[at]) == 0:
            continue
        inside = source if number is None else None
        judge = Judge(target[at], rows.tokens[at], groups=inside, seed=settings.seed)
        lines = {name: judge.partial(p[at]) for name, p in found.blocks.items()}
        name = None if number is None else str(rows.source[at[0]])
        estimates += [_estimate(k, OTHER, j, len(at), name) for k, j in lines.items()]
        gains.append(_gain(lines, WORDS + PLUS, WORDS, OTHER, name))
    return estimates, gains


def _plain(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
