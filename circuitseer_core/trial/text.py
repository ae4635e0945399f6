"""The text of a trial: what was typed or picked, as the tokens that the model gets."""

from __future__ import annotations

from collections.abc import Sequence

from circuitseer_core.data.sample import Sample
from circuitseer_core.detection.probe import samples_of
from circuitseer_core.errors import UserError
from circuitseer_core.model.encoding import Encoded, default_max_length, encode_for_loss
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.texts import demo_texts


def encode_text(
    run: Run, reference: ReferenceModel, prompt: str, response: str, name: str = "typed"
) -> Encoded:
    """Prompt and response as the run's detection encodes its probe.

    Without a response the loss is that of the prompt, all tokens but the first.

    Raises:
        UserError: there are no tokens to take a loss on, or more than the model has positions for.
    """
    sample = Sample(name, "typed", prompt, response or None, {})
    template = run.detection.template or "plain"
    loss_tokens = "response" if response else "all"
    encoded = encode_for_loss(
        reference.tokenizer,
        sample,
        template=template if response else "plain",
        loss_tokens=loss_tokens,
    )
    if isinstance(encoded, str):
        raise UserError(f"this text cannot be tried: {encoded}")
    most = default_max_length(reference.max_positions, None)
    if encoded.n_tokens > most:
        raise UserError(f"this text has {encoded.n_tokens:,} tokens, and at most {most:,} are run")
    return encoded


def encode_prompt(run: Run, reference: ReferenceModel, prompt: str) -> list[int]:
    """The token ids that a response follows, (T,): what a continuation begins from."""
    template = run.detection.template or "plain"
    sample = Sample("typed", "typed", prompt, ".", {})
    encoded = encode_for_loss(reference.tokenizer, sample, template=template)
    if isinstance(encoded, str):
        raise UserError(f"this prompt cannot be continued: {encoded}")
    return encoded.ids[: encoded.loss_from]


def probe_samples(run: Run, reference: ReferenceModel, ids: Sequence[str]) -> list[Encoded]:
    """Samples of the run's probe by id, as they were encoded when the heads were found.

    The bundled run keeps no texts: there they come from the packages that it was made of. Samples
    whose text is at hand nowhere are left out. Raises UserError for stored tokens that are none.
    """
    probe = run.probe().drop_duplicates("id").set_index("id")
    rows = probe.loc[[i for i in ids if i in probe.index]]
    if "token_ids" in rows:
        return samples_of(rows.reset_index(), reference)
    known = demo_texts()
    detection = run.detection
    loss_tokens = detection.settings.loss_tokens if detection.settings else "response"
    encoded = [
        encode_for_loss(
            reference.tokenizer,
            known[str(i)],
            template=detection.template or "plain",
            loss_tokens=loss_tokens or "response",
        )
        for i in rows.index
        if i in known
    ]
    return [sample for sample in encoded if not isinstance(sample, str)]
