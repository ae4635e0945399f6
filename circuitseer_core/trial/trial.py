"""A trial: the loss of one text, token by token, clean and with a set of heads ablated.

Beside the set stand as many random heads of the same layers, a few draws: what ablating any heads
there would do to this very text. All of it is one text, so there is no interval over samples; what
holds for a dataset is the matter of ``validate joint-ablation``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.detection.ablation import AblationMode, mean_outputs
from circuitseer_core.detection.settings import ABLATIONS
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import hash64
from circuitseer_core.model.attention import intervening
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.losses import token_losses
from circuitseer_core.model.memory import fitting, release, too_long
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run
from circuitseer_core.trial.text import probe_samples

MEAN_SAMPLES = 16
"""Probe samples whose mean head outputs stand in for the whole probe's."""
_STACK_TOKENS = 2048


@dataclass(frozen=True)
class Trial:
    """Losses of one text of T tokens in nats; n of them count.

    Attributes:
        losses: (2, T) clean and ablated, NaN for the first token, which nothing predicts.
        loss_from: the first token that counts for the mean loss.
        random: (k,) rise of the mean loss under each set of random heads.
    """

    losses: Floats
    loss_from: int
    random: Floats

    @property
    def clean(self) -> float:
        """Mean loss over the tokens that count."""
        return float(self.losses[0, self.loss_from :].mean())

    @property
    def rise(self) -> float:
        """How much more the ablated model's mean loss is."""
        return float(self.losses[1, self.loss_from :].mean()) - self.clean

    @property
    def by_token(self) -> Floats:
        """(T,) ablated minus clean."""
        return self.losses[1] - self.losses[0]


def ablate_text(
    reference: ReferenceModel,
    text: Encoded,
    heads: Sequence[Head],
    random_sets: Sequence[Sequence[Head]],
    ablation: AblationMode,
) -> Trial:
    """Run one text clean, with ``heads`` ablated and with each of ``random_sets`` ablated.

    Raises:
        UserError: a head that the model lacks, or a text that memory does not hold.
    """
    known = set(reference.heads)
    unknown = [f"{layer}.{head}" for layer, head in heads if (layer, head) not in known]
    if unknown:
        raise UserError(f"the model has no head {', '.join(unknown)}")
    losses = set_token_losses(reference, text, [[], heads], ablation)
    random = set_token_losses(reference, text, random_sets, ablation, first=text.loss_from)
    clean = losses[0, text.loss_from :].mean()
    return Trial(losses, text.loss_from, random[:, text.loss_from :].mean(1) - clean)


def set_token_losses(
    reference: ReferenceModel,
    text: Encoded,
    head_sets: Sequence[Sequence[Head]],
    ablation: AblationMode,
    *,
    first: int = 1,
) -> Floats:
    """Loss of the tokens from ``first`` on with each set of heads ablated at once.

    Returns:
        (sets, T) nats, NaN for the tokens before ``first`` (at least 1: nothing predicts token 0).
    """
    out = np.full((len(head_sets), text.n_tokens), np.nan)
    at_once, done = max(1, _STACK_TOKENS // text.n_tokens), 0
    while done < len(head_sets):
        stack = head_sets[done : done + at_once]
        losses = fitting(partial(_stack, reference, text, stack, ablation, first))
        if losses is not None:
            out[done : done + len(stack), first:] = losses
            done += len(stack)
            continue
        release(reference.device)
        if at_once == 1:
            raise too_long(text.n_tokens)
        at_once = max(1, at_once // 2)
    return out


def _stack(
    reference: ReferenceModel,
    text: Encoded,
    head_sets: Sequence[Sequence[Head]],
    ablation: AblationMode,
    first: int,
) -> Floats:
    """(sets, T - first) losses of one stacked forward pass."""
    ids = torch.tensor([text.ids], device=reference.device)
    with torch.inference_mode():
        with intervening(ablation.plan_sets(head_sets, 1)):
            hidden: Tensor = reference.hidden(ids.repeat(len(head_sets), 1))
        states = hidden[:, first - 1 : -1].flatten(0, 1)
        losses = token_losses(reference, states, ids[0, first:].repeat(len(head_sets)))
    return losses.view(len(head_sets), -1).cpu().double().numpy()


def ablation_mode(
    run: Run, reference: ReferenceModel, mode: str, epsilon: float = 0.0
) -> AblationMode:
    """The ablation of this name; ``mean`` takes the mean outputs on a few samples of the probe.

    Raises:
        UserError: an unknown name, or no text of the probe is at hand for ``mean``.
    """
    if mode not in ABLATIONS:
        raise UserError(f"unknown ablation {mode!r}: choose {', '.join(ABLATIONS)}")
    if mode != "mean":
        return AblationMode(mode, epsilon)
    probe = run.probe()
    ids = probe.loc[probe["set"] == "probe", "id"].astype(str).to_numpy()
    order = np.argsort(hash64(0, "mean-outputs", list(ids)), kind="stable")
    samples = probe_samples(run, reference, [str(i) for i in ids[order][:MEAN_SAMPLES]])
    if not samples:
        raise UserError("no text of the probe is at hand, so heads' mean outputs are unknown")
    return AblationMode(mode, means=mean_outputs(reference, samples))
