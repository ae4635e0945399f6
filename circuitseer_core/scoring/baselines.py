"""Baseline scorers that need the language-model head: perplexity and IFD.

1. Conditional: the sample encoded as for stage 1 (prompt part, then response), loss of every
   response token. ``perplexity`` = exp(mean loss), teacher-forced.
2. Alone: the response behind nothing but the tokenizer's own BOS, where it has one.
3. ``ifd`` = mean loss of the response given the prompt / mean loss of the response alone
   (instruction-following difficulty, arXiv 2308.12032). Without a BOS nothing predicts the first
   response token, so it is left out of both means.

Logits exist at loss positions only, in chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from circuitseer_core.aliases import Floats
from circuitseer_core.data.sample import Sample
from circuitseer_core.model.batches import group_by_tokens, loss_batch
from circuitseer_core.model.encoding import Encoded, encode_for_loss
from circuitseer_core.model.losses import token_losses
from circuitseer_core.model.memory import is_out_of_memory
from circuitseer_core.model.reference import ReferenceModel


def baseline_scores(
    reference: ReferenceModel,
    samples: Sequence[Sample],
    *,
    template: str,
    token_budget: int,
    on_batch: Callable[[int], None] = lambda n: None,
) -> dict[str, Floats]:
    """``perplexity`` and ``ifd`` of n samples, (n,) each; NaN where they are not defined.

    That is without a response, where prompt and response are longer than the model's positions,
    and (for ifd) where only one response token is left.

    Args:
        template: ``chat`` or ``plain``, resolved.
        on_batch: called after every batch with the number of samples whose prompt and response it
            held (0: responses alone), as a sign of life.
    """
    conditional: list[Encoded | None] = []
    alone: list[Encoded | None] = []
    for sample in samples:
        conditioned = encode_for_loss(reference.tokenizer, sample, template=template)
        short = isinstance(conditioned, Encoded) and conditioned.n_tokens <= reference.max_positions
        conditional.append(conditioned if isinstance(conditioned, Encoded) and short else None)
        alone.append(
            _alone(reference, conditioned) if isinstance(conditioned, Encoded) and short else None
        )
    given_losses = response_losses(reference, conditional, token_budget, on_batch)
    alone_losses = response_losses(reference, alone, token_budget, lambda n: on_batch(0))
    perplexity, ifd = np.full(len(samples), np.nan), np.full(len(samples), np.nan)
    for i, (given_loss, alone_loss) in enumerate(zip(given_losses, alone_losses, strict=True)):
        if given_loss is not None:
            perplexity[i] = np.exp(given_loss.mean())
        if given_loss is not None and alone_loss is not None and alone_loss.mean() > 0:
            # The last n tokens: all of them with a BOS, all but the first without.
            ifd[i] = given_loss[-len(alone_loss) :].mean() / alone_loss.mean()
    return {"perplexity": perplexity, "ifd": ifd}


def response_losses(
    reference: ReferenceModel,
    samples: Sequence[Encoded | None],
    token_budget: int,
    on_batch: Callable[[int], None] = lambda n: None,
) -> list[Floats | None]:
    """Loss in nats of every loss token of each sample; None for None, and where one sample alone
    is more than memory holds."""
    out: list[Floats | None] = [None] * len(samples)
    present = [(i, sample) for i, sample in enumerate(samples) if sample is not None]
    with torch.inference_mode():
        for group in group_by_tokens([s.n_tokens for _, s in present], token_budget):
            try:
                losses = _batch_losses(reference, [present[k][1] for k in group])
            except (RuntimeError, MemoryError) as error:
                if len(group) > 1 or not is_out_of_memory(error):
                    raise  # the caller halves the budget
                continue
            ends = np.cumsum([present[k][1].n_loss_tokens for k in group])
            for k, sample_losses in zip(group, np.split(losses, ends[:-1]), strict=True):
                out[present[k][0]] = sample_losses
            on_batch(len(group))
    return out


def _batch_losses(reference: ReferenceModel, samples: Sequence[Encoded]) -> Floats:
    """Loss of every loss token of the samples, end to end."""
    batch = loss_batch(samples, reference.device)
    hidden = reference.hidden(batch.ids)[batch.rows, batch.positions]
    return token_losses(reference, hidden, batch.targets).cpu().double().numpy()


def _alone(reference: ReferenceModel, conditioned: Encoded) -> Encoded | None:
    """The response's very tokens behind a BOS, or from the second token on where there is none."""
    response = conditioned.ids[conditioned.loss_from :]
    prefix = _leading_special(reference)
    ids = [*prefix, *response]
    loss_from = max(1, len(prefix))
    return (
        Encoded(conditioned.id, conditioned.source, ids, loss_from)
        if len(ids) > loss_from
        else None
    )


def _leading_special(reference: ReferenceModel) -> list[int]:
    """The special tokens that the tokenizer itself puts in front of a text."""
    tokenizer = reference.tokenizer
    encoded = tokenizer("a", return_special_tokens_mask=True)
    flags = encoded["special_tokens_mask"]
    count = flags.index(0) if 0 in flags else 0
    return list(encoded["input_ids"][:count])
