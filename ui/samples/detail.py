"""One sample in full: its numbers, its tokens, its profile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from circuitseer_core import limits
from circuitseer_core.aliases import Floats
from circuitseer_core.browse.sample import ScoredSample
from circuitseer_core.browse.spans import (
    CLIP,
    PARTED,
    Shade,
    Spans,
    contributions,
    made_of,
    shade,
    split_spans,
)
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.figures.tokens import profile_bars
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.scorers import SINK_SCORERS, sink_share
from circuitseer_core.wording import count, percent
from ui import cached_scores
from ui.cached_scores import NO_TEXTS
from ui.widgets import live_head
from ui.widgets.charts import show_figure, theme
from ui.widgets.markdown import to_markdown, together
from ui.widgets.split_bar import split_bar
from ui.widgets.tokens import token_view
from ui.widgets.view_choice import choose_one

OF_SCORE = "of the score"
COLOURS = ("Score", "Attention", "One head")


@dataclass(frozen=True)
class Look:
    """How tokens are coloured, chosen once for all samples on the page."""

    colour: str
    leave_out_sink: bool
    maths: bool


def look_controls(scorer: str) -> Look:
    """The row of controls above the tokens, for the score in view."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        colour = choose_one(
            "Colour by",
            COLOURS,
            "token_colour",
            help="Colour tokens by their part in the score in view, by the attention they receive "
            "from the scored heads, or by the attention they receive from one head",
        )
        by_score = colour == COLOURS[0] and scorer in PARTED
        sink = st.toggle(
            "Leave first token out",
            value=not by_score,  # of a score it may be the most part
            key="leave_out_of_score" if by_score else "leave_out_sink",
            persist_state="session",
            help="Models park attention that they have no use for on the first token. Left in, "
            "it swamps the colours of all others.",
        )
        maths = st.toggle(
            "Render maths",
            key="maths",
            persist_state="session",
            help="Show the text with its formulas rendered, without token colours.",
        )
    return Look(colour, sink, maths)


def headline(store: ScoreStore, sample: ScoredSample, scorer: str) -> str:
    """The sample's score and where it stands, as one line of Markdown."""
    score = sample.scores[scorer]
    parts = [f"**{score:.4g}**" if np.isfinite(score) else "**no score**"]
    if place := cached_scores.standings(store, {sample.id: score}, scorer).get(sample.id):
        parts += [f"percentile {place.percentile:.1f}", f"rank {place.rank:,} of {place.rows:,}"]
    share = first_share(sample, scorer)
    if share is not None:
        parts.append(f"{percent(share)} of this score is the first token")
    parts.append(count(sample.n_tokens, "token") + (" (truncated)" if sample.truncated else ""))
    return together(" · ".join(parts))


def first_share(sample: ScoredSample, scorer: str) -> float | None:
    """The first token's part of the score; None where the score leaves it out, or nothing is kept.

    Of the tokens' profile as stored, which is what the colours are of.
    """
    if scorer not in SINK_SCORERS or not len(sample.profile):
        return None
    share = float(sink_share(sample.profile[None], np.array([len(sample.profile)]))[0])
    return share if np.isfinite(share) else None


def split(sample: ScoredSample, scorer: str) -> None:
    """Where the first token makes most of the score: a bar of it against all other tokens."""
    share = first_share(sample, scorer)
    if share is not None and limits.mostly_sink(share):
        split_bar("first token", "all others", share)


def chooses_head(sample: ScoredSample, look: Look) -> bool:
    """Whether the sample is coloured by one head, which is then chosen above it.

    Without a text, or a profile of it, there is nothing to colour.
    """
    return look.colour == COLOURS[2] and bool(len(sample.profile)) and bool(sample.text)


def profile_in_view(run: Run, sample: ScoredSample, look: Look, *, key: str) -> Floats | None:
    """(T,) attention that each token receives: from the scored heads, or from the head chosen.

    None until the chosen head's was computed; its choice is drawn here. ``key`` tells several
    samples on a page apart.
    """
    if chooses_head(sample, look):
        return live_head.profile(run, sample, key=key)
    return sample.profile.astype(np.float64)


def tokens_of(
    sample: ScoredSample,
    profile: Floats | None,
    look: Look,
    scorer: str,
    *,
    key: str,
    box: str,
    picked: int | None = None,
) -> None:
    """The text with its tokens coloured, and below it what the colours and the picked token say.

    ``profile``: of :func:`profile_in_view`; ``key`` tells several samples on a page apart; ``box``
    is the key of the scrolling frame.
    """
    if look.maths:
        with st.container(key=f"maths_{key}"):
            st.markdown(to_markdown(sample.text or sample.id))
        return
    if not sample.text:
        st.text(sample.id)
        return
    if not len(sample.profile):
        st.text(sample.text)
        st.caption("This run keeps no profile for this sample, so its tokens have no colours.")
        return
    if profile is None:
        st.text(sample.text)
        return
    spans = _spans(sample)
    values, unit = _values(sample, profile, look.colour, scorer)
    instead = look.colour == COLOURS[0] and unit != OF_SCORE
    merged = spans.merge(values)
    # Parts of a score are shown in proportion: the largest has full colour, whatever it leaves.
    clip = 1.0 if unit == OF_SCORE else CLIP
    without_sink = look.leave_out_sink or (instead and scorer in PARTED)  # then not asked for it
    shading = shade(merged, spans, leave_out_sink=without_sink, clip=clip)

    def pick(span: int) -> None:
        st.session_state[f"token_{key}"] = (sample.id, span)

    with st.container(key=box):
        token_view(
            sample,
            spans,
            shading,
            [f"{percent(v, 2)} {unit}" for v in merged],
            key=f"tokens_{key}",
            picked=picked,
            on_pick=pick,
        )
    lines = [_scale_line(shading, unit), token_line(sample, profile, picked)]
    lines = [_NO_PARTS[scorer in PARTED], *lines] if instead else lines
    st.caption(together("  \n".join(lines)))


