"""The stages with settings that are already checked: what command line and library both call.

Each holds the run while it works. :mod:`circuitseer_core.api` takes loose options instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel

from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import Cancelled
from circuitseer_core.runs import jobs
from circuitseer_core.runs.calibration_records import CalibrationRecord
from circuitseer_core.runs.cluster_records import ClusterRecord
from circuitseer_core.runs.commands import as_python, as_typed, read_back, step
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.job_steps import rebuilt, require_harmless
from circuitseer_core.runs.progress import Progress, announce
from circuitseer_core.runs.records import ImportedScores, ScoringRecord
from circuitseer_core.runs.selection_records import SelectionRecord
from circuitseer_core.runs.stage import working
from circuitseer_core.scoring.cluster_settings import ClusterSettings
from circuitseer_core.scoring.import_scores import ImportSettings
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.wording import percent

_SHOWN_STRATA = 12
_SETTINGS: dict[str, type[BaseModel]] = {
    "detect": DetectSettings, "score": ScoreSettings, "calibrate": CalibrateSettings,
    "cluster": ClusterSettings, "import-scores": ImportSettings, "select": SelectionSettings,
    "arms": ArmsSettings,
}  # fmt: skip
"""What checks the options of a stage; an experiment's check themselves (runs/job_steps)."""


def check_foreign(steps: Iterable[Sequence[str]], run_path: Path) -> list[list[str]]:
    """The steps of somebody else's job, bound to ``run_path``: each is a stage's, and harmless.

    Raises UserError, one line, for any that the stage's settings class does not know, or that may
    run code.
    """
    bound = rebuilt(steps, run_path)
    require_harmless(bound)
    for stage, _, _, *words in bound:
        if stage == "import-scores" and "--" in words:  # files follow
            words = words[: words.index("--")]
        if stage in ("calibrate", "cluster", "select"):  # an option of the command alone
            words = [word for word in words if word != "--replace"]
        if stage == "arms":  # the last two are where rebuilt puts them
            words = words[:-2]
        if stage in _SETTINGS:
            read_back(_SETTINGS[stage], words)
    return bound


def adopt_job(run_path: Path) -> None:
    """Take a foreign run over and start its job again, which somebody has read.

    Raises UserError as ``check_foreign`` and ``jobs.resume``.
    """
    check_foreign(jobs.status(run_path).steps, run_path)
    jobs.resume(run_path, adopt=True)


def run_detection(
    run: str | Path, settings: DetectSettings, *, command: str | None = None, show: bool = True
) -> Run:
    """Stage 1 with these settings; a run that failed before it held anything is removed again."""
    from circuitseer_core.detection.detect import detect as measure
    from circuitseer_core.detection.resume import kept

    folder = Run.create(run)
    with working(folder, "detect", command, discard_empty=True):
        try:
            measure(folder, settings, show=show)
        except (KeyboardInterrupt, Cancelled) as stop:
            raise Cancelled(kept(folder)) from stop
        with folder.editing() as record:
            if record.detect is not None:
                record.detect.command = as_typed(step("detect", folder.path, settings))
                record.detect.python = as_python("detect", folder.path, settings)
    return folder


def run_scoring(
    run: str | Path, settings: ScoreSettings, *, command: str | None = None, show: bool = True
) -> ScoringRecord:
    """Stage 2 with these settings; returns settings.json of the scoring."""
    from circuitseer_core.scoring.score import score as measure
    from circuitseer_core.scoring.shards import kept

    folder = Run.open(run)
    with working(folder, "score", command):
        try:
            record = measure(folder, settings, progress=show)
        except (KeyboardInterrupt, Cancelled) as stop:
            raise Cancelled(kept(folder.scores_dir(settings.name))) from stop
        if settings.calibration is not None:
            from circuitseer_core.calibration.scorer import apply_calibration

            announce(folder, "score", "Applying the calibration")
            record = apply_calibration(folder, settings.calibration, settings.name)
        return record


