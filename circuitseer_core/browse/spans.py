"""Pieces of text to show for tokens, and what to colour them by.

A byte-level tokenizer may split one character over several tokens, so tokens are no units of
text. Tokens that start at the same character are merged into one span; its value is the sum over
its tokens. Special tokens stand in no text and become spans of their own.

Colours are relative to the 99th percentile of the spans shown: one attention sink, which often
takes more than half of all attention, would otherwise leave every other token blank. Where a sink
takes nearly all, the others differ by next to nothing: below a tenth of an even share they have no
colour, however large they are beside each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuitseer_core import limits
from circuitseer_core.aliases import Floats, Ints

SPECIAL_LABEL = "•"
CLIP = 0.99


@dataclass(frozen=True)
class Spans:
    """``labels`` (S,) texts; ``owner`` (T,) the span of each token; ``special`` (S,) flags.

    ``tail`` is text after the last token that was scored: what truncation cut off, else "".
    Labels and ``tail`` together are the scored text, character for character.
    """

    labels: tuple[str, ...]
    owner: Ints
    special: NDArray[np.bool_]
    tail: str = ""

    def merge(self, values: NDArray[np.floating]) -> Floats:
        """(T,) values of tokens summed to (S,) values of spans."""
        sums = np.bincount(self.owner, weights=values, minlength=len(self.labels))
        return sums.astype(np.float64)

    def first_token(self) -> Ints:
        """(S,) number of each span's first token."""
        return np.searchsorted(self.owner, np.arange(len(self.labels)))


def split_spans(
    text: str,
    starts: NDArray[np.int32],
    special: NDArray[np.bool_],
    *,
    truncated: bool = False,
) -> Spans:
    """Cut ``text`` at the tokens' character offsets ``starts`` (T,), ascending.

    Text before the first token belongs to the first span. Of a truncated text the last token's
    end is unknown: it is taken to end at the next space, and the rest becomes the tail.
    """
    labels: list[str] = []
    flags: list[bool] = []
    begins: list[int] = []
    owner = np.zeros(len(starts), dtype=np.int64)
    for token, start in enumerate(starts.tolist()):
        if special[token]:
            labels.append(SPECIAL_LABEL)
        elif not flags or flags[-1] or start > begins[-1]:
            labels.append("")
        else:
            owner[token] = len(labels) - 1
            continue
        flags.append(bool(special[token]))
        begins.append(start)
        owner[token] = len(labels) - 1
    plain = [i for i, flag in enumerate(flags) if not flag]
    end = len(text)
    if plain and truncated:
        space = text.find(" ", begins[plain[-1]] + 1)
        end = space if space >= 0 else len(text)
    bounds = [0 if n == 0 else begins[i] for n, i in enumerate(plain)] + [end]
    for n, i in enumerate(plain):
        labels[i] = text[bounds[n] : bounds[n + 1]]
    return Spans(tuple(labels), owner, np.array(flags, dtype=bool), text[end:] if plain else "")


def spans_of_pieces(pieces: Sequence[str]) -> Spans:
    """Spans of a text that is given as the piece each token adds; empty pieces join the next."""
    lengths = [len(piece) for piece in pieces]
    starts = np.cumsum([0, *lengths[:-1]], dtype=np.int32) if pieces else np.zeros(0, np.int32)
    return split_spans("".join(pieces), starts, np.zeros(len(pieces), dtype=bool))


def contributions(profile: NDArray[np.floating]) -> Floats:
    """(T,) each token's share of the score's variance: (a_j − 1)² / Σ_k (a_k − 1)², a = T·m.

    The shares sum to 1; a perfectly even profile, which has no variance, gives zeros.
    """
    received = profile.astype(np.float64) * len(profile)
    squares = (received - received.mean()) ** 2 if len(profile) else received
    total = squares.sum()
    return squares / total if total > 0 else np.zeros_like(squares)


