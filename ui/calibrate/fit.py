"""Choosing what to fit, and fitting it as a job of the run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import streamlit as st

from circuitseer_core.calibration.settings import VERDICTS, CalibrateSettings
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.hashing import short_hash
from circuitseer_core.json_io import json_object
from circuitseer_core.runs import jobs
from circuitseer_core.runs.columns import CALIBRATED, score_columns
from circuitseer_core.runs.commands import as_typed, checked, step
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.shapes import check_shards
from ui import judgements
from ui.widgets import wishes
from ui.widgets.markdown import inline, literal
from ui.widgets.settings_field import whole_number

_SAMPLED, _WORD = 200, 24
"""Rows that are looked at for columns; letters up to which a text may be a level."""
_NAME_LETTERS = 60
"""Of a target in the name of its calibration."""
_SCORING_LETTERS = 16
"""Of the scoring there; a longer name is hashed."""
_AS_SUFFIX = re.compile(r"-of-|-(?:\d+|within|[0-9a-f]{6})$")
"""What is put behind a target, in a target or a scoring itself."""


def scorings_with_readings(run: Run) -> list[str]:
    """Finished scorings of which single heads can be fitted."""
    usable = []
    for name in run.scorings():
        try:
            scoring = run.scoring(name)
        except UserError:
            continue
        if scoring.feature_heads and scoring.state == "done":
            usable.append(name)
    return usable


def targets(run: Run, scoring: str) -> list[str]:
    """What may be fitted: columns of the data (numbers first), scores, verdicts."""
    parts = run.score_parts(scoring)[:1]
    if not parts:
        raise UserError(f"{run.path}: scoring {scoring!r} has no shard")
    check_shards(parts)
    kept = pq.read_schema(parts[0]).names
    numbers: dict[str, None] = {}
    words: dict[str, None] = {}
    if "original" in kept:
        for text in _first_originals(parts[0]):
            for column, value in json_object(text).items():
                if isinstance(value, int | float):
                    numbers[column] = None
                elif isinstance(value, str) and len(value) <= _WORD:
                    words[column] = None
    own = [c for c in dict.fromkeys([*numbers, *words]) if c not in ("id", "source")]
    scores = [c for c in score_columns(kept) if c not in {CALIBRATED, "length", "random"}]
    return [*own, *scores, VERDICTS]


def _first_originals(part: Path) -> list[str | None]:
    """Texts of the first rows as they came. Raises UserError where they cannot be read."""
    try:
        with pq.ParquetFile(part) as parquet:
            batch = next(parquet.iter_batches(_SAMPLED, columns=["original"]), None)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{part} cannot be read: {one_line(error)}") from error
    return [] if batch is None else list(batch.column(0).to_pylist())


def explain() -> None:
    """What this page answers and what it takes, for a run without head readings."""
    st.subheader("Does any head follow what you call hard?", anchor=False)
    st.markdown(
        "1. **Readings.** Score with head readings: five numbers of every single head and sample.\n"
        "2. **Target.** A column of your data (a level, a step count, a pass rate), or your own "
        "verdicts of the blind review.\n"
        "3. **Fit.** The readings are fitted at fixed length and judged on rows that the fit did "
        "not see, beside a bag of words, random heads and permuted targets. The answer may be no; "
        "where it is yes, `calibrated` is a score like any other.",
        width=760,
    )


@wishes.answered("calibrate")
@wishes.answered("calibrate_anew")
def form(run: Run, names: list[str]) -> None:
    """The form: scoring, target, how many heads; one button."""
    status = jobs.status(run.path)
    with st.container(horizontal=True, vertical_alignment="bottom", key="calibrate_form"):
        scoring = st.selectbox("Scoring", names, key="calibrate_scores", width=180)
        target = st.selectbox(
            "Target",
            targets(run, scoring),
            key="calibrate_target",
            width=240,
            accept_new_options=True,
            help=CalibrateSettings.model_fields["target"].description,
        )
        most = whole_number(
            CalibrateSettings,
            "heads_at_most",
            "Heads at most",
            key="calibrate_heads",
            most=10_000,
            placeholder="all",
        )
        within = st.checkbox(
            "Within sources",
            key="calibrate_within",
            help=CalibrateSettings.model_fields["within_sources"].description,
        )
        name = calibration_name(target, most, within, scoring)
        fitted = name in run.calibrations()
        _button(name, fitted=fitted, disabled=status.live or not judgements.writable(run))
    if not judgements.offer_copy(run, "To fit, make a copy."):
        return
    try:
        settings = checked(
            CalibrateSettings,
            target=target,
            scores=scoring,
            heads_at_most=most,
            within_sources=within,
            name=name,
        )
    except UserError as error:
        st.warning(literal(str(error)), icon=":material/info:")
        return
    words = step("calibrate", run.path, settings, always=("name",))
    words += ["--replace"] if fitted else []
    if wishes.granted("calibrate_anew" if fitted else "calibrate"):
        _start(run, words, settings.name)
    with st.expander("Command", key="calibrate_command", on_change="rerun") as folded:
        if folded.open:
            st.code(as_typed(words), language="bash", wrap_lines=True)
    _show_fitted(run)


def _button(name: str, *, fitted: bool, disabled: bool) -> None:
    """The button that starts; where a fit of this name is kept it asks first."""
    look: dict[str, Any] = {"type": "primary", "icon": ":material/play_arrow:"}
    if not fitted:
        st.button(
            "Fit", key="calibrate_start", disabled=disabled,
            on_click=wishes.leave, args=["calibrate"], **look,
        )  # fmt: skip
        return
    with st.popover("Fit", key="replace_menu", disabled=disabled, **look):
        st.markdown(
            f"A fit is kept as “{inline(name)}”. This one would replace it, for good. To keep "
            "both, fit by the command line under another name."
        )
        st.button(
            "Replace and fit", key="calibrate_anew", type="primary", disabled=disabled,
            on_click=wishes.leave, args=["calibrate_anew"],
        )  # fmt: skip


def _start(run: Run, words: list[str], name: str) -> None:
    """Start the job."""
    try:
        jobs.start(run.path, [words])
    except UserError as error:
        st.error(literal(str(error)), icon=":material/error:")
    else:
        st.session_state["_fitting"] = name
        st.rerun()


def calibration_name(
    target: str | None, most: int | None, within: bool, scoring: str = "default"
) -> str:
    """A calibration's name from what it is: the target, and what sets it apart.

    Where letters of the target had to be left out, a hash of it tells it from others; so where it
    ends as what is put behind it does: a column ``level-3`` is not ``level`` with 3 heads.
    """
    typed = target or "target"
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", typed).lstrip("._-").rstrip(".-")[:_NAME_LETTERS]
    if plain != typed or _AS_SUFFIX.search(plain):
        plain = f"{plain or 'target'}-{short_hash(typed)[:6]}"
    short = len(scoring) <= _SCORING_LETTERS and not _AS_SUFFIX.search(scoring)
    of = scoring if short else short_hash(scoring)[:6]
    of = "" if scoring == "default" else f"-of-{of}"
    return plain + of + (f"-{most}" if most else "") + ("-within" if within else "")


def _show_fitted(run: Run) -> None:
    """Once the job of a fit has ended (the strip above follows it), put its result into view."""
    if jobs.status(run.path).live:
        return
    fitted = st.session_state.pop("_fitting", None)
    if fitted in run.calibrations():
        st.session_state["_next"] = {"calibration": fitted}
        st.rerun()
