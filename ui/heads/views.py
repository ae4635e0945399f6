"""The lower half of the Heads page: table, sparsity, layers, stability, sources, two runs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from circuitseer_core.aliases import Head
from circuitseer_core.correlation import spearman
from circuitseer_core.detection.heads import finalists
from circuitseer_core.distributions import spearman95
from circuitseer_core.figures import heads as figures
from circuitseer_core.figures.head_detail import importance_by_sink, membership
from circuitseer_core.runs.commands import as_typed
from circuitseer_core.runs.folder import Run
from circuitseer_core.signatures.head_checks import overlap_sentence
from circuitseer_core.wording import count, percent, signed
from ui.heads import tables
from ui.heads.compare import compare_with
from ui.heads.detail import pick
from ui.heads.panel import Choice, is_top
from ui.shell import link_to, run_keys, run_label
from ui.widgets.charts import show_figure, theme
from ui.widgets.commands import show_commands
from ui.widgets.markdown import inline, prose, together

MAX_MAPS = 4
_NONE_KEPT = "No head is kept under this rule."


def table(run: Run, heads: pd.DataFrame, choice: Choice) -> None:
    """All heads, best first; a row picked is the head in view."""
    kept = set(choice.heads)
    shown = heads.sort_values(["raced_out", "rank"], ignore_index=True)
    sinks = tables.sink_shares(run)
    if sinks is not None:
        shown = shown.merge(sinks, on=["layer", "head"], how="left")
        shown["sink_share"] *= 100
    cells = list(zip(shown["layer"], shown["head"], strict=True))
    shown.insert(0, "kept", [cell in kept for cell in cells])

    def row_picked() -> None:
        rows = st.session_state["heads_table"]["selection"]["rows"]
        if rows:
            pick(*map(int, cells[rows[0]]))

    st.dataframe(
        shown,
        hide_index=True,
        height=420,
        key="heads_table",
        on_select=row_picked,
        selection_mode="single-row",
        alt="All heads with importance, standard error and rank",
        column_order=[
            *("rank", "layer", "head", "importance", "stderr", "n", "kept"),
            *(["sink_share"] if sinks is not None else []),
            *(c for c in ("contrast_importance", "specificity", "specificity_rank") if c in shown),
            *(c for c in ("raced_out", "below_noise") if c in shown and shown[c].any()),
        ],
        column_config={
            "rank": st.column_config.NumberColumn("Rank", width="small"),
            "layer": st.column_config.NumberColumn("Layer", width="small"),
            "head": st.column_config.NumberColumn("Head", width="small"),
            "importance": st.column_config.ProgressColumn(
                "ΔL (nats)",
                format="%+.4f",
                min_value=0.0,
                max_value=float(max(shown["importance"].max(), 1e-9)),
            ),
            "stderr": st.column_config.NumberColumn("Std. error", format="%.4f"),
            "n": st.column_config.NumberColumn("Samples", width="small"),
            "kept": st.column_config.CheckboxColumn("Kept", width="small"),
            "sink_share": st.column_config.NumberColumn(
                "On first token, %",
                format="%.2f",
                help="Share of its attention that the head leaves on the first token, mean over "
                "the samples of validate sinks",
            ),
            "contrast_importance": st.column_config.NumberColumn("Contrast ΔL", format="%+.4f"),
            "specificity": st.column_config.NumberColumn("Specificity", format="%+.4f"),
            "specificity_rank": st.column_config.NumberColumn("Spec. rank", width="small"),
            "raced_out": st.column_config.CheckboxColumn("Raced out", width="small"),
            "below_noise": st.column_config.CheckboxColumn("Below noise", width="small"),
        },
    )


def sparsity(run: Run, heads: pd.DataFrame, choice: Choice) -> None:
    """The sorted curve, and in words how much of the total the set carries."""
    st.caption(together(sparsity_words(heads, choice.heads)))
    show_figure(
        figures.sorted_curve(heads, choice.heads, theme=theme()),
        key="sorted_curve",
        data=heads.sort_values("rank"),
        alt="Importance of heads sorted by rank",
    )


def sparsity_words(heads: pd.DataFrame, kept: Sequence[Head]) -> str:
    """How much of all that raises the loss the kept heads carry, and how many carry half of it."""
    positive = heads["importance"].clip(lower=0)
    ordered = positive.sort_values(ascending=False)
    total = ordered.sum()
    if not total > 0:
        return "No head raises the loss, so that there is nothing to have a share of."
    carried = positive[pd.MultiIndex.from_frame(heads[["layer", "head"]]).isin(kept)].sum() / total
    half = int((ordered.cumsum() < total / 2).sum()) + 1
    highest = "the highest" if half == 1 else f"the {half:,} highest"
    return (
        f"{count(len(kept), 'kept head')} {_carry(len(kept))} {percent(carried)} of all positive "
        f"ΔL; {highest} of {len(heads):,} {_carry(half)} half of it{_estimates(heads)}. Shaded: "
        "the kept heads."
    )


def _carry(number: int) -> str:
    return "carries" if number == 1 else "carry"


def _estimates(heads: pd.DataFrame) -> str:
    """What of the numbers rests on a pilot, for behind them."""
    raced = len(heads) - len(finalists(heads))
    return f" ({count(raced, 'raced-out head')} by pilot estimates)" if raced else ""


def layers(run: Run, heads: pd.DataFrame, choice: Choice) -> None:
    """Where in depth the effect lies."""
    st.caption(
        f"Above: the sum of ΔL over a layer's heads{_estimates(heads)}. Below: how many of them "
        "are kept."
    )
    show_figure(
        figures.layer_marginals(heads, choice.heads, theme=theme()),
        key="layer_marginals",
        data=figures.layer_table(heads, choice.heads),
        alt="Sum of importance and number of kept heads by layer",
    )


def stability(run: Run, heads: pd.DataFrame, choice: Choice) -> None:
    """Which heads around the cut would be in the set on another probe of the same kind."""
    n_kept = len(choice.heads)
    if not n_kept:
        st.caption(_NONE_KEPT)
        return
    probabilities = tables.membership(run, n_kept, choice.rank_by)
    rank = "rank" if choice.rank_by == "importance" else "specificity_rank"
    ranked = heads.sort_values(rank).head(min(len(heads), max(n_kept + 8, 16), 48))
    joined = ranked.merge(probabilities, on=["layer", "head"], how="left")
    again = tables.overlap(run, n_kept, choice.rank_by)
    sentence = overlap_sentence(again) if again else "Too few samples to say."
    best = f"the {count(n_kept, 'head')} of highest {choice.rank_by}"
    if is_top(heads, choice):
        where = "in the set"
    else:
        where = f"among {best}"
        sentence = (
            f"The heads kept are not {best}. This is about those, as any probe has them. {sentence}"
        )
    st.caption(
        f"{prose(sentence)} Right: share of the bootstraps of this very probe in which the head "
        f"is {where}. Dotted: the cut, in order of {choice.rank_by}. Filled: the kept heads."
    )
    show_figure(
        membership(joined, n_kept, kept=choice.heads, theme=theme()),
        key="membership",
        data=joined,
        alt="Importance with intervals and bootstrap probability of heads around the cut",
    )


def sources(run: Run, heads: pd.DataFrame, choice: Choice) -> None:
    """One map per probe source; two chosen give their difference as well."""
    table = tables.per_source(run)
    names = table.groupby("source", sort=False)["n"].max().sort_values(ascending=False).index
    if len(names) < 2:
        only = inline(names[0])
        st.caption(f"The probe has one source only ({only}): nothing to set side by side.")
        return
    chosen = st.multiselect(
        "Sources",
        list(names),
        default=list(names[:2]),
        max_selections=MAX_MAPS,
        key=f"map_sources_{run.path}",
        persist_state="session",
        help=f"Up to {MAX_MAPS}. Exactly two also show their difference.",
    )
    if not chosen:
        return
    raced = sorted(set(zip(heads["layer"], heads["head"], strict=True)) - set(finalists(heads)))
    show_figure(
        figures.source_maps(heads, table, chosen, raced=raced, theme=theme()),
        key="source_maps",
        data=table[table["source"].isin(chosen)],
        alt=f"Importance maps of {', '.join(chosen)}",
    )
    if raced:
        heads_out = count(len(raced), "head")
        st.caption(f"Faint and hatched: {heads_out} raced out on a pilot, estimates only.")
    n_kept = len(choice.heads)
    if not n_kept:
        st.caption(f"{_NONE_KEPT} So there are no sets to compare between sources.")
        return
    pairs = tables.source_agreement(run, n_kept)
    of = f" of the {len(heads) - len(raced):,} measured on the whole probe" if raced else ""
    st.caption(
        "How far sources agree on the heads: rank correlation of the maps, and overlap of the best "
        f"{count(n_kept, 'head')}, the number kept here{of}. Few samples a source make any two "
        "sources look apart."
    )
    st.dataframe(
        pairs.assign(overlap=pairs["overlap"].map(percent), chance=pairs["chance"].map(percent)),
        hide_index=True,
        key="agreement",
        column_config={
            "source_a": "Source",
            "source_b": "and",
            "spearman": st.column_config.NumberColumn("Spearman", format="%+.2f"),
            "n_a": st.column_config.NumberColumn("Samples", help="Of the first source"),
            "n_b": st.column_config.NumberColumn("and ", help="Of the second source"),
            "overlap": st.column_config.TextColumn("Overlap", alignment="right"),
            "chance": st.column_config.TextColumn(
                "Chance",
                help="Overlap of two sets of this size drawn blindly",
                alignment="right",
            ),
            "shared": st.column_config.NumberColumn("Heads shared"),
        },
    )


def sinks(run: Run, heads: pd.DataFrame, choice: Choice) -> None:
    """Whether heads that matter are those that park attention on the first token."""
    shares = tables.sink_shares(run)
    if shares is None:
        st.caption("Not measured yet: how much attention each head leaves on the first token.")
        link_to("evidence", "Measure it on the Evidence page", icon=":material/arrow_forward:")
        words = ["validate", "--run", str(run.path), "sinks"]
        show_commands("The same by command", as_typed(words), key="sinks_command")
        return
    joined = heads.merge(shares, on=["layer", "head"])
    rho = spearman(joined["importance"].to_numpy(), joined["sink_share"].to_numpy())
    low, high = spearman95(rho, len(joined))
    st.caption(
        together(
            f"{mean_sinks(joined, choice.heads)} Spearman of ΔL with this share over "
            f"{count(len(joined), 'head')}{_estimates(heads)}: {signed(rho)} (95 % interval "
            f"{signed(low)} to {signed(high)})."
        )
    )
    show_figure(
        importance_by_sink(joined, choice.heads, theme=theme()),
        key="sink_shares",
        data=joined,
        alt="ΔL of every head against its share of attention on the first token",
    )


def mean_sinks(heads: pd.DataFrame, kept: Sequence[Head]) -> str:
    """How much attention goes to the first token, from kept heads and others where there are."""
    ours = pd.MultiIndex.from_frame(heads[["layer", "head"]]).isin(kept)
    shares = heads["sink_share"].groupby(ours).mean()
    end = "of their attention on the first token"
    if len(shares) < 2:
        return f"On average the heads leave {percent(heads['sink_share'].mean())} {end}."
    own, others = percent(shares[True]), percent(shares[False])
    return f"On average the kept heads leave {own} {end}, the others {others}."


def compare(run: Run, heads: pd.DataFrame, choice: Choice) -> None:
    """Another run beside this one: another model, or another probe."""
    others = [key for key in run_keys() if key != st.session_state["run_key"]]
    if not others:
        st.caption(
            "There is only one run. A second one, of another model or probe, can be set beside it."
        )
        return
    if st.session_state.get("other") not in [None, *others]:
        del st.session_state["other"]
    other = st.selectbox(
        "Compare with", others, key="other", bind="query-params", width=320, format_func=run_label
    )
    compare_with(run, heads, choice, other)
