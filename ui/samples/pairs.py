"""Side by side, and blind review: two samples of one source and nearly one length."""

from __future__ import annotations

import numpy as np
import streamlit as st

from circuitseer_core.browse.filters import Filter
from circuitseer_core.browse.pairs import partner, review_pair
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.calibration.names import MIN_PAIRS
from circuitseer_core.figures.review import agreement_interval
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection import review
from circuitseer_core.selection.review import ReviewState
from circuitseer_core.wording import percent
from ui import cached_scores as cached
from ui import judgements as review_store
from ui.cached_scores import NO_TEXTS
from ui.samples import detail, opened
from ui.samples import filters as sample_filters
from ui.shell import link_to
from ui.widgets.charts import show_figure, theme
from ui.widgets.markdown import literal


def side_by_side(run: Run, store: ScoreStore, scorer: str) -> None:
    """A high-scoring sample and a low-scoring one, matched for source and length."""
    judged = review_store.state(run)
    with st.container(horizontal=True, vertical_alignment="center", key="pair_bar"):
        sample_filters.search_box()
        sample_filters.filter_menu(store, scorer)
        rows = sample_filters.current(scorer, lambda kind: review_store.marks(judged, kind))
        ids = _chosen_pair(store, rows, scorer)
    if ids is None:
        return
    look = detail.look_controls()
    pair = sorted((store.sample(i) for i in ids), key=lambda s: s.scores[scorer], reverse=True)
    for column, sample, word in zip(
        st.columns(2, gap="medium"), pair, ("High", "Low"), strict=True
    ):
        with column, st.container(border=True, key=f"card_{word.lower()}"):
            st.markdown(f"{word} score · {detail.headline(store, sample, scorer)}")
            st.caption(literal(f"{sample.source}  ·  {sample.id}"))
            picked = detail.picked_span(sample, word)
            detail.split(sample, scorer)
            detail.tokens_of(
                run, sample, look, scorer, key=word, picked=picked, box=f"token_box_{word}"
            )
            detail.profile_figure(sample, key=word, picked=picked)
            if review_store.writable(run):
                detail.mark_buttons(run, sample, judged, key=word)


def _chosen_pair(store: ScoreStore, rows: Filter, scorer: str) -> tuple[str, str] | None:
    """The pair in view: the open sample's, or the n-th from the top; None, with the reason said."""
    anchor = opened.opened()
    if anchor is not None:
        st.button("From the top", key="unanchor", on_click=opened.close)
        other = partner(store, anchor, scorer, rows=rows)
        if other is None:
            st.caption("No other sample of its source comes within 10 % of its length.")
        return None if other is None else (anchor, other)
    pairs = cached.matched(store, rows, scorer)
    if pairs.empty:
        st.caption("No two matching samples of one source come within 10 % in length.")
        return None
    number = st.number_input(
        "Pair", 1, len(pairs), 1, key="pair", label_visibility="collapsed", width=130,
        persist_state="session",
        help=f"{len(pairs)} pairs, from the highest score down. The partner is the lowest score "
        "of the same source whose token count is within 10 %.",
    )  # fmt: skip
    return str(pairs["high"].iloc[number - 1]), str(pairs["low"].iloc[number - 1])


def blind_review(run: Run, store: ScoreStore, scorer: str) -> None:
    """Two unlabelled samples, one question, and how often the answers agree with the score."""
    if not store.has_texts:
        st.caption(NO_TEXTS)
        return
    if not review_store.offer_copy(run, "Verdicts need a run of your own."):
        return
    judged = review_store.state(run)
    done = judged.verdicts[judged.verdicts["scorer"] == scorer]
    number = len(done) + int(st.session_state.get("skipped", 0))
    pair = review_pair(store, scorer, number, name=run.name)
    if pair is None:
        st.caption("No two samples of one source come within 10 % of each other's length.")
        return
    st.subheader("Which of the two needs more reasoning?", anchor=False)
    texts = [store.sample(i) for i in pair]
    for column, sample, word in zip(st.columns(2, gap="medium"), texts, "AB", strict=True):
        with column, st.container(border=True, key=f"blind_{word}", height="stretch"):
            st.caption(word)
            st.text(sample.text)
    scores = [s.scores[scorer] for s in texts]
    with st.container(horizontal=True, horizontal_alignment="center", key="verdicts"):
        for label, choice, short in (
            ("A needs more", "left", "a"),
            ("No difference", "tie", "t"),
            ("B needs more", "right", "b"),
        ):
            st.button(
                label,
                key=f"verdict_{choice}",
                shortcut=short,
                on_click=_judge,
                args=[run, scorer, pair, scores, choice],
            )
        st.button(
            "Skip", key="skip", type="tertiary", shortcut="s",
            on_click=lambda: st.session_state.update(
                skipped=int(st.session_state.get("skipped", 0)) + 1
            ),
        )  # fmt: skip
    _last_verdict()
    _agreement(judged, scorer)
    _offer_fit(judged)


def _judge(run: Run, scorer: str, pair: tuple[str, str], scores: list[float], choice: str) -> None:
    entry = {"kind": "verdict", "left": pair[0], "right": pair[1], "choice": choice}
    review_store.write(run, entry | {"scorer": scorer, "scores": scores})
    st.session_state["last_verdict"] = (choice, scores)


def _last_verdict() -> None:
    """The scores of the pair just judged, told only after the verdict."""
    last = st.session_state.get("last_verdict")
    if last is None:
        st.caption(
            "Keys: A, B, T for no difference, S to skip. Scores stay hidden until you chose."
        )
        return
    choice, (left, right) = last
    preferred = "A" if left > right else "B"
    word = {"left": "A", "right": "B", "tie": "neither"}[choice]
    st.caption(
        f"Last pair: you said {word}; the score says {preferred} ({left:.4g} against {right:.4g})."
    )


def _agreement(judged: ReviewState, scorer: str) -> None:
    rate, (low, high), n = review.agreement(judged.verdicts, scorer)
    verdicts = judged.verdicts[judged.verdicts["scorer"] == scorer]
    if not len(verdicts):
        return
    st.subheader("Agreement with the score", anchor=False)
    ties = int((verdicts["choice"] == "tie").sum())
    if np.isfinite(rate):
        st.markdown(
            f"**{percent(rate)}** of {n} decided {'pair' if n == 1 else 'pairs'}, 95 % interval "
            f"{percent(low)} to {percent(high)} (Wilson). "
            + _reading(low, high)
            + f" Ties: {ties}."
        )
    else:
        st.markdown(f"No pair decided yet. Ties: {ties}.")
    show_figure(
        agreement_interval(rate, low, high, theme()),
        key="agreement",
        data=verdicts,
        alt="Agreement rate with its interval against chance",
    )


def _offer_fit(judged: ReviewState) -> None:
    """Once there are enough verdicts: heads can be fitted to them."""
    decided = int(judged.verdicts["choice"].isin(["left", "right"]).sum())
    if decided >= MIN_PAIRS:
        st.caption(f"{decided} pairs are decided: the heads can be fitted to what you see.")
        link_to("calibrate", "Fit to the verdicts", icon=":material/tune:")


def _reading(low: float, high: float) -> str:
    if low > 0.5:
        return "Better than chance, which is 50 %."
    if high < 0.5:
        return "Worse than chance, which is 50 %: the score prefers the easier samples."
    return "Not told apart from chance, which is 50 %."
