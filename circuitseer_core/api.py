"""The verbs of a notebook: every command of the command line as a function with loose options.
(``data`` is called :func:`survey` here.)

Where a run is asked for, its folder or an opened run will do; where heads are, a rule as on the
command line (``"0.05"``, ``14``, ``"lcb"``), pairs such as ``[(18, 8)]``, or rows of
``run.heads()``. Failures a person can mend are ``UserError``, wrong types of arguments among them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from circuitseer_core.arguments import a_path, a_text, several_texts
from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.detection.head_map import HeadMap
from circuitseer_core.detection.heads import SHARE
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import UserError
from circuitseer_core.installation import require_extra
from circuitseer_core.notebook.run import NotebookRun
from circuitseer_core.runs.any_run import AnyRun, adopt, place
from circuitseer_core.runs.calibration_records import CalibrationRecord
from circuitseer_core.runs.cluster_records import ClusterRecord
from circuitseer_core.runs.commands import checked
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.survey_settings import SurveySettings
from circuitseer_core.scoring.cluster_settings import ClusterSettings
from circuitseer_core.scoring.import_scores import ImportSettings
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.scoring.verbs import ablate, inspect
from circuitseer_core.selection.keep import save_selection
from circuitseer_core.selection.select import select
from circuitseer_core.sharing.verbs import pull_heads, push_heads
from circuitseer_core.stages import (
    run_calibration,
    run_clustering,
    run_detection,
    run_import,
    run_scoring,
)

if TYPE_CHECKING:
    from circuitseer_core.arms.record import ArmsRecord
    from circuitseer_core.data.survey import Survey
    from circuitseer_core.experiments import ExperimentResult
    from circuitseer_core.export.formats import Format
    from circuitseer_core.export.verify import VerifyResult
    from circuitseer_core.export.write import Exported
    from circuitseer_core.runs.integrity import RunCheck

__all__ = [
    "ablate", "adopt", "arms", "calibrate", "cluster", "detect", "export", "import_scores",
    "inspect", "load_run", "pull_heads", "push_heads", "report", "save_selection", "score",
    "select", "survey", "validate", "verify",
]  # fmt: skip


def load_run(path: AnyRun) -> NotebookRun:
    """Open a run folder. Raises UserError where ``path`` is none."""
    return NotebookRun.open(place(path))


def survey(
    data: str | Sequence[str], *, model: str | os.PathLike[str] | None = None, **settings: Any
) -> Survey:
    """What would be read of data, before a model is loaded (``data`` on the command line).

    Args:
        data: DATA specs, as on the command line.
        model: one whose tokenizer says how long rows are, in tokens; else they are in characters.
        settings: fields of :class:`circuitseer_core.runs.survey_settings.SurveySettings`:
            ``limit``, ``max_length``, ``prompt_field``, …

    Returns:
        ``files`` (each with its ``columns`` and how they are read), ``rows``, ``samples``,
        ``rejects`` with ``reasons``, ``duplicates``, ``probe`` (samples that could serve in one),
        ``sources``, ``lengths`` and more.

    Raises:
        UserError: data that cannot be read, or no such model.
    """
    from circuitseer_core.data.fields import Fields
    from circuitseer_core.model.data_survey import survey_data

    named = None if model is None else a_text("model", os.fspath(model))
    asked = checked(SurveySettings, model=named, **settings)
    return survey_data(
        several_texts("data", data),
        Fields.of(asked),
        model=asked.model,
        revision=asked.revision,
        max_length=asked.max_length,
        limit=asked.limit,
    )


def detect(
    run: AnyRun, *, model: str | os.PathLike[str], probe: str | Sequence[str], show: bool = True,
    **settings: Any,
) -> NotebookRun:  # fmt: skip
    """Stage 1 into the run folder ``run``; the table is ``result.heads()``.

    Args:
        run: the folder to make, or one to go on in.
        model, probe: a model and DATA specs, as on the command line.
        show: progress bars.
        settings: any field of :class:`circuitseer_core.detection.settings.DetectSettings`:
            ``probe_size``, ``mode``, ``contrast``, ``max_length``, …

    Raises:
        UserError: bad data or model, an option out of range, or a run made with other settings.
    """
    folder = place(run)
    if "contrast" in settings:
        settings["contrast"] = several_texts("contrast", settings["contrast"])
    named = str(model) if isinstance(model, os.PathLike) else model
    asked = checked(DetectSettings, model=named, probe=several_texts("probe", probe), **settings)
    run_detection(folder, asked, command=f"circuitseer_core.detect({str(folder)!r}, …)", show=show)
    return NotebookRun.open(folder)


def score(
    run: AnyRun, *, data: str | Sequence[str], heads: Any = SHARE, show: bool = True,
    **settings: Any,
) -> pd.DataFrame:  # fmt: skip
    """Stage 2; returns a row a sample: id, source, token counts, a column a scorer.

    Texts and attention profiles stay in the run (``run.scores(columns=[…])``).

    Args:
        data: DATA specs, as on the command line.
        heads: which heads: a share, a count, ``lcb``, ``bh``, pairs (layer, head), rows of
            ``run.heads()``, or a map that ``pull_heads`` returned (its default share).
        show: progress bars.
        settings: any field of :class:`circuitseer_core.scoring.settings.ScoreSettings`: ``name``,
            ``text``, ``baselines``, ``max_length``, …

    Raises:
        UserError: no detection yet, bad data, or another setting under the same name.
    """
    folder = place(run)
    if isinstance(heads, HeadMap):
        heads, settings = SHARE, {"heads_from": str(heads.path), **settings}
    asked = checked(ScoreSettings, data=several_texts("data", data), heads=heads, **settings)
    run_scoring(folder, asked, command=f"circuitseer_core.score({str(folder)!r}, …)", show=show)
    return Run.open(folder).scores(asked.name)


def import_scores(run: AnyRun, files: str | Sequence[str], **settings: Any) -> list[str]:
    """Join scores that were made elsewhere to a scoring; returns what was joined and what was not.

    Args:
        files: DATA specs of rows with ids or prompts, and numbers.
        settings: fields of :class:`circuitseer_core.scoring.import_scores.ImportSettings`.

    Raises:
        UserError: a file cannot be read, a name is taken, or nothing could be joined.
    """
    asked = checked(ImportSettings, **settings)
    return run_import(place(run), several_texts("files", files), asked)[1]


def export(
    run: AnyRun, out: str | os.PathLike[str], *, selection: str | None = None,
    format: Format | None = None, push: str | None = None, everything: bool = False,
    scoring: str = "default", keep_formulas: bool = False,
) -> Exported:  # fmt: skip
    """Write a selection out, with its manifest and dataset card beside it.

    Args:
        out: a file, or a folder.
        selection: which; the newest by default.
        everything, scoring: every scored row of this scoring with every score, no selection.
        format: what ``out`` ends in by default, else ``jsonl``.
        push: a Hub dataset repository, ``owner/name``, to put it into as well.
        keep_formulas: in CSV, cells that a spreadsheet would run stay as they are.

    Raises:
        UserError: no such selection or format, texts are missing, the target is not ours to replace
            or cannot be written, or the Hub refuses.
    """
    from circuitseer_core.export.write import export as write
    from circuitseer_core.export.write import export_all

    opened, target = Run.open(place(run)), a_path("out", out)
    named = None if selection is None else a_text("selection", selection)
    repository = None if push is None else a_text("push", push)
    if not everything:
        return write(opened, named, target, format, repository, keep_formulas=keep_formulas)
    if named is not None:
        raise UserError("give a selection or everything, not both")
    of = a_text("scoring", scoring)
    return export_all(opened, of, target, format, repository, keep_formulas=keep_formulas)


def verify(
    path: str | os.PathLike[str] | None = None, *, run: AnyRun | None = None
) -> VerifyResult | RunCheck:
    """Derive an exported subset again from its manifest, or check a run's own files.

    Args:
        path: the exported file or folder; without it the tables of ``run`` are checked.
        run: the run, where it is no longer where the manifest says.

    Returns ``ok``, and what differs (``messages``) or is damaged.

    Raises:
        UserError: there is nothing at ``path``, or no manifest by it.
    """
    from circuitseer_core.export.verify import verify as check
    from circuitseer_core.runs.integrity import check_run

    if path is not None:
        return check(a_path("path", path), None if run is None else place(run))
    if run is None:
        raise UserError("say what to verify: an exported file or folder, or run=")
    return check_run(Run.open(place(run)).path)


def validate(
    run: AnyRun, experiment: str, **options: Any
) -> ExperimentResult | list[ExperimentResult]:
    """Run a validation experiment; its result is kept in the run.

    Args:
        experiment: one of ``circuitseer_core.experiments.EXPERIMENTS``, or ``all`` for those that
            the run can afford.
        options: of the experiment; a run (``other=``) or several (``others=[…]``) may be given as
            folders or opened.

    Returns ``title``, ``verdict``, ``outcome`` and ``table``; of ``all`` a list of them, whose
    ``left_out`` says what was not run (``name``, ``why``, ``seconds``).

    Raises:
        UserError: no such experiment or option, or a stage that it needs has not been run.
    """
    from circuitseer_core.experiments import ALL, experiment_of
    from circuitseer_core.experiments.affordable import Afforded, run_affordable
    from circuitseer_core.experiments.experiment import plain_option

    opened = Run.open(place(run))
    plain = {name: plain_option(value) for name, value in options.items()}
    if experiment == ALL:
        return Afforded(*run_affordable(opened, **plain))
    return experiment_of(experiment).run(opened, **plain)


def calibrate(
    run: AnyRun, *, show: bool = True, replace: bool = False, **settings: Any
) -> CalibrationRecord:
    """Fit every head's readings to a measure of difficulty of your own (beyond the paper).

    Args:
        show: progress bars.
        replace: another fit of the same name gives way; else it is refused.
        settings: any field of :class:`circuitseer_core.calibration.settings.CalibrateSettings`:
            ``target``, ``scores``, ``heads_at_most``, …

    Raises:
        UserError: no head readings (``score(…, head_features=True)``), no such target, too few
            rows, or another fit of this name.
    """
    folder = place(run)
    asked = checked(CalibrateSettings, **settings)
    command = f"circuitseer_core.calibrate({str(folder)!r}, …)"
    return run_calibration(folder, asked, command=command, show=show, replace=replace)


def cluster(
    run: AnyRun, *, show: bool = True, replace: bool = False, **settings: Any
) -> ClusterRecord:
    """Group a scoring's prompts by kind, by the model's own hidden states.

    ``select(run, stratify="equal", stratify_by="circuitseer_cluster")`` then keeps all kinds.

    Args:
        show: progress bars.
        replace: whether clusters that shared the budget of a draw may give way to others.
        settings: fields of :class:`circuitseer_core.scoring.cluster_settings.ClusterSettings`:
            ``clusters``, ``scores``, ``max_length``, ``seed``, …

    Returns the record: ``clusters``, from the largest, each with ``rows`` and telling ``words``.

    Raises:
        UserError: no finished scoring, no prompts at hand, fewer of them than clusters, or a draw
            needs the clusters there are.
    """
    folder = place(run)
    asked = checked(ClusterSettings, **settings)
    command = f"circuitseer_core.cluster({str(folder)!r}, …)"
    return run_clustering(folder, asked, command=command, show=show, replace=replace)


def arms(
    run: AnyRun, out: str | os.PathLike[str], *, show: bool = True, **settings: Any
) -> ArmsRecord:
    """The subsets that a draw has to beat, at one budget, as chat messages.

    Args:
        out: the folder to write: a file an arm, arms.json, and settings of trainers.
        show: progress bars.
        settings: fields of :class:`circuitseer_core.arms.settings.ArmsSettings`: ``arms``,
            ``scores``, ``share``, ``tokens``, ``seeds``, …

    Returns the record: ``budget``, ``arms`` (each with its label, rows, tokens and file), …

    Raises:
        UserError: no such scoring or arm, the budget cannot be met, or no row has a response.
    """
    from circuitseer_core.arms.build import build_arms

    for name in ("arms", "exclude"):
        if name in settings:
            settings[name] = several_texts(name, settings[name])
    folder, target = place(run), a_path("out", out)
    asked = checked(ArmsSettings, **settings)
    command = f"circuitseer_core.arms({str(folder)!r}, {str(target)!r}, …)"
    return build_arms(Run.open(folder), target, asked, command=command, show=show)


def report(
    run: AnyRun, out: str | os.PathLike[str], *, scoring: str | None = None,
    scorer: str | None = None, selection: str | None = None,
) -> Path:  # fmt: skip
    """One self-contained HTML page about a run; returns its path.

    Args:
        out: the HTML file.
        scoring: which scoring; ``default``, else the first there is.
        scorer: which scorer; the newest selection's, else ``variance``.
        selection: which selection, with its scoring and scorer.

    Raises:
        UserError: no such scoring, scorer or selection, or the file cannot be written there.
    """
    require_extra("app", "the report", "plotly")
    from circuitseer_core.report.report import report as write

    asked = {"scoring": scoring, "scorer": scorer, "selection": selection}
    return write(Run.open(place(run)), a_path("out", out), **asked)
