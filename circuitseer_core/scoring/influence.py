"""The rival score: how much worse is the text predicted without the reasoning heads?

1. L: mean cross-entropy, in nats, of the scored text's tokens but the first, teacher-forced.
2. L': the same with every reasoning head's attention replaced by undifferentiated attention.
3. ``head_influence`` = L' / L. AttentionInfluence (arXiv 2505.07293) ranks by (L' - L) / L, which
   is this less 1: the same order, but negative where the heads do harm, and a soft draw needs
   scores of at least 0. Its heads are found otherwise: there they are retrieval heads.

Two forward passes with the LM head over the same tokens that the attention scores see; three more
where the random-head controls are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.detection.joint import joint_loss
from circuitseer_core.model.encoding import Encoded, EncodedText
from circuitseer_core.model.reference import ReferenceModel


def head_influence(
    reference: ReferenceModel,
    texts: Sequence[EncodedText],
    head_sets: Sequence[Sequence[Head]],
    *,
    token_budget: int,
    on_batch: Callable[[int], object] = lambda n: None,
) -> Floats:
    """(sets, n) influence of each set of heads on n texts.

    NaN where the clean loss is 0, or where one text alone is more than memory holds.

    Args:
        texts: each of two tokens or more.
        token_budget: tokens of one stacked forward pass.
        on_batch: called after every batch with its number of texts.
    """
    samples = [Encoded(str(i), "", list(text.ids), 1) for i, text in enumerate(texts)]
    losses = joint_loss(
        reference,
        samples,
        head_sets,
        stack_tokens=token_budget,
        on_samples=on_batch,
        too_long_is_nan=True,
    )
    clean = losses[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(clean > 0, losses[1:] / clean, np.nan)