def run_calibration(
    run: str | Path,
    settings: CalibrateSettings,
    *,
    command: str | None = None,
    show: bool = True,
    replace: bool = False,
) -> CalibrationRecord:
    """Fit head readings to a measure of difficulty, or (``settings.apply``) apply such a fit;
    returns calibration.json. Beyond the paper.

    Raises UserError where the name belongs to a fit with other settings or of another target,
    unless ``replace``.
    """
    from circuitseer_core.calibration.calibrate import calibrate
    from circuitseer_core.calibration.scorer import apply_calibration

    folder = Run.open(run)
    with working(folder, "calibrate", command):
        if settings.apply is None:
            return calibrate(folder, settings, show=show, replace=replace)
        announce(folder, "calibrate", "Applying the calibration")
        apply_calibration(folder, settings.name, settings.apply)
        return folder.calibration(settings.name)


def run_clustering(
    run: str | Path,
    settings: ClusterSettings,
    *,
    command: str | None = None,
    show: bool = True,
    replace: bool = False,
) -> ClusterRecord:
    """Group a scoring's prompts; returns clusters.json.

    Raises UserError where a draw needs the clusters that it has, unless ``replace``.
    """
    from circuitseer_core.scoring.clusters import cluster

    folder = Run.open(run)
    with working(folder, "cluster", command):
        return cluster(folder, settings, show=show, replace=replace)


def run_import(
    run: str | Path,
    files: Sequence[str],
    settings: ImportSettings,
    *,
    command: str | None = None,
) -> tuple[ImportedScores, list[str]]:
    """Join scores that were made elsewhere; returns the record and what to tell a person."""
    from circuitseer_core.scoring.import_scores import IMPORT_STEPS
    from circuitseer_core.scoring.import_scores import import_scores as join

    folder = Run.open(run)
    with (
        working(folder, "import-scores", command),
        Progress(
            folder, "import-scores", IMPORT_STEPS, unit="steps", show=False,
            phase="Reading the scoring",
        ) as progress,
    ):  # fmt: skip
        return join(folder, files, settings, progress)


def run_selection(
    run: str | Path,
    settings: SelectionSettings,
    *,
    command: str | None = None,
    replace: bool = False,
) -> SelectionRecord:
    """Stage 3 with these settings; returns selection.json.

    Raises UserError where the name belongs to a draw with other settings or of other rows, unless
    ``replace``.
    """
    from circuitseer_core.selection.select_run import SELECT_STEPS, refuse_other, select_run

    folder = Run.open(run)
    if not replace:
        refuse_other(folder, settings)
    with (
        working(folder, "select", command),
        Progress(
            folder, "select", SELECT_STEPS, unit="steps", show=False, phase="Reading the scores"
        ) as progress,
    ):
        return select_run(folder, settings, progress, replace=replace)


def decision(run: str | Path, selection: SelectionRecord) -> str:
    """The go/no-go sentence of a selection: is it anything but length and any heads."""
    from circuitseer_core.selection.go_no_go import go_no_go

    return go_no_go(Run.open(run), selection).sentence


def removals(run: str | Path, selection: SelectionRecord) -> list[str]:
    """What decontamination and near-duplicates took out, one sentence each, and where it is told;
    how strata of another column share the subset."""
    from circuitseer_core.selection.removals import REMOVED_FILE, removal_lines

    lines = removal_lines(selection.removals)
    if selection.removals is not None and selection.removals.rows:
        lines.append(f"removed: {Run.open(run).selection_dir(selection.name) / REMOVED_FILE}")
    strata = selection.diagnostics.strata if selection.diagnostics else []
    for stratum in strata[:_SHOWN_STRATA]:
        before, after = percent(stratum.pool_share, 1), percent(stratum.share, 1)
        lines.append(f"{stratum.value}: {before} → {after}")
    if len(strata) > _SHOWN_STRATA:
        lines.append(f"and {len(strata) - _SHOWN_STRATA} more values, in selection.json")
    return lines
