"""Sets of heads to ablate together, and their losses and answers, kept as they are measured.

For each share k of all heads: the k best by importance; random sets of as many heads, from the
same layers and from anywhere; and the same the other way round, everything ablated but such a set.
Random sets never hold one of the k best, and are a stable hash of (seed, number, head).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.data.answers import extract_answer, lists_options, same_answer
from circuitseer_core.experiments.kept_parts import KeptParts
from circuitseer_core.runs.folder import Run

if TYPE_CHECKING:
    from circuitseer_core.model.encoding import Encoded
    from circuitseer_core.model.reference import ReferenceModel
    from circuitseer_core.runs.progress import Progress

CLEAN, ALL, BEST, SAME, ANY = "nothing", "all heads", "reasoning", "same layers", "any layers"
SETS_AT_ONCE = 8
"""Sets whose variants are stacked in one forward pass."""


@dataclass(frozen=True, slots=True)
class HeadSet:
    """Heads ablated together.

    ``kind``: one of the names above; ``share`` of all heads that the set stands for; ``keep``:
    everything *but* the set is ablated; ``draw``: number of a random set.
    """

    kind: str
    ablated: tuple[Head, ...]
    share: str = ""
    keep: bool = False
    draw: int = -1

    @property
    def label(self) -> str:
        """The kind, with the number of a random set."""
        return self.kind if self.draw < 0 else f"{self.kind} {self.draw + 1}"


def sets_of(
    best: dict[str, list[Head]],
    heads_per_layer: Sequence[int],
    draws: int,
    seed: int,
    *,
    keep: bool,
) -> list[HeadSet]:
    """Clean, all, and for every share the best heads and ``draws`` random sets of each kind.

    Args:
        best: share -> the best heads.
        keep: also everything but the best heads, and everything but the random sets.
    """
    from circuitseer_core.scoring.control_heads import heads_anywhere, heads_like

    everyone = [(layer, h) for layer, n in enumerate(heads_per_layer) for h in range(n)]
    sets = [HeadSet(CLEAN, ()), HeadSet(ALL, tuple(everyone))]
    for share, heads in best.items():
        members = [(BEST, -1, heads)]
        for draw in range(draws):
            members.append((SAME, draw, heads_like(heads, heads_per_layer, seed, draw)))
            members.append((ANY, draw, heads_anywhere(heads, heads_per_layer, seed, draw)))
        for kind, draw, chosen in members:
            sets.append(HeadSet(kind, tuple(sorted(chosen)), share, draw=draw))
            if keep:
                rest = tuple(sorted(set(everyone) - set(chosen)))
                sets.append(HeadSet(kind, rest, share, keep=True, draw=draw))
    return sets


class SetMeasurements:
    """Losses and answers under sets of heads, kept part by part (kept_parts.py)."""

    def __init__(
        self, run: Run, reference: ReferenceModel, name: str, sets: Sequence[HeadSet]
    ) -> None:
        self.reference, self.sets = reference, list(sets)
        self._run, self._name = run, name
        self._ablated = [each.ablated for each in sets]

    def losses(self, samples: Sequence[Encoded], progress: Progress) -> Floats:
        """(sets, n) nats. Raises UserError where one sample is more than memory holds."""
        import torch

        from circuitseer_core.detection.ablation import AblationMode
        from circuitseer_core.detection.joint import stacked_losses
        from circuitseer_core.experiments.head_maps import stack_tokens
        from circuitseer_core.model.batches import group_by_tokens, loss_batch

        budget = max(1, stack_tokens(self._run, self.reference) // SETS_AT_ONCE)
        out = np.full((len(self.sets), len(samples)), np.nan)
        groups = group_by_tokens([sample.n_tokens for sample in samples], budget)
        # A part is of one group, and another machine's memory may make other groups.
        kept = self._kept("losses", samples, groups)
        for at, group in enumerate(groups):
            batch = loss_batch([samples[i] for i in group], self.reference.device)
            for start in range(0, len(self.sets), SETS_AT_ONCE):
                chunk = self.sets[start : start + SETS_AT_ONCE]

                def measure(batch=batch, chunk=chunk) -> pd.DataFrame:  # type: ignore[no-untyped-def]
                    with torch.inference_mode():
                        set_losses = stacked_losses(
                            self.reference, batch, [s.ablated for s in chunk], AblationMode()
                        )
                    return pd.DataFrame(set_losses.T)

                units = len(chunk) * len(group)
                part = kept.part(f"{at:04d}-{start:04d}", measure, progress, units)
                out[start : start + len(chunk), group] = part.to_numpy().T
        return out

    def answers(
        self, samples: Sequence[Encoded], max_new_tokens: int, progress: Progress
    ) -> pd.DataFrame:
        """A row a (set, sample): set, id, answer, correct; answers are greedy and ablated."""
        kept = self._kept(f"answers-{max_new_tokens}", samples)
        frames = []
        for at, each in enumerate(self.sets):

            def measure(each: HeadSet = each) -> pd.DataFrame:
                return _answered(self.reference, samples, each, max_new_tokens)

            part = kept.part(f"{at:04d}", measure, progress, len(samples))
            frames.append(part.assign(set=at))
        return pd.concat(frames, ignore_index=True)[["set", "id", "answer", "correct"]]

    def _kept(self, what: str, samples: Sequence[Encoded], *layout: object) -> KeptParts:
        tokens = [(sample.id, sample.ids, sample.loss_from) for sample in samples]
        dtype = str(self.reference.dtype)
        return KeptParts(self._run, f"{self._name}-{what}", dtype, self._ablated, tokens, *layout)


def _answered(
    reference: ReferenceModel, samples: Sequence[Encoded], each: HeadSet, max_new_tokens: int
) -> pd.DataFrame:
    """id, answer, correct of greedy continuations with one set ablated while writing."""
    from circuitseer_core.detection.ablation import AblationMode
    from circuitseer_core.model.generation import greedy_continuations

    written = greedy_continuations(
        reference,
        [sample.ids[: sample.loss_from] for sample in samples],
        max_new_tokens=max_new_tokens,
        intervene=lambda rows: AblationMode().plan_sets([each.ablated], rows),
    )
    texts = [str(reference.tokenizer.decode(ids, skip_special_tokens=True)) for ids in written]
    answers = [
        extract_answer(text, letter=wants_letter(reference, sample))
        for text, sample in zip(texts, samples, strict=True)
    ]
    right = [
        same_answer(answer, right_answer(reference, sample))
        for answer, sample in zip(answers, samples, strict=True)
    ]
    return pd.DataFrame({"id": [s.id for s in samples], "answer": answers, "correct": right})


def wants_letter(reference: ReferenceModel, sample: Encoded) -> bool:
    """Whether a sample's prompt lists options."""
    return lists_options(str(reference.tokenizer.decode(sample.ids[: sample.loss_from])))


def right_answer(reference: ReferenceModel, sample: Encoded) -> str | None:
    """The answer in a sample's own response; None where none can be extracted."""
    response = str(reference.tokenizer.decode(sample.ids[sample.loss_from :]))
    return extract_answer(response, letter=wants_letter(reference, sample))
