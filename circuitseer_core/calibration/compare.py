"""The fit to head readings beside everything that might do as well, on the same folds.

Blocks: all heads; the reasoning heads alone; sets of as many random heads; words; looks of the text
(digits, LaTeX, operators, newlines); the paper's scores; perplexity and IFD where they were scored;
the source. Every one is fitted in the same way; the paper's scores are judged as they are, too.
``rest`` is all but the heads, and ``X + heads`` is X and the heads: predictions added.

Which rows share a fold moves the numbers by more than one would like, so several assignments of
rows to folds are made and the numbers are means over them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from circuitseer_core.aliases import Floats, Head, Ints
from circuitseer_core.calibration.blocks import (
    Block,
    head_block,
    score_block,
    source_block,
    surface_block,
    word_block,
)
from circuitseer_core.calibration.folds import folds_by_hash, numbered
from circuitseer_core.calibration.judge import Judge, Judged, mean_of, mean_over_sets
from circuitseer_core.calibration.names import (
    HEADS,
    LOSSES,
    MIN_ROWS,
    PAPER,
    PLUS,
    POOLED,
    RANDOM,
    REASONING,
    REST,
    WITHIN,
    WORDS,
    has_heads,
)
from circuitseer_core.calibration.nested import Design, OutOfFold, out_of_fold
from circuitseer_core.calibration.rows import Rows
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.errors import UserError
from circuitseer_core.runs.calibration_records import Chance, Estimate, Gain

RANDOM_SETS = 10
_OF_RANDOM = f" ({RANDOM})"
_LOSS_SCORES = ("perplexity", "ifd")
Lines = dict[str, Judged]


@dataclass(slots=True)
class Study:
    """All that was measured. ``blocks``, ``design``, ``folds`` and ``pooled`` are of the first
    assignment of rows to folds, whose fits are kept."""

    blocks: list[Block]
    design: Design
    folds: Ints
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
    """Fit and judge all rows together, and within sources where there are several.

    Args:
        rows: those with a target.
        target: (N,) finite, higher is harder.
        reasoning: the heads that the scoring was made with.

    Raises:
        UserError: too few rows or prompts, or a target that is the same everywhere.
    """
    different = len(set(rows.keys))  # copies of a prompt tell nothing new
    if different < MIN_ROWS:
        what = "rows" if different == len(rows) else "different prompts"
        raise UserError(
            f"{different} {what} have a target and head readings: at least {MIN_ROWS} are needed"
        )
    if np.ptp(target) == 0:
        raise UserError("the target is the same on every row")
    source = source_numbers(rows)
    several = len(set(rows.source)) > 1
    groups = source if settings.within_sources and several else None
    prompts = numbered(rows.keys)
    permuted = _permuted(target, prompts, groups, settings)
    design = Design(target, rows.tokens, permuted, groups, prompts)
    plain = replace(design, permuted=np.zeros((len(target), 0)))
    blocks = all_blocks(rows, settings, reasoning)
    sums = _sums(blocks)
    judged_by = {POOLED: None} | ({WITHIN: source} if several else {})
    judges = {
        judged: Judge(target, rows.tokens, groups=by, prompts=prompts, seed=settings.seed)
        for judged, by in judged_by.items()
    }
    lines: dict[str, list[Lines]] = {judged: [] for judged in judges}
    first: tuple[OutOfFold, Ints] | None = None
    for repeat in range(settings.repeats_for(len(rows))):
        folds = folds_by_hash(rows.keys, settings.folds, settings.seed, repeat)
        predicted = out_of_fold(blocks, sums, plain if first else design, folds, on_fold)
        for judged, judge in judges.items():
            lines[judged].append(_fitted_lines(judge, predicted, folds))
        first = first or (predicted, folds)
    assert first is not None  # there is at least one repeat
    estimates, gains = _numbers(rows, lines, judges)
    pooled, folds = first
    chance = _chance(design, pooled, folds, estimates)
    return Study(blocks, design, folds, pooled, estimates, gains, chance)


def source_numbers(rows: Rows) -> Ints:
    """(N,) each row's source as a number."""
    return np.unique(rows.source.astype(str), return_inverse=True)[1].astype(np.int64)


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
    losses = [name for name in _LOSS_SCORES if name in known]
    if paper:
        blocks.append(score_block(rows, PAPER, paper))
    if losses:
        blocks.append(score_block(rows, LOSSES, losses))
    if len(set(rows.source)) > 1 and not settings.within_sources:
        blocks.append(source_block(rows))
    return blocks


def _sums(blocks: Sequence[Block]) -> dict[str, tuple[str, ...]]:
    """Which predictions are added: a rival and the heads, all rivals, these and the heads."""
    names = [block.name for block in blocks]
    rivals = tuple(name for name in names if not has_heads(name))
    sums: dict[str, tuple[str, ...]] = {name + PLUS: (name, HEADS) for name in rivals}
    return sums | {REST: rivals, REST + PLUS: (*rivals, HEADS)}