_NO_PARTS = {
    False: "This score has no parts by token: coloured by attention.",
    True: "The parts of this sample's score are not known: coloured by attention.",
}
"""Why the colours are not the score's, by whether it is a sum over tokens."""


def picked_span(sample: ScoredSample, key: str) -> int | None:
    """The span of this sample that was clicked last, if any."""
    picked = st.session_state.get(f"token_{key}")
    return picked[1] if picked and picked[0] == sample.id else None


def profile_figure(
    sample: ScoredSample,
    profile: Floats | None,
    look: Look,
    *,
    key: str,
    picked: int | None = None,
) -> None:
    """Received attention by token as bars, its mean and standard deviation, and its download.

    ``profile``: the one that the tokens are coloured by.
    """
    if profile is None or not len(profile):
        return
    spans = _spans(sample)
    labels = [spans.labels[i] if spans.labels else "" for i in spans.owner]
    left_out = sample.special.copy()
    left_out[:1] = True
    token = int(spans.first_token()[picked]) if picked is not None else None
    received = profile * len(profile)
    heads = "this head" if chooses_head(sample, look) else "the scored heads"
    st.caption(
        f"Attention received from {heads} ÷ mean, by token. Standard deviation "
        f"{received.std():.3g}, variance {received.var():.4g}."
    )
    show_figure(
        profile_bars(
            profile, _visible(labels), theme(), left_out=left_out, picked=token, height=200
        ),
        key=f"profile_{key}",
        data=lambda: _profile_table(profile, labels),
        name=f"profile {sample.id}".replace("/", "_"),
        alt="Bars: attention received by each token, relative to the mean",
    )


def token_line(sample: ScoredSample, profile: Floats, picked: int | None) -> str:
    """What the picked span receives under a profile, in words."""
    if picked is None:
        return (
            "Click a token, or reach it with the arrow keys and press Enter, to read its numbers."
        )
    spans = _spans(sample)
    received = spans.merge(profile)
    share = spans.merge(contributions(profile))
    order = np.argsort(-received, kind="stable")
    place = int(np.flatnonzero(order == picked)[0]) + 1
    size = int((spans.owner == picked).sum())
    first = int(spans.first_token()[picked])
    tokens = f"token {first}" if size == 1 else f"tokens {first} to {first + size - 1}"
    return (
        f"{tokens}: receives {percent(received[picked], 3)} of all attention "
        f"({received[picked] * len(profile) / size:.2f} × the mean, "
        f"place {place:,} of {len(received):,}) and makes up "
        f"{percent(share[picked], 2)} of the variance."
    )


def original_columns(sample: ScoredSample, store: ScoreStore) -> None:
    """Response, other scores and the row as it came, folded away."""
    if not store.has_texts:
        st.caption(NO_TEXTS)
    with st.expander("Response, all scores, original row", key=f"more_{sample.id}"):
        if sample.response:
            st.caption("Response")
            st.text(sample.response)
        rows = [("scores", k, f"{v:.6g}") for k, v in sample.scores.items() if np.isfinite(v)]
        rows += [("original row", str(k), str(v)) for k, v in sample.original.items()]
        st.dataframe(
            pd.DataFrame(rows, columns=["from", "column", "value"]),
            hide_index=True,
            height=min(38 + 35 * len(rows), 320),
        )


def _spans(sample: ScoredSample) -> Spans:
    return split_spans(sample.text, sample.token_starts, sample.special, truncated=sample.truncated)


def _values(sample: ScoredSample, profile: Floats, colour: str, scorer: str) -> tuple[Floats, str]:
    """(T,) shares of 1 to colour by, and of what they are shares."""
    if colour == COLOURS[0]:
        parts = made_of(scorer, sample.scores[scorer], profile, sample.special)
        if parts is not None:
            return parts, OF_SCORE
    return profile, "of the attention"


def _scale_line(shading: Shade, unit: str) -> str:
    which = "the largest" if unit == OF_SCORE else "99th percentile"
    parts = [f"Full colour: {percent(shading.top, 1)} {unit} ({which})"]
    if shading.left_out.any():
        parts.append(
            f"left out of the colours: the first token and special tokens, "
            f"{percent(shading.left_out_share)} {unit}"
        )
    if shading.clipped:
        verb = "lies" if shading.clipped == 1 else "lie"
        parts.append(f"{count(shading.clipped, 'token')} {verb} above it")
    if shading.faint:
        parts.append(f"no colour below a tenth of an even share ({count(shading.faint, 'token')})")
    return "; ".join(parts) + "."


def _visible(labels: list[str]) -> list[str]:
    """Labels for hover text, in which a line break would not be seen."""
    return [label.replace("\n", "⏎") for label in labels]


def _profile_table(profile: Floats, labels: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "token": np.arange(len(profile)),
            "text": labels,
            "profile": profile,
            "received_over_mean": profile * len(profile),
            "variance_share": contributions(profile),
        }
    )
