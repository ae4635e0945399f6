"""The cost of a detection, told from what earlier detections really wrote."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from circuitseer_core.detection.cost import (
    CPU_TOKENS_PARAMETERS,
    TOKENS_PER_SAMPLE,
    Estimate,
    ModelSize,
    detect_cost,
    model_size,
    noise_ahead,
    noise_passes,
    seconds_ahead,
)
from circuitseer_core.detection.detect import detect
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.runs import ownership
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


def test_only_a_run_of_this_machine_device_and_dtype_tells_its_pace(tmp_path: Path) -> None:
    run = measured(tmp_path, device="cpu")

    def how(run: Run, **machine: str) -> str:
        size = ModelSize(2, 8, 1e6)
        options = {"probe_size": 6, "mode": "exact", "contrast": False, "runs": [run]} | machine
        return detect_cost(size, model=run.model.id, **options).how

    assert how(run, device="cpu") == how(run, device="cpu", dtype="fp32") == "before"
    assert how(run) == "guess", "what the machine would choose now is not known"
    assert how(run, device="cpu", dtype="bf16") == how(run, device="cuda") == "guess"
    assert how(run, device="cpu", devices="cpu:2") == "guess"
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    assert how(Run.open(copy), device="cpu") == "guess"
    ownership.adopt(copy)
    assert ownership.is_own(copy) and how(Run.open(copy), device="cpu") == "guess"
    ownership.adopt(run.path)
    assert how(run, device="cpu") == "before", "it is no less this machine's own"


def test_time_left_counts_all_that_is_to_come() -> None:
    heads = SimpleNamespace(heads=[(0, h) for h in range(10)])
    plain = DetectSettings(model="m", probe=["p"], probe_size=12)
    contrast = plain.model_copy(update={"contrast": ["c"]})

    def passes(settings: DetectSettings, of: str = "probe") -> float:
        return seconds_ahead(settings, heads, 100, of)(1.0)  # type: ignore[arg-type]

    noise = noise_passes(12)
    assert noise == 2 * (8 + 16 / 2) and passes(plain) == 12 * 10 / 2 + noise
    assert passes(contrast, "contrast") == 2 * 12 * 10 / 2 + noise
    assert passes(contrast) == passes(contrast, "contrast") + 12, "the contrast's clean losses"
    assert noise_ahead(12, 2)(4.0) == 2 * noise * 2 / 4.0


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