def _permuted(
    target: Floats, prompts: Ints, groups: Ints | None, settings: CalibrateSettings
) -> Floats:
    """(N, P) the target in other orders, within each group where given.

    Rows of one prompt keep their targets together: prompts exchange theirs with prompts of as many
    rows.
    """
    rng = np.random.default_rng(settings.seed + 1)
    columns = np.tile(target[:, None], (1, settings.permutations))
    parts = [np.arange(len(target))]
    if groups is not None:
        parts = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    for rows in parts:
        for block in _blocks_of_size(rows, prompts[rows]):
            order = np.tile(np.arange(len(block))[:, None], (1, settings.permutations))
            order = rng.permuted(order, axis=0)  # (blocks, P)
            columns[block] = target[block[order]].transpose(0, 2, 1)
    return columns


def _blocks_of_size(rows: Ints, prompts: Ints) -> list[Ints]:
    """The rows as blocks of one prompt, a (blocks, size) array for every size."""
    by_prompt = np.argsort(prompts, kind="stable")
    _, sizes = np.unique(prompts, return_counts=True)
    starts = np.cumsum(sizes) - sizes
    return [
        rows[by_prompt[starts[sizes == size][:, None] + np.arange(size)]]
        for size in np.unique(sizes)
    ]


def _fitted_lines(judge: Judge, out: OutOfFold, folds: Ints) -> Lines:
    """Every fitted line of one assignment of rows to folds."""
    lines = {name: judge.partial(p, folds) for name, p in out.blocks.items()}
    sets = [lines.pop(name) for name in list(lines) if name.startswith(f"{RANDOM} ")]
    if sets:
        lines[RANDOM] = mean_over_sets(sets)
    for family, predicted in out.variants[HEADS].items():
        lines[f"{HEADS}: {family}"] = judge.partial(predicted, folds)
    return lines


def _score_lines(judge: Judge, rows: Rows, taken: Collection[str]) -> Lines:
    """Scores as they are, and what random heads' scores give.

    A score that came from elsewhere may be called as a fitted line is (``taken``).
    """
    lines: Lines = {}
    for name in rows.scorers():
        shown = f"{name} (score)" if name in taken else name
        lines[shown] = judge.partial(rows.numbers[name])
        if controls := rows.controls(name):
            of_random = [judge.partial(rows.numbers[column]) for column in controls]
            lines[shown + _OF_RANDOM] = mean_over_sets(of_random)
    return lines


def _numbers(
    rows: Rows,
    lines: Mapping[str, Sequence[Lines]],
    judges: Mapping[str, Judge],
) -> tuple[list[Estimate], list[Gain]]:
    """Means over the assignments, beside the scores as they are."""
    estimates: list[Estimate] = []
    gains: list[Gain] = []
    for judged, judge in judges.items():
        fitted = averaged(lines[judged])
        scores = _score_lines(judge, rows, fitted)
        by_name = fitted | scores
        estimates += [estimate(name, judged, j, len(rows)) for name, j in by_name.items()]
        rivals = [name for name in fitted if not has_heads(name)]
        rivals += [name for name in scores if not name.endswith(_OF_RANDOM)]
        gains += _gains(by_name, judged, rivals)
    return estimates, gains


def averaged(several: Sequence[Lines]) -> Lines:
    """Line by line, the mean over assignments of rows to folds."""
    return {name: mean_of([lines[name] for lines in several]) for name in several[0]}


def estimate(
    name: str, judged: str, line: Judged, rows: int, source: str | None = None
) -> Estimate:
    """A judged line as it is kept."""
    low, high = line.interval
    return Estimate(
        name=name,
        judged=judged,
        value=_plain(line.value),
        low=_plain(low),
        high=_plain(high),
        rows=rows,
        source=source,
    )


def gain(lines: Lines, name: str, than: str, judged: str, source: str | None = None) -> Gain:
    """The difference of two lines as it is kept."""
    gap = lines[name].minus(lines[than])
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


def _gains(lines: Lines, judged: str, rivals: Sequence[str]) -> list[Gain]:
    """The heads against other sets of heads and the best rival, and what they add to rivals."""
    known = [n for n in dict.fromkeys(rivals) if n in lines and np.isfinite(lines[n].value)]
    if not known:
        raise UserError(
            "nothing can be judged: at a fixed number of tokens the target has no order left "
            "(is it the length itself?)"
        )
    best = max(known, key=lambda name: lines[name].value)
    pairs = [(HEADS, name) for name in (REASONING, RANDOM) if name in lines]
    pairs += [(HEADS, best), (WORDS + PLUS, WORDS), (REST + PLUS, REST)]
    if best + PLUS in lines:
        pairs.append((best + PLUS, best))
    return [gain(lines, *pair, judged) for pair in dict.fromkeys(pairs)]


def _chance(design: Design, out: OutOfFold, folds: Ints, estimates: Sequence[Estimate]) -> Chance:
    """What the same fit gives on permuted targets, judged as the true one."""
    judged = POOLED if design.source is None else WITHIN
    values = np.array(
        [
            Judge(permuted, design.tokens, groups=design.source).value(predicted, folds)
            for permuted, predicted in zip(design.permuted.T, out.permuted.T, strict=True)
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


def _plain(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
