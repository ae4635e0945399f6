"""One card an experiment: question, outcome, verdict, figures, table, and running it (again)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from circuitseer_core.arms.record import run_arms
from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS, saved_results, saved_table
from circuitseer_core.experiments.affordable import DEFAULT
from circuitseer_core.experiments.experiment import Experiment, default_words
from circuitseer_core.report.experiment_figures import drawn
from circuitseer_core.runs.experiment_records import ExperimentRecord, Outcome
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.option_lists import joined
from circuitseer_core.wording import duration
from ui.evidence.running import other_scoring, start
from ui.shell import run_keys, run_path
from ui.widgets import wishes
from ui.widgets.charts import show_figure, theme
from ui.widgets.markdown import inline, literal, prose
from ui.widgets.scoring_choice import scoring_in_view
from ui.words import ago

OUTCOMES: dict[str, tuple[Any, str]] = {
    "found": ("blue", "Evidence found"),
    "no evidence": ("orange", "No evidence"),
    "inconclusive": ("gray", "Inconclusive"),
}
LONG = 320
"""Characters up to which a verdict is one paragraph."""
_OTHERS = {"other", "others"}
"""Options that name runs, of experiments that compare some."""
_ARMS = "arms"
"""The option that names a folder of comparison arms."""
_DONE, _OPEN = "Answered", "Not asked yet"


@dataclass(frozen=True)
class Card:
    """A result, or an experiment without one.

    ``key``: of the card and what stands in it; ``scoring``: which the answer is or would be of,
    None where an experiment asks for none.
    """

    key: str
    experiment: Experiment | None
    scoring: str | None
    record: ExperimentRecord | None = None


def sections(run: Run) -> dict[str, list[Card]]:
    """Results, those of the scoring in view first, then newest first; then what was not asked."""
    in_view = scoring_in_view(run) or DEFAULT
    kept = sorted(saved_results(run), key=lambda record: record.finished or "", reverse=True)
    done = [_answered(record) for record in kept]
    done.sort(key=lambda one: one.scoring not in (None, in_view))
    answered = {(one.experiment.name, one.scoring) for one in done if one.experiment}
    keys = {one.key for one in done}
    rest = []
    for name, experiment in EXPERIMENTS.items():
        scoring = in_view if experiment.takes("scores") else None
        if (name, scoring) not in answered:
            rest.append(Card(f"{name}_{in_view}" if name in keys else name, experiment, scoring))
    return {title: cards for title, cards in ((_DONE, done), (_OPEN, rest)) if cards}


def _answered(record: ExperimentRecord) -> Card:
    experiment = EXPERIMENTS.get(record.of)
    takes = experiment is not None and experiment.takes("scores")
    scoring = str(record.options.get("scores") or DEFAULT) if takes else None
    return Card(record.name, experiment, scoring, record)


def card(run: Run, shown: Card, can_run: bool) -> None:
    """One card; ``can_run``: whether a job may be started now."""
    record, experiment = shown.record, shown.experiment
    with st.container(border=True, key=f"card_evidence_{shown.key}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            question = record.title if record else _question(experiment)
            st.markdown(f"**{inline(question)}**", width="content")
            if record and record.outcome:
                colour, word = OUTCOMES[record.outcome.state]
                st.badge(word, color=colour)
            elif record:
                describes = experiment is not None and experiment.describes
                st.badge("Description" if describes else "No verdict", color="gray")
            if record and record.name != record.of:
                st.caption(literal(record.name), width="content")
            if shown.scoring and (shown.scoring != DEFAULT or len(run.scorings()) > 1):
                st.caption(f"of the scoring “{inline(shown.scoring)}”", width="content")
        if record and record.outcome:
            st.caption(prose(_measured(record.outcome)))
        elif record:
            st.caption(_why_none(experiment))
        if record:
            _result(run, record)
        if experiment is not None:
            _again(run, experiment, record, can_run, shown.key)


def _why_none(experiment: Experiment | None) -> str:
    """Why a result has no outcome."""
    if experiment is not None and experiment.describes:
        return "This describes and judges nothing: no interval could answer it with yes or no."
    return "Kept without a verdict, by an older version or for lack of data: run it again."


def _question(experiment: Experiment | None) -> str:
    """Its description as a question, less what is said for those who type commands."""
    text = re.sub(r" \([^()]*\)$", "", experiment.description) if experiment else ""
    return f"{text[:1].upper()}{text[1:]}?"


def _result(run: Run, record: ExperimentRecord) -> None:
    first, *rest = _sentences(record.verdict)
    st.markdown(prose(first))
    if rest:
        st.markdown("\n".join(f"- {prose(sentence)}" for sentence in rest))
    table = saved_table(run, record)
    figures = [(plot, fig) for plot in record.plots if (fig := drawn(plot, table, theme()))]
    if not record.plots:
        st.caption("Kept before figures were: run it again to have it drawn.")
    for plot, figure in figures[:1]:
        st.caption(literal(plot.caption))
        show_figure(figure, f"evidence_{record.name}_0", table, alt=plot.caption)
    more = st.expander(
        "The table" if len(figures) < 2 else "More figures, and the table",
        key=f"more_{record.name}",
        on_change="rerun",
    )
    if more.open:
        with more:
            for number, (plot, figure) in enumerate(figures[1:], start=1):
                st.caption(literal(plot.caption))
                show_figure(figure, f"evidence_{record.name}_{number}", table, alt=plot.caption)
            _table(table, record.name)


def _measured(outcome: Outcome) -> str:
    """What the answer rests on, with its interval; the badge has the word for it."""
    text = outcome.measured(shares=outcome.measure.startswith("share "))
    return f"{text[:1].upper()}{text[1:]}"


def _sentences(verdict: str) -> list[str]:
    """A verdict as it is, or a long one cut where a sentence ends: a wall of text is not read."""
    if len(verdict) <= LONG:
        return [verdict]
    return re.split(r"(?<=[.)]\.) (?=[A-Za-zτ])|(?<=[a-z\d%]\.) (?=[A-Za-zτ])", verdict)


def _table(table: pd.DataFrame, name: str) -> None:
    if table.empty:
        st.caption("The table of this result cannot be read.")
        return
    st.dataframe(table, hide_index=True, key=f"table_{name}", alt=f"All numbers of {name}")


def _again(
    run: Run, experiment: Experiment, record: ExperimentRecord | None, can_run: bool, name: str
) -> None:
    """The button that runs it, its options, and about how long it takes; ``name``: of its keys."""
    with st.container(horizontal=True, vertical_alignment="center", key=f"again_{name}"):
        st.button(
            "Run again" if record else "Run",
            icon=":material/refresh:" if record else ":material/play_arrow:",
            key=f"run_{name}",
            disabled=not can_run,
            on_click=wishes.leave,
            args=[f"run_{name}"],
        )
        with st.popover("Options", icon=":material/tune:", type="tertiary", key=f"options_{name}"):
            options = _options(run, experiment, record, name)
        st.caption(literal(_about(run, experiment, record, options)), width="content")
    if wishes.granted(f"run_{name}"):
        start(run, experiment.name, options)
        st.rerun()


def _options(
    run: Run, experiment: Experiment, record: ExperimentRecord | None, name: str
) -> dict[str, str]:
    """What is typed into the experiment's options for this run; an empty field is its default."""
    stored: Mapping[str, Any] = record.options if record else {}
    typed: dict[str, str] = {}
    for option, field in experiment.fields().items():
        key = f"option_{name}_{option}_{run.path}"
        hint = "needed" if field.is_required() else default_words(field)
        label, about = option.replace("_", " "), literal(field.description or "")
        if experiment.needs_other and option in _OTHERS:
            value = _runs(label, about, key, several=option == "others")
        elif option == _ARMS:
            value = _arms(run, label, about, key, stored.get(option))
        else:
            before = as_typed(stored.get(option))
            if record is None and option == "scores":
                before = other_scoring(run)
                key = f"{key}_{before}"  # the field of another scoring in view is another one
            value = st.text_input(
                label, before, placeholder=hint, key=key, help=about, persist_state="session"
            )
        if value and value.strip():
            typed[option] = value.strip()
    return typed


