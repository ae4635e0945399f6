"""Samples to token ids, for the loss of stage 1 and for the profiles of stage 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from circuitseer_core.data.sample import Sample
from circuitseer_core.errors import UserError

Template = Literal["auto", "chat", "plain"]
TEMPLATES: tuple[Template, ...] = get_args(Template)


@dataclass(frozen=True, slots=True)
class Encoded:
    """One sample as token ids, with the tokens whose loss counts.

    ``loss_from`` is the index of the first loss token (the first response token); every token from
    there on counts. Its prediction is read one position earlier, so ``loss_from`` is at least 1.
    """

    id: str
    source: str
    ids: list[int]
    loss_from: int
    text: str = ""

    @property
    def n_tokens(self) -> int:
        """Tokens in all."""
        return len(self.ids)

    @property
    def n_loss_tokens(self) -> int:
        """Tokens whose loss counts."""
        return len(self.ids) - self.loss_from


@dataclass(frozen=True, slots=True)
class EncodedText:
    """A text as tokens, plainly encoded (no chat template).

    ``starts``: character offset of each token in the text; ``special``: True for the tokenizer's
    own special tokens; ``n_full``: tokens before truncation.
    """

    ids: list[int]
    starts: list[int]
    special: list[bool]
    n_full: int

    @property
    def truncated(self) -> bool:
        """Whether tokens were cut off."""
        return self.n_full > len(self.ids)


def resolve_template(tokenizer: Any, template: str) -> str:
    """``auto`` is ``chat`` where the tokenizer has a chat template, else ``plain``."""
    if template not in TEMPLATES:
        raise UserError(f"unknown template {template!r}: choose {', '.join(TEMPLATES)}")
    has_template = bool(getattr(tokenizer, "chat_template", None))
    if template == "chat" and not has_template:
        raise UserError(
            "this model's tokenizer has no chat template", hint=": use --template plain"
        )
    return ("chat" if has_template else "plain") if template == "auto" else template


def encode_for_loss(
    tokenizer: Any, sample: Sample, *, template: str, loss_tokens: str = "response"
) -> Encoded | str:
    """Prompt tokens + response tokens, tokenised apart and joined so that the boundary is exact.

    Returns the encoded sample, or the reason why it cannot serve (no response, no loss tokens, a
    chat template that refuses the prompt).
    No EOS is added. With ``loss_tokens="all"`` every token but the first counts.
    """
    if sample.response is None and loss_tokens == "response":
        return "no response"
    prompt = encode_prompt(tokenizer, sample.prompt, template)
    if isinstance(prompt, str):
        return prompt
    text, prompt_ids = prompt
    response = sample.response or ""
    response_ids = tokenizer(response, add_special_tokens=False)["input_ids"] if response else []
    ids = [*prompt_ids, *response_ids]
    loss_from = 1 if loss_tokens == "all" else max(1, len(prompt_ids))
    if len(ids) <= loss_from:
        return "no loss tokens"
    return Encoded(sample.id, sample.source, ids, loss_from, text + response)


def encode_prompt(tokenizer: Any, prompt: str, template: str) -> tuple[str, list[int]] | str:
    """What stands before a response, as text and as tokens; or why the template refuses it.

    ``chat``: the tokenizer's template over one user turn with the generation prompt added;
    ``plain``: the prompt and a newline, with the tokenizer's own special tokens.
    """
    if template != "chat":
        return prompt + "\n", list(tokenizer(prompt + "\n")["input_ids"])
    from jinja2 import TemplateError  # what a template raises; there where templates are

    turn = [{"role": "user", "content": prompt}]
    try:
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        return f"the chat template refuses it: {error}"
    return text, list(tokenizer(text, add_special_tokens=False)["input_ids"])


def encode_texts(tokenizer: Any, texts: list[str], max_length: int) -> list[EncodedText]:
    """Tokenise plainly (no chat template) with the tokenizer's own special tokens, truncated."""
    encoded = tokenizer(
        texts,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_attention_mask=False,
        verbose=False,
    )
    out = []
    for ids, offsets, special in zip(
        encoded["input_ids"],
        encoded["offset_mapping"],
        encoded["special_tokens_mask"],
        strict=True,
    ):
        starts = [start for start, _ in offsets[:max_length]]
        mask = [bool(s) for s in special[:max_length]]
        out.append(EncodedText(ids[:max_length], starts, mask, len(ids)))
    return out


def default_max_length(max_positions: int, asked: int | None) -> int:
    """The smaller of the model's positions and 4,096, unless asked otherwise."""
    if asked is None:
        return min(max_positions, 4096)
    if asked > max_positions:
        raise UserError(
            f"a length of {asked} is more than the model's {max_positions} positions",
            hint=": lower --max-length",
        )
    return asked
