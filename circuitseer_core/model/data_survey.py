"""A corpus as a model's tokenizer sees it: lengths in tokens, and what can serve in a probe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.fields import Fields
from circuitseer_core.data.sample import Sample
from circuitseer_core.data.survey import Survey, survey
from circuitseer_core.model.encoding import (
    default_max_length,
    encode_for_loss,
    resolve_template,
)


def survey_data(
    specs: Sequence[str],
    fields: Fields | None = None,
    *,
    model: str | None = None,
    revision: str | None = None,
    max_length: int | None = None,
    limit: int | None = None,
    loss_tokens: str = "response",
    offline: bool = False,
) -> Survey:
    """What DATA specs hold, in tokens where a model is named: its tokenizer is loaded, no weights.

    Args:
        max_length: longest probe sample, prompt and response, in tokens; by default as detection
            takes it: the smaller of the model's positions and 4,096.
        limit: at most so many rows, from the beginning.
        loss_tokens: ``response``, or ``all``, under which samples without one can serve too.
        offline: take the tokenizer from this machine only.

    Raises:
        UserError: data that cannot be read, no such model, ``max_length`` beyond its positions.
    """
    corpus = Corpus(list(specs), fields)
    if model is None:
        return survey(corpus, limit=limit)
    from circuitseer_core.model.loading import load_tokenizer

    corpus.count()  # bad data is told before a tokenizer is loaded
    tokenizer, positions = load_tokenizer(model, revision, offline=offline)
    most = default_max_length(positions, max_length)
    template = resolve_template(tokenizer, "auto")

    def lengths(texts: list[str]) -> list[int]:
        encoded: Any = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]
        return [len(ids) for ids in encoded]

    def why_not(sample: Sample) -> str | None:
        encoded = encode_for_loss(tokenizer, sample, template=template, loss_tokens=loss_tokens)
        if isinstance(encoded, str):
            return encoded
        return f"longer than {most} tokens" if encoded.n_tokens > most else None

    return survey(corpus, limit=limit, tokens=lengths, why_not=why_not)
