"""The answers part of ``heads``: right greedy answers with heads ablated while the model writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, Field

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.data.fields import Fields
from circuitseer_core.detection.heads import SHARE
from circuitseer_core.experiments import set_effects
from circuitseer_core.experiments.head_sets import (
    BEST,
    CLEAN,
    SAME,
    HeadSet,
    SetMeasurements,
    right_answer,
)
from circuitseer_core.experiments.held_out import Words, beside_probe
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, p_value, percent

if TYPE_CHECKING:
    from circuitseer_core.model.encoding import Encoded
    from circuitseer_core.model.reference import ReferenceModel

NAME = "heads"
LEAST_RIGHT = 5
"""Right answers of the clean model below which a loss of answers says nothing."""


class AnswerOptions(BaseModel):
    """The options of ``validate heads`` that are about answers."""

    answers: int = Field(40, ge=0, description="problems to answer; 0 leaves answers out")
    answer_data: Words = Field((), description="DATA of the problems; none: the reasoning samples")
    answer_share: str = Field(SHARE, description="share of the heads ablated while answering")
    max_new_tokens: int = Field(128, ge=1, description="tokens of an answer at most")


def answered(
    run: Run,
    reference: ReferenceModel,
    samples: Sequence[Encoded],
    heads: Sequence[Head],
    options: Any,
) -> dict[str, Any] | None:
    """Right answers clean, without ``heads``, and without random sets of their layers.

    None where no problem is asked for, or no response of ``samples`` holds an answer.

    Raises:
        UserError: no response of ``answer_data`` holds one.
    """
    from circuitseer_core.runs.progress import Progress
    from circuitseer_core.scoring.control_heads import heads_like

    if not options.answers:
        return None
    if options.answer_data:
        samples, _ = beside_probe(
            run,
            reference,
            options.answer_data,
            limit=options.answers,
            seed=options.seed,
            max_tokens=options.max_tokens,
            asked=Fields.of(options),
            serves=lambda sample: None if right_answer(reference, sample) else "no readable answer",
        )
    asked = [s for s in samples if right_answer(reference, s) is not None][: options.answers]
    if not asked:
        return None
    layers = reference.heads_per_layer
    draws = [heads_like(heads, layers, options.seed, draw) for draw in range(options.draws)]
    sets = [HeadSet(CLEAN, ()), HeadSet(BEST, tuple(sorted(heads)))]
    sets += [HeadSet(SAME, tuple(random), draw=i) for i, random in enumerate(draws)]
    total = len(sets) * len(asked)
    with Progress(run, "answers", total, unit="answers", phase="Writing answers") as progress:
        table = SetMeasurements(run, reference, NAME, sets).answers(
            asked, options.max_new_tokens, progress
        )
    correct = table["correct"].to_numpy(dtype=np.float64).reshape(len(sets), len(asked))
    return answer_numbers(correct) | {"heads": len(heads)}


def answer_numbers(correct: Floats) -> dict[str, Any]:
    """From (2 + R, m) right answers, 1 or 0: clean, without the heads, without each random set."""
    asked = correct.shape[1]
    right = [int(row.sum()) for row in correct]
    lost = correct[0] - correct[1:]
    compared = set_effects.decided([set_effects.loss_against(lost[0], lost[1:])])[0]
    return {
        "asked": asked,
        "right": right[0],
        "clean": set_effects.exact_interval(right[0], asked),
        "right_ablated": right[1],
        "ablated": set_effects.exact_interval(right[1], asked),
        "right_random": right[2:],
        "can_answer": right[0] >= LEAST_RIGHT,
        "against": compared,
    }


def answer_sentence(answers: dict[str, Any] | None) -> str:
    """What the answers say; nothing where none were asked for."""
    if answers is None:
        return ""
    asked, (low, high) = answers["asked"], answers["clean"]
    text = (
        f"Of {count(asked, 'problem')} the model answers {answers['right']} right "
        f"({percent(low)} to {percent(high)})"
    )
    if not answers["can_answer"]:
        return text + ": too few to say what heads do for answers."
    low, high = answers["ablated"]
    most, least = max(answers["right_random"]), min(answers["right_random"])
    chance = p_value(answers["against"]["p"])
    loss = "more is lost than with random heads"
    answer = loss if answers["against"]["found"] else f"that {loss} is not shown"
    return (
        f"{text}, without {count(answers['heads'], 'reasoning head')} {answers['right_ablated']} "
        f"({percent(low)} to {percent(high)}), without random ones of the same layers {least} to "
        f"{most}: {answer} ({chance}, a comparison of its own)."
    )
