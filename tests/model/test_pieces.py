"""Pieces of tokens are the text, whole, whatever a tokenizer does to characters and spaces."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from circuitseer_core.model.pieces import text_so_far, token_pieces
from tests.support.tiny_models import tiny_tokenizer


@pytest.mark.parametrize("text", ["Tom has 12 apples.\n  How many?", "a 🎉 b é ü", "", "🎉"])
def test_pieces_together_are_the_text(text: str) -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer(text)["input_ids"]
    pieces = token_pieces(tokenizer, ids)
    assert "".join(pieces) == text
    assert len(pieces) == len(ids)


def test_a_character_stands_at_its_last_token() -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer("🎉")["input_ids"]
    assert len(ids) > 1
    assert token_pieces(tokenizer, ids) == [""] * (len(ids) - 1) + ["🎉"]
    assert token_pieces(tokenizer, ids[:-1])[-1] == "\ufffd"  # cut off in the middle
    text = tokenizer("a 🎉")["input_ids"]
    assert text_so_far(tokenizer, text[:-1]) == "a " and text_so_far(tokenizer, text) == "a 🎉"


def test_a_space_at_the_start_of_a_later_token_is_kept() -> None:
    words = {"▁Tom": 0, "▁has": 1, "ten": 2}
    backend = Tokenizer(models.WordLevel(words, unk_token="▁Tom"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    assert token_pieces(tokenizer, [0, 1, 2]) == ["Tom", " has", "ten"]
