"""Samples to tokens."""

from __future__ import annotations

import pytest

from circuitseer_core.data.sample import Sample
from circuitseer_core.errors import UserError
from circuitseer_core.model.encoding import Encoded, encode_for_loss, encode_texts, resolve_template
from tests.support.tiny_models import tiny_tokenizer


def test_the_prompt_response_boundary_is_exact() -> None:
    tokenizer = tiny_tokenizer(bos=True)
    sample = Sample("i", "s", "What is 12 + 30?", "12 + 30 = 42", {})
    encoded = encode_for_loss(tokenizer, sample, template="plain")
    assert isinstance(encoded, Encoded)
    response = tokenizer(sample.response, add_special_tokens=False)["input_ids"]
    assert encoded.ids[encoded.loss_from :] == response
    assert encoded.ids[0] == tokenizer.bos_token_id
    assert encoded.text == "What is 12 + 30?\n12 + 30 = 42"
    everything = encode_for_loss(tokenizer, sample, template="plain", loss_tokens="all")
    assert isinstance(everything, Encoded) and everything.loss_from == 1


def test_templates() -> None:
    tokenizer = tiny_tokenizer()
    assert resolve_template(tokenizer, "auto") == "plain"
    with pytest.raises(UserError, match="chat template"):
        resolve_template(tokenizer, "chat")
    sample = Sample("i", "s", "hi", None, {})
    assert encode_for_loss(tokenizer, sample, template="plain") == "no response"


def test_a_chat_template_may_refuse_a_prompt() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% if 'secret' in messages[0]['content'] %}{{ raise_exception('no secrets') }}{% endif %}"
        "{{ messages[0]['content'] }}"
    )
    for prompt, refused in (("a secret sum", True), ("a sum", False)):
        sample = Sample("i", "s", prompt, "12 + 30 = 42", {})
        encoded = encode_for_loss(tokenizer, sample, template="chat")
        assert isinstance(encoded, str) == refused
    assert "no secrets" in str(
        encode_for_loss(tokenizer, Sample("i", "s", "secret", "1", {}), template="chat")
    )


def test_scored_texts_are_truncated_with_offsets() -> None:
    [one] = encode_texts(tiny_tokenizer(bos=True), ["Tom has 12 apples"], 4)
    assert len(one.ids) == len(one.starts) == len(one.special) == 4
    assert one.truncated and one.n_full > 4
    assert one.special == [True, False, False, False] and one.starts[:2] == [0, 0]