def as_typed(value: Any) -> str:
    """An option as it is typed, whether a command gave it or Python did, which may give a list."""
    if value is None:
        return ""
    return joined(value) if isinstance(value, list | tuple) else str(value)


def _arms(run: Run, label: str, about: str, key: str, before: str | None) -> str | None:
    """A folder of comparison arms: one of the run's own, or any that is typed."""
    folders = [str(folder) for folder in run_arms(run)]
    if before and before not in folders:
        folders.append(before)
    return st.selectbox(
        label, folders, index=folders.index(before) if before else None, key=key, help=about,
        placeholder="draw arms below, or type a folder", accept_new_options=True,
        persist_state="session",
    )  # fmt: skip


def _runs(label: str, about: str, key: str, several: bool) -> str | None:
    """A run's folder, or those of several with commas."""
    choices = [str(run_path(run)) for run in run_keys()]
    if several:
        return joined(st.multiselect(label, choices, key=key, help=about, persist_state="session"))
    return st.selectbox(label, choices, index=None, key=key, help=about, persist_state="session")


def _about(
    run: Run, experiment: Experiment, record: ExperimentRecord | None, options: dict[str, str]
) -> str:
    """About how long it takes, or what hinders it; and when it was run last."""
    try:
        seconds = experiment.estimated_seconds(run, **options)
    except (UserError, KeyError) as error:
        return f"set under Options: {error}"
    parts = ["time not known" if seconds is None else f"about {duration(_coarse(seconds))}"]
    if experiment.needs_model:
        parts.append("loads the model")
    if experiment.lacks_other(run) and not (_OTHERS & set(options)):
        parts.append("choose the other run under Options")
    if record is not None:
        parts.append(f"last run {ago(record.finished)}")
    return ", ".join(parts)


def _coarse(seconds: float) -> float:
    """No more precision than an estimate has."""
    step = 600 if seconds > 7200 else 60 if seconds > 180 else 5
    return max(step, round(seconds / step) * step)
