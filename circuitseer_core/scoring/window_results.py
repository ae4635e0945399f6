"""What a scorer finds out about a window, and the shard that this becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats
from circuitseer_core.data.sample import Reject
from circuitseer_core.runs.columns import ATTENTION_SCORERS, HEAD_FAMILIES
from circuitseer_core.scoring.encoded_window import EncodedWindow
from circuitseer_core.scoring.shard_plan import ShardPlan
from circuitseer_core.scoring.shard_table import ScoredRows, score_table
from circuitseer_core.scoring.shards import Note, reject_rows

Shard = Callable[[], tuple[pa.Table, Note]]
"""Makes a shard's table and note from numbers that are there."""


@dataclass(slots=True)
class Results:
    """Numbers of a window's n samples, filled batch by batch; a failure holds its reason."""

    scores: dict[str, Floats]
    sink_share: Floats
    controls: dict[str, Floats]
    profiles: list[NDArray[np.float32] | None]
    readings: NDArray[np.float32]
    failures: dict[int, str]

    @classmethod
    def empty(cls, n: int, draws: int, heads: int) -> Results:
        """Of n samples nothing is known yet; ``heads`` heads are read one by one."""
        scores = {name: np.full(n, np.nan) for name in ATTENTION_SCORERS}
        controls = {name: np.full((n, draws), np.nan) for name in ATTENTION_SCORERS}
        readings = np.full((n, len(HEAD_FAMILIES), heads), np.nan, dtype=np.float32)
        return cls(scores, np.full(n, np.nan), controls, [None] * n, readings, {})


def shard_of(
    encoded: EncodedWindow,
    results: Results,
    baselines: dict[str, Floats],
    plan: ShardPlan,
    token_budget: int,
) -> tuple[pa.Table, Note]:
    """A window's table and note. A sample without finite numbers is a reject with its reason."""
    rejects = list(encoded.rejects)
    kept: list[int] = []
    profiles: list[NDArray[np.float32]] = []
    for i, sample in enumerate(encoded.samples):
        profile = results.profiles[i]
        reason = results.failures.get(i)
        if reason is None and not all(np.isfinite(v[i]) for v in results.scores.values()):
            reason = "the model's attention is not finite (NaN or infinity)"
        if reason is not None or profile is None:
            rejects.append(Reject(sample.id, sample.source, reason or "not scored"))
        else:
            kept.append(i)
            profiles.append(profile)
    rows = ScoredRows(
        samples=[encoded.samples[i] for i in kept],
        texts=[encoded.texts[i] for i in kept],
        responses=[encoded.responses[i] for i in kept],
        scores={name: v[kept] for name, v in results.scores.items()},
        sink_share=results.sink_share[kept],
        controls={name: v[kept] for name, v in results.controls.items()},
        profiles=profiles,
        readings=results.readings[kept],
        baselines={name: v[kept] for name, v in baselines.items()},
    )
    note = Note(
        settings=plan.settings_hash,
        shard=encoded.index,
        entries=encoded.size,
        rows=len(kept),
        tokens=sum(len(text.ids) for text in rows.texts),
        token_budget=token_budget,
        controls=int(np.isfinite(rows.controls["variance"][:, 0]).sum()),
        rejects=reject_rows(rejects),
    )
    return score_table(rows, plan.seed), note