PARTED = ("variance", "raw_variance", "focus", "divergence")
"""Scores that are sums over a sample's tokens."""


def made_of(
    scorer: str, score: float, profile: NDArray[np.floating], special: NDArray[np.bool_]
) -> Floats | None:
    """(T,) each token's part of a score, summing to 1; None where the score is no sum over tokens.

    The parts of ``focus`` are those of the tokens that it keeps. ``divergence`` compares with the
    profile of undifferentiated attention; that of full causal attention is taken, and where the
    score is another than it gives (windowed attention, say) the parts are not known.

    Args:
        scorer: name of the score.
        score: the sample's.
        profile: (T,) attention that each token receives, sums to 1.
        special: (T,) the tokenizer's special tokens.
    """
    if scorer not in PARTED:
        return None
    if scorer in ("variance", "raw_variance"):
        return contributions(profile)
    kept = ~special
    kept[:1] = False
    if kept.sum() < 2:
        return None
    x = _share(profile.astype(np.float64), kept)
    if scorer == "focus":
        parts = np.where(kept, (x - 1 / kept.sum()) ** 2, 0.0)
    else:
        w = _share(_undifferentiated(len(profile)), kept)
        parts = np.divide((x - w) ** 2, w, out=np.zeros_like(x), where=kept)
        if not np.isclose(parts.sum(), score, rtol=0.02):  # profiles are stored as float16
            return None
    total = float(parts.sum())
    return parts / total if total > 0 else np.zeros_like(parts)


def _share(values: Floats, kept: NDArray[np.bool_]) -> Floats:
    inside = np.where(kept, values, 0.0)
    total = float(inside.sum())
    return inside / total if total > 0 else inside


def _undifferentiated(tokens: int) -> Floats:
    """(T,) what token j receives on average where query i gives each token up to it 1/(i + 1)."""
    even = 1.0 / np.arange(1, tokens + 1)
    return np.cumsum(even[::-1])[::-1] / max(tokens, 1)


@dataclass(frozen=True)
class Shade:
    """How strongly to colour every span.

    ``strength`` (S,) in [0, 1], ``top`` the value that has strength 1, ``left_out`` (S,) spans that
    the scale leaves out (first and special tokens), ``left_out_share`` their part of the sum,
    ``clipped`` how many spans lie above ``top``, ``faint`` how many have no colour because they lie
    below ``limits.COLOURED`` of an even share.
    """

    strength: Floats
    top: float
    left_out: NDArray[np.bool_]
    left_out_share: float
    clipped: int
    faint: int = 0


def shade(
    values: Floats, spans: Spans, *, leave_out_sink: bool = True, clip: float = CLIP
) -> Shade:
    """Scale (S,) span values to colours, from 0 to the quantile ``clip`` of the spans kept.

    ``leave_out_sink`` drops the first token and special tokens from the scale, where models park
    attention that they have no use for. A span's even share of the sum is that of its tokens.
    """
    left_out = spans.special.copy() if leave_out_sink else np.zeros(len(values), dtype=bool)
    if leave_out_sink and len(spans.owner):
        left_out[spans.owner[0]] = True
    kept = values[~left_out]
    top = float(np.quantile(kept, clip)) if kept.size else 0.0
    top = top if top > 0 else float(kept.max(initial=0.0))
    strength = np.clip(values / top, 0.0, 1.0) if top > 0 else np.zeros_like(values)
    total = float(values.sum())
    tokens = np.bincount(spans.owner, minlength=len(values)) / max(len(spans.owner), 1)
    faint = ~left_out & (values < limits.COLOURED * total * tokens)
    return Shade(
        strength=np.where(left_out | faint, 0.0, strength),
        top=top,
        left_out=left_out,
        left_out_share=float(values[left_out].sum()) / total if total > 0 else 0.0,
        clipped=int((kept > top).sum()),
        faint=int(faint.sum()),
    )
