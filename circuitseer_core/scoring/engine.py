"""Where windows become shards: in this process, on several devices of this machine
(device_engine.py), or on a cluster (ray_engine.py).

All engines drive the same scorer over the same windows with the same pinned token budget, so they
give the same numbers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from circuitseer_core.errors import Cancelled
from circuitseer_core.model.encoding import default_max_length, resolve_template
from circuitseer_core.model.loading import DTYPES, load_run_model
from circuitseer_core.model.memory import freed_memory_kept
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.machine import device_names
from circuitseer_core.runs.progress import Progress
from circuitseer_core.runs.records import ModelRecord
from circuitseer_core.scoring.encoded_window import EncodedWindow, encode_window
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.scoring.shard_book import ShardBook
from circuitseer_core.scoring.shard_plan import ShardPlan, plan_of
from circuitseer_core.scoring.shard_writer import ShardWriter
from circuitseer_core.scoring.sizing import Speed, find_budget, measure_speed
from circuitseer_core.scoring.window_results import Shard
from circuitseer_core.scoring.windows import Cut, Window, ahead

if TYPE_CHECKING:
    from circuitseer_core.model.reference import ReferenceModel
    from circuitseer_core.scoring.window_scorer import WindowScorer


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a scoring has to know of the loaded model before it begins.

    max_length: of a scored text, in tokens; template: of the baselines, ``chat`` or ``plain``.
    """

    dtype: str
    device: str
    heads_per_layer: list[int]
    max_length: int
    template: str


class Engine(Protocol):
    """Turns every window that has no shard into one."""

    def facts(self) -> ModelFacts:
        """What the loaded model says."""
        ...

    def speed(self, window: Window, plan: ShardPlan, cut: Cut) -> Speed | None:
        """What the model does with these rows; None where none of them has a text."""
        ...

    def run(self, book: ShardBook, progress: Progress) -> None:
        """Do what the book has to do."""
        ...

    def close(self) -> None:
        """End the processes that it started."""
        ...


class LocalEngine:
    """Every window in this process; the next one is tokenised while one is in the model."""

    def __init__(
        self, run: Run, settings: ScoreSettings, reference: ReferenceModel | None = None
    ) -> None:
        self.run_folder, self.settings = run, settings
        self.reference = reference or load_run_model(
            run.model,
            settings.dtype,
            device_names(settings)[0],
            check=lambda positions, _: default_max_length(positions, settings.max_length),
        )

    def facts(self) -> ModelFacts:
        """What the loaded model says."""
        return model_facts(
            self.reference, self.run_folder.detection.template, self.settings.max_length
        )

    def speed(self, window: Window, plan: ShardPlan, cut: Cut) -> Speed | None:
        """What the model does with these rows; None where none of them has a text."""
        return measure_speed(self.reference, window, plan, cut)

    def run(self, book: ShardBook, progress: Progress) -> None:
        """Do what the book has to do, window by window."""
        with freed_memory_kept(self.reference.device.type):
            self._score(book, progress)

    def _score(self, book: ShardBook, progress: Progress) -> None:
        from circuitseer_core.scoring.window_scorer import WindowScorer

        scorer = WindowScorer(self.reference, shard_plan(book))
        with ShardWriter(book) as writer:
            try:
                self._windows(scorer, book, progress, writer)
            except (KeyboardInterrupt, Cancelled):
                scorer.settle()  # the window before the one at work is whole
                raise
            scorer.settle()

    def _windows(
        self, scorer: WindowScorer, book: ShardBook, progress: Progress, writer: ShardWriter
    ) -> None:
        for encoded in ahead(map(scorer.encode, book.to_do(progress.skip))):
            if book.token_budget is None and encoded.texts:
                scorer.settle()
                progress.say("finding the batch size")
                book.pin_budget(find_budget(scorer, encoded))
                progress.say(_beside(scorer.plan))
            window = _WindowProgress(encoded, progress, writer)
            scorer.begin(encoded, window.count, window.done)
            if book.token_budget is not None:
                book.pin_budget(scorer.token_budget)

    def close(self) -> None:
        """Nothing was started."""


class _WindowProgress:
    """What is told of one window while it is at work, and where its shard goes."""

    def __init__(self, encoded: EncodedWindow, progress: Progress, writer: ShardWriter) -> None:
        self.progress, self.writer = progress, writer
        self.left = encoded.size
        self.tokens = sum(len(text.ids) for text in encoded.texts)
        self.began = time.monotonic()

    def count(self, n: int) -> None:
        """So many samples are done (negative: to be done again)."""
        self.left -= n
        self.progress.advance(n)

    def done(self, shard: Shard) -> None:
        """All numbers are there; the rows that were rejected count too."""
        rate = self.tokens / (time.monotonic() - self.began)
        self.progress.advance(self.left, f"{rate:,.0f} tokens/s")
        self.writer.add(shard)


class ShardWorker:
    """The run's model on one device, in a process that an engine started.

    template: the one that detection used.
    """

    def __init__(self, model: ModelRecord, template: str | None, dtype: str, device: str) -> None:
        self.template = template
        self.reference = load_run_model(model, dtype, device)

    def facts(self, max_length: int | None) -> ModelFacts:
        """See :func:`model_facts`."""
        return model_facts(self.reference, self.template, max_length)

    def encode(self, window: Window, plan: ShardPlan) -> EncodedWindow:
        """A window's tokens."""
        return encode_window(self.reference.tokenizer, window, plan.text, plan.max_length)

    def scorer(self, plan: ShardPlan) -> WindowScorer:
        """What scores windows."""
        from circuitseer_core.scoring.window_scorer import WindowScorer

        return WindowScorer(self.reference, plan)

    def speed(self, window: Window, plan: ShardPlan, cut: Cut) -> Speed | None:
        """What the model does with these rows; None where none of them has a text."""
        return measure_speed(self.reference, window, plan, cut)

    def budget(self, window: Window, plan: ShardPlan) -> int | None:
        """The token budget for texts like this window's; None where it has none."""
        encoded = self.encode(window, plan)
        return find_budget(self.scorer(plan), encoded) if encoded.texts else None


def _beside(plan: ShardPlan) -> str:
    """What is computed beside the attention scores, for the progress line."""
    parts = ["baselines"] if plan.template else []
    parts += ["head influence"] if plan.influence else []
    return f"with {' and '.join(parts)}" if parts else ""


def model_facts(
    reference: ReferenceModel, template: str | None, max_length: int | None
) -> ModelFacts:
    """Facts of a loaded model; ``template`` is the one that detection used.

    Raises UserError where ``max_length`` is beyond the model's positions.
    """
    names = {dtype: name for name, dtype in DTYPES.items()}
    return ModelFacts(
        dtype=names.get(reference.dtype, str(reference.dtype)),
        device=reference.device.type,
        heads_per_layer=list(reference.heads_per_layer),
        max_length=default_max_length(reference.max_positions, max_length),
        template=resolve_template(reference.tokenizer, template or "auto"),
    )


def shard_plan(book: ShardBook) -> ShardPlan:
    """What a scorer needs to know, from settings.json."""
    return plan_of(book.record, book.mark)
