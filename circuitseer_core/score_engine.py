"""Where windows become shards: in this process, or (ray_engine.py) on many devices at once.

Both engines drive the same scorer over the same windows with the same pinned token budget, so they
give the same numbers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from circuitseer_core.allocator import freed_memory_kept
from circuitseer_core.errors import UserError
from circuitseer_core.progress import Progress
from circuitseer_core.runs import Run
from circuitseer_core.score_settings import ScoreSettings
from circuitseer_core.shard_book import ShardBook
from circuitseer_core.windows import ahead

if TYPE_CHECKING:
    from circuitseer_core.encoded_window import EncodedWindow
    from circuitseer_core.model import ReferenceModel
    from circuitseer_core.shard_scorer import ShardPlan, ShardScorer


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

    def run(self, book: ShardBook, progress: Progress) -> None:
        """Do what the book has to do."""
        ...


class LocalEngine:
    """Every window in this process; the next one is tokenised while one is in the model."""

    def __init__(
        self, run: Run, settings: ScoreSettings, reference: ReferenceModel | None = None
    ) -> None:
        self.run_folder, self.settings = run, settings
        self.reference = reference or load_run_model(run.manifest, settings.dtype, settings.device)

    def facts(self) -> ModelFacts:
        """What the loaded model says."""
        return model_facts(self.reference, self.run_folder.manifest, self.settings.max_length)

    def run(self, book: ShardBook, progress: Progress) -> None:
        """Do what the book has to do, window by window."""
        with freed_memory_kept(self.reference.device.type):
            self._score(book, progress)

    def _score(self, book: ShardBook, progress: Progress) -> None:
        from circuitseer_core.shard_scorer import ShardScorer

        scorer = ShardScorer(self.reference, shard_plan(book))
        for encoded in ahead(map(scorer.encode, book.to_do(progress.skip))):
            if book.token_budget is None and encoded.texts:
                progress.say("finding the batch size")
                book.pin_budget(find_budget(scorer, encoded))
                progress.say("with baselines" if scorer.plan.template else "")
            began = time.monotonic()
            left = [encoded.size]

            def count(n: int, left: list[int] = left) -> None:
                left[0] -= n
                progress.advance(n)

            table, note = scorer.score(encoded, count)
            if book.token_budget is not None:
                book.pin_budget(scorer.token_budget)
            book.add(table, note)
            rate = note.tokens / (time.monotonic() - began)
            progress.advance(left[0], f"{rate:,.0f} tokens/s")


def find_budget(scorer: ShardScorer, encoded: EncodedWindow) -> int:
    """The token budget for texts like these; the scorer goes on with it."""
    from circuitseer_core.batch_budget import find_token_budget

    typical = int(np.percentile([len(text.ids) for text in encoded.texts], 75))
    device = scorer.reference.device
    scorer.token_budget = find_token_budget(scorer.run_blank, typical, device)
    return scorer.token_budget


def load_run_model(manifest: Mapping[str, Any], dtype: str, device: str) -> ReferenceModel:
    """The model that a run's heads were found in.

    Raises:
        UserError: it cannot be loaded, or its weights or tokenizer have changed since.
    """
    from circuitseer_core.model import load_model

    known = manifest["model"]
    reference, loaded = load_model(
        known["id"], dtype=dtype, device=device, revision=known.get("revision")
    )
    info = asdict(loaded)
    for key, what in (("weights_hash", "weights"), ("tokenizer_hash", "tokenizer")):
        if known.get(key) != info[key]:
            raise UserError(
                f"{known['id']} has other {what} now ({info[key][:8]}) than when this run's heads "
                f"were found ({str(known.get(key))[:8]}): detect again in another run"
            )
    return reference


def model_facts(
    reference: ReferenceModel, manifest: Mapping[str, Any], max_length: int | None
) -> ModelFacts:
    """Facts of a loaded model. Raises UserError where ``max_length`` is beyond its positions."""
    from circuitseer_core.encoding import default_max_length, resolve_template
    from circuitseer_core.model import DTYPES

    names = {dtype: name for name, dtype in DTYPES.items()}
    template = manifest.get("detect", {}).get("template") or "auto"
    return ModelFacts(
        dtype=names.get(reference.dtype, str(reference.dtype)),
        device=reference.device.type,
        heads_per_layer=list(reference.heads_per_layer),
        max_length=default_max_length(reference.max_positions, max_length),
        template=resolve_template(reference.tokenizer, template),
    )


def shard_plan(book: ShardBook) -> ShardPlan:
    """What a scorer needs to know, from settings.json."""
    from circuitseer_core.shard_scorer import ShardPlan

    record = book.record
    return ShardPlan(
        heads=[(layer, head) for layer, head in record["heads"]],
        control_heads=[[(la, he) for la, he in draw] for draw in record["control_heads"]],
        control_share=record["control_share"],
        text=record["text"],
        max_length=record["max_length"],
        token_budget=book.token_budget or 1,
        seed=record["seed"],
        template=record["template"],
        settings_hash=book.mark,
    )
