"""The stage: files, kills and resumption, racing, contrast, refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from circuitseer_core.detection import parts
from circuitseer_core.detection.cost import FORWARDS_PER_EVALUATION, noise_passes
from circuitseer_core.detection.detect import detect
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import UserError
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.job_records import ProgressRecord
from tests.support.data_files import write_data
from tests.support.tiny_models import save_tiny


@pytest.fixture
def setup(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    folder = save_tiny(tmp_path / "model", "llama", layers=3)
    data = write_data(tmp_path / "data.jsonl")
    options = {"model": str(folder), "probe": [str(data)], "probe_size": 6, "probe_pool": 10}
    return tmp_path, options | {"stack_tokens": 400}


def run_detect(path: Path, options: dict[str, Any], *, show: bool = False) -> Run:
    run = Run.create(path)
    detect(run, DetectSettings(**options), show=show)
    return run


def test_files_of_a_run(setup: tuple[Path, dict[str, Any]]) -> None:
    tmp, options = setup
    run = run_detect(tmp / "run", options)
    probe, pool, heads = run.probe(), run.pool(), run.heads()
    assert len(pool) == 10 and len(probe) == 6
    assert set(probe["id"]) == set(pool.nlargest(6, "base_loss")["id"])
    assert list(heads.columns[:7]) == [
        "layer", "head", "importance", "stderr", "n", "raced_out", "rank",
    ]  # fmt: skip
    assert len(heads) == 12 and sorted(heads["rank"]) == list(range(1, 13))
    table = run.importance()
    assert list(table.columns) == ["id", "set", "layer", "head", "delta_loss"]
    assert len(table) == 6 * 12
    means = table.groupby(["layer", "head"])["delta_loss"].mean().to_numpy()
    assert np.allclose(heads["importance"], means)
    noise = run.record.detect
    assert 0 < noise.noise_floor < 1e-4 and noise.batch_spread < 1e-5
    assert (noise.noise_pairs, noise.noise_against, noise.noise_unmeasured) == (16, "fp64", None)
    assert run.stage_state()["detect"] == "done"


@pytest.mark.parametrize("mode", ["exact", "racing"])
def test_a_killed_run_resumes_to_the_same_numbers(
    mode: str,
    setup: tuple[Path, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tmp, options = setup
    options = options | {"mode": mode}
    whole = run_detect(tmp / "whole", options)
    write = parts.write_part
    done: list[Path] = []

    def dies(path: Path, *args: Any, **kwargs: Any) -> None:
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(path)
        write(path, *args, **kwargs)

    monkeypatch.setattr(parts, "write_part", dies)
    with pytest.raises(KeyboardInterrupt):
        run_detect(tmp / "killed", options)
    written = [p.stat().st_mtime_ns for p in done]
    done[-1].write_bytes(done[-1].read_bytes()[:100])  # a truncated part must be redone
    redone: list[Path] = []

    def records(path: Path, *args: Any, **kwargs: Any) -> None:
        redone.append(path)
        write(path, *args, **kwargs)

    monkeypatch.setattr(parts, "write_part", records)
    kept = sum(pq.read_metadata(path).num_rows for path in done[:-1])
    capsys.readouterr()
    resumed = run_detect(tmp / "killed", options, show=True)
    units = len(resumed.importance())
    left = rf"\b{units - kept} evaluations left .*, about .* \(by a short measurement\)\n"
    assert re.search(left, capsys.readouterr().err)
    assert len(written) == 4 and set(redone) & set(done) == {done[-1]}
    pd.testing.assert_frame_equal(whole.heads(), resumed.heads())
    pd.testing.assert_frame_equal(whole.importance(), resumed.importance())


def test_every_phase_has_a_name_and_the_pool_counts_the_ablations_ahead(
    setup: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp, options = setup
    written: list[ProgressRecord] = []
    write = ProgressRecord.write

    def keep(record: ProgressRecord, path: Path) -> None:
        written.append(record)
        write(record, path)

    monkeypatch.setattr(ProgressRecord, "write", keep)
    run_detect(tmp / "run", options | {"stack_tokens": None})
    assert list(dict.fromkeys(record.phase for record in written)) == [
        "Reading the data",
        "Loading the model",
        "Drawing candidates for the probe",
        "Measuring the speed",
        "Clean loss of candidates for the probe",
        "Finding the batch size",
        "Ablating heads",
        "Measuring the noise floor",
    ]
    pool = next(r for r in written if r.phase.startswith("Clean loss") and r.state == "done")
    # Done itself, this is what is left: every head on every sample, and the noise floor.
    ahead = 6 * 12 * FORWARDS_PER_EVALUATION + noise_passes(6)
    assert pool.done == pool.total
    assert pool.eta_s == pytest.approx(ahead / pool.rate, rel=1e-2, abs=0.06)  # rounded to 0.1


def test_running_again_does_nothing(setup: tuple[Path, dict[str, Any]]) -> None:
    tmp, options = setup
    run = run_detect(tmp / "run", options)
    before = run.heads_path.stat().st_mtime_ns
    run_detect(tmp / "run", options | {"model": options["model"]})
    assert run.heads_path.stat().st_mtime_ns == before


def test_racing_keeps_estimates_of_raced_out_heads(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", "llama", layers=6)
    data = write_data(tmp_path / "data.jsonl", 16)
    options = {"model": str(folder), "probe": [str(data)], "probe_size": 12, "stack_tokens": 400}
    exact = run_detect(tmp_path / "exact", options).heads()
    raced = run_detect(tmp_path / "raced", options | {"mode": "racing"}).heads()
    assert len(raced) == 24 and raced["raced_out"].sum() == 24 - 4
    assert (raced.loc[~raced["raced_out"], "n"] == 12).all()
    assert raced.loc[raced["raced_out"], "n"].max() < 12
    assert raced.loc[~raced["raced_out"], "rank"].max() == 4
    both = raced[~raced["raced_out"]].merge(exact, on=["layer", "head"])
    assert np.allclose(both["importance_x"], both["importance_y"], atol=1e-5)


def test_contrast_gives_specificity(setup: tuple[Path, dict[str, Any]]) -> None:
    tmp, options = setup
    other = write_data(tmp / "other.jsonl", 9, sources=1)
    options = options | {"contrast": [str(other)], "mode": "racing", "rank_by": "specificity"}
    run = run_detect(tmp / "run", options)
    heads, table, probe = run.heads(), run.importance(), run.probe()
    assert set(table["set"]) == {"probe", "contrast"}
    assert len(probe[probe["set"] == "contrast"]) == 6
    head = heads[~heads["raced_out"]].iloc[0]
    ratio = {}
    for name in ("probe", "contrast"):
        own_rows = table[(table["set"] == name) & (table["layer"] == head["layer"])]
        own_rows = own_rows[own_rows["head"] == head["head"]]
        clean = probe[probe["set"] == name]["base_loss"].mean()
        ratio[name] = own_rows["delta_loss"].mean() / clean
    assert head["specificity"] == pytest.approx(ratio["probe"] - ratio["contrast"])
    assert heads["specificity_rank"].min() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probe": ["missing.jsonl"]}, "missing.jsonl"),
        ({"model": "/no/such/model"}, "cannot be loaded"),
        ({"prompt_field": "nope"}, "question"),
        ({"response_field": "nope"}, "nope|no response"),
        ({"max_length": 3}, "longer than 3"),
        ({"max_length": 9999}, "positions"),
    ],
)
def test_bad_input_is_one_clear_line(
    setup: tuple[Path, dict[str, Any]], change: dict[str, Any], message: str
) -> None:
    tmp, options = setup
    with pytest.raises(UserError, match=message) as caught:
        run_detect(tmp / "run", options | change)
    assert "\n" not in str(caught.value)
    run = Run.open(tmp / "run")
    run.discard_if_empty()
    assert not run.path.exists()


def test_no_responses(setup: tuple[Path, dict[str, Any]]) -> None:
    tmp, options = setup
    bare = tmp / "bare.jsonl"
    bare.write_text("\n".join(json.dumps({"question": f"What is {i} + 1?"}) for i in range(8)))
    options = options | {"probe": [str(bare)]}
    with pytest.raises(UserError, match="no response"):
        run_detect(tmp / "run", options)
    run = run_detect(tmp / "all", options | {"loss_tokens": "all"})
    assert (run.probe()["n_loss_tokens"] == run.probe()["n_tokens"] - 1).all()


def test_a_run_of_another_model_or_other_settings_is_refused(
    setup: tuple[Path, dict[str, Any]],
) -> None:
    tmp, options = setup
    run_detect(tmp / "run", options)
    with pytest.raises(UserError, match="probe-size"):
        run_detect(tmp / "run", options | {"probe_size": 5})
    run = Run.open(tmp / "run")
    run.heads_path.unlink()
    save_tiny(Path(options["model"]), "llama", layers=3, seed=1)
    with pytest.raises(UserError, match="weights"):
        run_detect(tmp / "run", options)


def test_a_run_goes_on_on_another_device(tmp_path: Path) -> None:
    """Which device is no part of what was measured; the precision is."""
    model, data = str(save_tiny(tmp_path / "model")), str(write_data(tmp_path / "sums.jsonl"))
    run = Run.create(tmp_path / "run")
    options: dict[str, Any] = {"model": model, "probe": [data], "probe_size": 3, "probe_pool": 9}
    heads = detect(run, DetectSettings(**options, device="cpu"), show=False)
    run.heads_path.unlink()
    before = [p.stat().st_mtime_ns for p in run.importance_dir.iterdir()]
    again = detect(run, DetectSettings(**options, device="auto"), show=False)
    pd.testing.assert_frame_equal(heads, again)
    assert [p.stat().st_mtime_ns for p in run.importance_dir.iterdir()] == before
    one, other = (DetectSettings(**options, device=d) for d in ("cpu", "cuda:1"))
    assert one.fingerprint() == other.fingerprint()


def test_memory_running_out_on_candidates_changes_no_loss(
    setup: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp, options = setup
    whole = run_detect(tmp / "whole", options)
    longest = int(whole.probe()["n_tokens"].max())
    true_hidden, failed = ReferenceModel.hidden, list[int]()

    def hidden(self: ReferenceModel, ids: torch.Tensor) -> torch.Tensor:
        if ids.numel() > 3 * longest:
            failed.append(len(ids))
            raise torch.OutOfMemoryError("injected")
        return true_hidden(self, ids)

    monkeypatch.setattr(ReferenceModel, "hidden", hidden)
    scarce = run_detect(tmp / "scarce", options)
    assert max(failed) == 10, "all candidates were one batch"
    pools = [run.pool().set_index("id")["base_loss"] for run in (whole, scarce)]
    assert (pools[0] - pools[1].reindex(pools[0].index)).abs().max() <= 1e-5
    assert np.allclose(whole.heads()["importance"], scarce.heads()["importance"], atol=1e-5)
