"""Blind review: a batch of pairs, judged one by one; nothing of the scores until its end."""

from __future__ import annotations

import streamlit as st

from circuitseer_core.browse.pairs import TOLERANCE
from circuitseer_core.browse.review_pairs import Rated, band_edges, review_pairs
from circuitseer_core.browse.sample import ScoredSample
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import hash64
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.review_records import (
    BANDS,
    Choice,
    ReviewBatch,
    ReviewOptions,
    ReviewPair,
    ReviewVerdict,
)
from circuitseer_core.selection.review import ReviewState
from circuitseer_core.wording import count, percent
from ui import cached_scores, judgements
from ui.cached_scores import NO_TEXTS
from ui.samples import blind_result
from ui.shell import folding_columns
from ui.widgets import wishes
from ui.widgets.markdown import inline
from ui.widgets.settings_field import bounds, choices, proposed

SPREADS = {"evenly": "Evenly over strata", "as the data": "As in the data"}
_NONE = (
    f"No two fresh samples of one source, a third of the lengths and within {percent(TOLERANCE)} "
    "of each other's length lie this far apart: ask for a smaller gap, or for more sources and "
    "lengths."
)


def blind_review(run: Run, store: ScoreStore, scorer: str) -> None:
    """The batch that is open; else the form for the next one, and what the last ones came to."""
    if not store.has_texts:
        st.caption(NO_TEXTS)
        return
    judged = judgements.state(run)
    batch = judged.open_batch()
    if batch is not None and judgements.writable(run):
        _judging(run, judged, batch)
        return
    _question(scorer)
    if judgements.offer_copy(run, "Verdicts need a run of your own."):
        _form(run, store, scorer, judged)
    blind_result.results(run, judged)


def _question(scorer: str) -> None:
    """What a batch answers."""
    st.subheader("Does the score see what you see?", anchor=False)
    st.markdown(
        "You are shown pairs of samples of one source and nearly one length, and say which of the "
        f"two needs more reasoning. What you say is compared with **{inline(scorer)}** when the "
        "batch is over, not before.",
        width=760,
    )


@wishes.answered("review")
def _form(run: Run, store: ScoreStore, scorer: str, judged: ReviewState) -> None:
    """Strata of the next batch."""
    names = list(cached_scores.sources(store))
    low, high = (int(edge) for edge in band_edges(cached_scores.numbers(store, "n_tokens")))
    words = {
        "short": f"Short, to {low} tokens",
        "middle": f"Middle, {low + 1} to {high}",
        "long": f"Long, over {high}",
    }
    with st.container(border=True, key="review_form"):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            pairs = st.number_input(
                "Pairs", *bounds(ReviewOptions, "pairs"), proposed(ReviewOptions, "pairs"),
                key="review_pairs", persist_state="session", width=120,
            )  # fmt: skip
            gap = st.number_input(
                "Least gap, percentiles", *bounds(ReviewOptions, "gap"),
                proposed(ReviewOptions, "gap"), 5.0, key="review_gap", format="%g",
                persist_state="session", width=190,
                help="By how much the two scores differ at least. With a gap you judge clear "
                "cases only, and the agreement is one for clear cases only.",
            )  # fmt: skip
            spread = st.segmented_control(
                "Spread of the pairs", choices(ReviewOptions, "spread"),
                default=proposed(ReviewOptions, "spread"), required=True, wrap=True,
                format_func=SPREADS.__getitem__, key="review_spread", persist_state="session",
                help="A stratum is a source and a third of the lengths.",
            )  # fmt: skip
        bands = st.pills(
            "Lengths", BANDS, default=list(BANDS), selection_mode="multi", key="review_bands",
            format_func=words.__getitem__, persist_state="session",
        )  # fmt: skip
        sources = st.multiselect(
            "Sources", names, key="review_sources", persist_state="session",
            placeholder=f"All {count(len(names), 'source')}" if len(names) > 1 else names[0],
        )  # fmt: skip
        st.button(
            "Start the batch",
            type="primary",
            icon=":material/visibility_off:",
            key="review_start",
            disabled=not bands,
            on_click=wishes.leave,
            args=["review"],
        )
    if bands and wishes.granted("review"):
        options = ReviewOptions(
            pairs=int(pairs),
            sources=sources,
            bands=[b for b in BANDS if b in bands],
            gap=float(gap),
            spread=spread,
        )
        _start(run, store, scorer, judged, options)


