"""Does it hold within a source, and does it carry over to a source that it never saw?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from circuitseer_core.aliases import Floats
from circuitseer_core.calibration.blocks import Block, head_block, surface_block, word_block
from circuitseer_core.calibration.compare import (
    Lines,
    averaged,
    estimate,
    gain,
    source_numbers,
)
from circuitseer_core.calibration.folds import folds_by_hash, numbered
from circuitseer_core.calibration.judge import Judge
from circuitseer_core.calibration.names import HEADS, MIN_ROWS, OTHER, OWN, PLUS, WORDS
from circuitseer_core.calibration.nested import Design, out_of_fold
from circuitseer_core.calibration.rows import Rows
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.runs.calibration_records import Estimate, Gain

_SUMS = {WORDS + PLUS: (WORDS, HEADS)}
Numbers = tuple[list[Estimate], list[Gain]]


def usable_sources(rows: Rows, target: Floats) -> list[str]:
    """Sources with enough prompts, and a target that varies within them."""
    usable = []
    for source in sorted(set(rows.source)):
        at = np.flatnonzero(rows.source == source)
        values = target[at]
        if len({rows.keys[i] for i in at}) >= MIN_ROWS and np.ptp(values) > 0:
            usable.append(str(source))
    return usable


def each_alone(
    rows: Rows,
    target: Floats,
    settings: CalibrateSettings,
    on_fold: Callable[[], None] = lambda: None,
) -> Numbers:
    """Every source by itself, with folds of its own."""
    estimates: list[Estimate] = []
    gains: list[Gain] = []
    for source in usable_sources(rows, target):
        at = np.flatnonzero(rows.source == source)
        some = rows.take(at)
        prompts = numbered(some.keys)
        design = Design(target[at], some.tokens, np.zeros((len(at), 0)), prompt=prompts)
        blocks = _blocks(some, settings)
        judge = Judge(design.target, design.tokens, prompts=prompts)
        several: list[Lines] = []
        for repeat in range(settings.repeats_for(len(at))):
            folds = folds_by_hash(some.keys, settings.folds, settings.seed, repeat)
            predicted = out_of_fold(blocks, _SUMS, design, folds, on_fold)
            several.append({name: judge.partial(p, folds) for name, p in predicted.blocks.items()})
        lines = averaged(several)
        estimates += [estimate(k, OWN, j, len(at), source) for k, j in lines.items()]
        gains.append(gain(lines, WORDS + PLUS, WORDS, OWN, source))
    return estimates, gains


def each_by_others(
    rows: Rows,
    target: Floats,
    settings: CalibrateSettings,
    on_fold: Callable[[], None] = lambda: None,
) -> Numbers:
    """Every source by a fit to the others, and all of them together, ranks within sources."""
    number = source_numbers(rows)
    groups = number if settings.within_sources else None
    prompts = numbered(rows.keys)
    design = Design(target, rows.tokens, np.zeros((len(rows), 0)), groups, prompts)
    predicted = out_of_fold(_blocks(rows, settings), _SUMS, design, number, on_fold)
    estimates: list[Estimate] = []
    gains: list[Gain] = []
    for source in [None, *usable_sources(rows, target)]:
        at = np.flatnonzero([source is None or own == source for own in rows.source])
        inside = number if source is None else None
        judge = Judge(
            target[at],
            rows.tokens[at],
            groups=inside,
            prompts=numbered([rows.keys[i] for i in at]),
            seed=settings.seed,
        )
        lines = {name: judge.partial(p[at]) for name, p in predicted.blocks.items()}
        estimates += [estimate(k, OTHER, j, len(at), source) for k, j in lines.items()]
        gains.append(gain(lines, WORDS + PLUS, WORDS, OTHER, source))
    return estimates, gains


def _blocks(rows: Rows, settings: CalibrateSettings) -> list[Block]:
    heads = head_block(rows, HEADS, rows.heads, settings.families, settings.heads_at_most)
    return [heads, word_block(rows), surface_block(rows)]
