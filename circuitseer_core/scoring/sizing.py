"""How long a scoring takes, and how much of it one shard should hold.

1. A first pass over the data, without the model: how much text there is, and a few rows by hash.
2. The model scores these rows, as it will score all: seconds for each character of text.
3. On a CPU a shard is closed once it holds ``SHARD_SECONDS`` of such work: what Ctrl-C or a crash
   can cost. The result is pinned with the scoring, so that it goes on with the same shards.

Characters, because where a shard ends must follow from the data alone, before it is tokenised.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.sample import Reject, Sample
from circuitseer_core.detection.probe import draw_candidates
from circuitseer_core.model.memory import find_token_budget, freed_memory_kept
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.scoring.encoded_window import EncodedWindow
from circuitseer_core.scoring.shard_plan import ShardPlan
from circuitseer_core.scoring.window_scorer import WindowScorer
from circuitseer_core.scoring.windows import Cut, Window

SHARD_SECONDS = 30.0
"""Of work in a CPU's shard: what Ctrl-C or a crash costs, where the measurement was right."""

LOOK_ROWS = 200_000
"""Most rows of the first pass; what comes after them is taken to be alike."""

MEASURED_ROWS = 48
FIRST_ROWS = 4
MEASURED_S = 3.0
"""The rows that are scored for the measurement: a few first, more where these were quick."""

FULL_BATCHES = 2
"""On a quick device the rows are repeated to so many: a large batch has another speed."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What the model does: the token budget of its batches, seconds for a character of text, and
    how many devices work side by side."""

    token_budget: int
    char_seconds: float
    devices: int = 1


@dataclass(frozen=True, slots=True)
class Look:
    """The first pass: characters that the model has to read in all, and some rows by hash."""

    chars: float
    samples: list[Sample]


def look(corpus: Corpus, rows: int, cut: Cut, seed: int, *, skip: int = 0) -> Look:
    """Pass over the data behind the first ``skip`` rows; of the ``rows`` that come there, those
    beyond ``LOOK_ROWS`` are taken to be alike."""
    chars = 0

    def entries() -> Iterator[Sample | Reject]:
        nonlocal chars
        for entry in islice(corpus, skip, skip + LOOK_ROWS):
            if isinstance(entry, Sample):
                chars += cut.chars_of(entry)
            yield entry

    samples, _, _ = draw_candidates(entries(), MEASURED_ROWS, seed)
    return Look(chars * max(1.0, rows / LOOK_ROWS), samples)


def measure_speed(
    reference: ReferenceModel, window: Window, plan: ShardPlan, cut: Cut
) -> Speed | None:
    """Score some rows and time it; None where none of them has a text to score."""
    scorer = WindowScorer(reference, plan)
    encoded = scorer.encode(window)
    if not encoded.texts:
        return None
    with freed_memory_kept(reference.device.type):
        if plan.token_budget <= 1:
            find_budget(scorer, encoded)
        part = _taken(encoded, min(FIRST_ROWS, len(encoded.samples)))
        seconds = _scored(scorer, part)
        mean = sum(len(text.ids) for text in encoded.texts) / len(encoded.texts)
        wanted = max(len(encoded.samples), round(FULL_BATCHES * scorer.token_budget / mean))
        more = min(wanted, int(FIRST_ROWS * MEASURED_S / seconds))
        if more > len(part.samples):
            part = _taken(encoded, more)
            seconds = _scored(scorer, part)
    chars = sum(cut.chars_of(sample) for sample in part.samples)
    return Speed(scorer.token_budget, seconds / max(1, chars))


def _taken(encoded: EncodedWindow, rows: int) -> EncodedWindow:
    """So many rows, over and over where there are fewer."""
    places = [i % len(encoded.samples) for i in range(rows)]
    return replace(
        encoded,
        samples=[encoded.samples[i] for i in places],
        texts=[encoded.texts[i] for i in places],
        responses=[encoded.responses[i] for i in places],
    )


def _scored(scorer: WindowScorer, encoded: EncodedWindow) -> float:
    """Seconds to score them."""
    began = time.perf_counter()
    scorer.score(encoded)
    return time.perf_counter() - began


def find_budget(scorer: WindowScorer, encoded: EncodedWindow) -> int:
    """The token budget for texts like these; the scorer goes on with it."""
    typical = int(np.percentile([len(text.ids) for text in encoded.texts], 75))
    scorer.token_budget = find_token_budget(scorer.run_blank, typical, scorer.reference.device)
    return scorer.token_budget