def _start(
    run: Run, store: ScoreStore, scorer: str, judged: ReviewState, options: ReviewOptions
) -> None:
    """Draw the pairs and keep them with the run, so that the batch can be taken up again."""
    number = len(judged.batches) + 1
    seed = int(hash64(number, "blind-review", [f"{run.name}\x1f{store.name}\x1f{scorer}"])[0])
    rated = Rated(
        cached_scores.numbers(store, scorer),
        cached_scores.numbers(store, "n_tokens"),
        cached_scores.groups(store, "source"),
    )
    pairs = review_pairs(store, rated, options, seen=judged.shown(), seed=seed)
    if not pairs:
        st.warning(_NONE, icon=":material/info:")
        return
    batch = ReviewBatch(
        batch=str(number),
        time=now(),
        scorer=scorer,
        scoring=store.name,
        options=options,
        pairs=pairs,
    )
    judgements.write(run, {"kind": "batch", **batch.model_dump(mode="json")})
    st.rerun()


def _judging(run: Run, judged: ReviewState, batch: ReviewBatch) -> None:
    """One pair, one question."""
    chosen = judged.of_batch(batch)
    total = len(batch.pairs)
    number = next(n for n in range(total) if n not in chosen)
    back = st.session_state.get("review_back")
    if back is not None and back[:2] == (str(run.path), batch.batch) and back[2] < total:
        number = back[2]
    pair = batch.pairs[number]
    st.progress(len(chosen) / total, text=_place(batch, number, len(chosen)))
    st.subheader("Which of the two needs more reasoning?", anchor=False)
    texts = _texts(run, batch, pair)
    if texts is None:
        st.caption("This pair is no longer among the scored rows: skip it.")
    else:
        columns = folding_columns(2, "blind", gap="medium")
        for column, sample, word in zip(columns, texts, "AB", strict=True):
            with column, st.container(border=True, key=f"blind_{word}", height="stretch"):
                st.caption(word)
                st.text(sample.text)
    with st.container(horizontal=True, horizontal_alignment="center", key="verdicts"):
        for label, choice, short in (
            ("A needs more", "left", "a"),
            ("No difference", "tie", "t"),
            ("B needs more", "right", "b"),
            ("Skip", "skip", "s"),
        ):
            st.button(
                label,
                key=f"verdict_{choice}",
                shortcut=short,
                type="primary" if chosen.get(number) == choice else "secondary",
                disabled=texts is None and choice != "skip",
                on_click=_judge,
                args=[run, batch, pair, choice],
            )
    with st.container(horizontal=True, horizontal_alignment="center", key="review_ways"):
        st.button(
            "Back", icon=":material/undo:", key="review_go_back", type="tertiary", shortcut="z",
            disabled=number == 0, on_click=_go_back, args=[run, batch, number],
        )  # fmt: skip
        with st.popover("End the batch here", type="tertiary", key="review_end_menu"):
            st.markdown(
                f"{len(chosen)} of {count(total, 'pair')} judged. A batch that was ended shows its "
                "agreement and cannot be taken up again."
            )
            st.button(
                "End it", key="review_end", type="primary", on_click=judgements.write,
                args=[run, {"kind": "close", "batch": batch.batch}],
            )  # fmt: skip
    if total < batch.options.pairs:
        st.caption(f"{batch.options.pairs:d} pairs were asked for; no more fresh samples match.")
    st.caption(
        "Keys: A, B, T for no difference, S to skip, Z to go back. You can leave and come back: "
        "every verdict is kept at once."
    )


def _place(batch: ReviewBatch, number: int, done: int) -> str:
    behind = f"; {done} judged" if number != done else ""
    return f"Pair {number + 1} of {len(batch.pairs)}{behind}"


def _texts(run: Run, batch: ReviewBatch, pair: ReviewPair) -> list[ScoredSample] | None:
    """Both samples as the batch's own scoring holds them; None where one is there no more."""
    try:
        store = cached_scores.open_store(run, batch.scoring)
        return None if store is None else store.samples([pair.left, pair.right])
    except UserError:
        return None


def _judge(run: Run, batch: ReviewBatch, pair: ReviewPair, choice: Choice) -> None:
    verdict = ReviewVerdict(
        left=pair.left,
        right=pair.right,
        choice=choice,
        scorer=batch.scorer,
        scores=pair.scores,
        scoring=batch.scoring,
        batch=batch.batch,
    )
    judgements.write(run, {"kind": "verdict", **verdict.to_json()})
    st.session_state.pop("review_back", None)


def _go_back(run: Run, batch: ReviewBatch, number: int) -> None:
    st.session_state["review_back"] = (str(run.path), batch.batch, number - 1)
