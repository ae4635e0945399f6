"""The cost of a detection, told from what earlier detections really wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitseer_core.detection.cost import (
    CPU_TOKENS_PARAMETERS,
    TOKENS_PER_SAMPLE,
    Estimate,
    ModelSize,
    detect_cost,
    model_size,
)
from circuitseer_core.detection.detect import detect
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.stage import working
from tests.support.data_files import write_data
from tests.support.tiny_models import save_tiny

POOL = 12


def measured(folder: Path, **options: object) -> Run:
    """A detection on a tiny model, by the stage itself."""
    data = str(write_data(folder / "data.jsonl"))
    model = str(save_tiny(folder / "model", "llama"))
    run = Run.create(folder / "run")
    settings = DetectSettings(model=model, probe=[data], probe_size=6, probe_pool=POOL, **options)
    with working(run, "detect"):
        detect(run, settings, show=False)
    return Run.open(run.path)


def estimate(run: Run, *, probe_size: int, mode: str, contrast: bool = False) -> Estimate:
    model = run.model.id
    size = model_size(model, [run])
    assert size is not None
    return detect_cost(
        size, model=model, probe_size=probe_size, mode=mode, contrast=contrast, runs=[run],
        probe_pool=POOL,
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["exact", "racing"])
def test_the_estimate_of_the_same_detection_is_what_it_took(tmp_path: Path, mode: str) -> None:
    run = measured(tmp_path, mode=mode)
    cost = estimate(run, probe_size=6, mode=mode)
    assert cost.how == "before" and cost.evaluations == run.detection.evaluations
    assert cost.seconds == pytest.approx(run.record.seconds["detect"])


@pytest.mark.parametrize("mode", ["exact", "racing"])
def test_a_contrast_set_runs_the_same_rounds_again(tmp_path: Path, mode: str) -> None:
    data = str(write_data(tmp_path / "contrast.jsonl"))
    run = measured(tmp_path, mode=mode, contrast=[data])
    cost = estimate(run, probe_size=6, mode=mode, contrast=True)
    assert cost.evaluations == run.detection.evaluations
    assert cost.seconds == pytest.approx(run.record.seconds["detect"])


def test_a_detection_that_was_stopped_tells_nothing(tmp_path: Path) -> None:
    run = measured(tmp_path)
    with run.editing() as record:
        assert record.detect is not None
        record.detect.evaluations = None
    assert estimate(run, probe_size=6, mode="exact").how == "guess"


def test_candidates_count_as_the_forward_passes_they_are() -> None:
    size = ModelSize(2, 8, 1e6)

    def seconds(**changes: object) -> float:
        options = {"probe_size": 10, "mode": "exact", "contrast": False, "runs": []} | changes
        estimated = detect_cost(size, model="m", **options).seconds
        assert estimated is not None
        return estimated

    per_pass = TOKENS_PER_SAMPLE * size.parameters / CPU_TOKENS_PARAMETERS
    assert seconds(probe_pool=110) - seconds(probe_pool=10) == pytest.approx(100 * per_pass)
    assert seconds(probe_pool=110, criterion="random") == seconds(probe_pool=10)
