"""Parts on several devices: the bits of one process, whoever is killed; who is given which part."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from circuitseer_core.detection import parts as part_module
from circuitseer_core.detection.detect import detect
from circuitseer_core.detection.device_measurer import PartQueue
from circuitseer_core.detection.parts import Part
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.machine import device_names
from tests.support.data_files import write_data
from tests.support.device_service import workers
from tests.support.tiny_models import save_tiny


def run_detect(path: Path, options: dict[str, Any], devices: str | None = None) -> Run:
    run = Run.create(path)
    detect(run, DetectSettings(**options, devices=devices), show=False)
    return run


@pytest.mark.usefixtures("one_thread")
def test_two_workers_give_the_bits_of_one_process_though_one_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    model, data = save_tiny(tmp_path / "model", "llama", layers=5), write_data(tmp_path / "d.jsonl")
    options: dict[str, Any] = {"model": str(model), "probe": [str(data)], "probe_size": 12}
    options |= {"probe_pool": 12, "mode": "racing", "stack_tokens": 400, "ablation": "mean"}
    alone = run_detect(tmp_path / "alone", options)

    write = part_module.write_part
    written: list[Path] = []

    def writes_and_kills(path: Path, *args: Any, **kwargs: Any) -> None:
        write(path, *args, **kwargs)
        written.append(path)
        if len(written) == 2:
            workers()[0].kill()

    monkeypatch.setattr(part_module, "write_part", writes_and_kills)
    several = run_detect(tmp_path / "several", options, "cpu,cpu")
    assert workers() == []
    printed = capfd.readouterr().err
    assert printed.count("the worker on cpu was killed (SIGKILL); the others do its part\n") == 1
    assert Counter(written).most_common(1)[0][1] == 1, "no part is written twice"
    # The order in which parts are done is no part of the table.
    pd.testing.assert_frame_equal(alone.importance(), several.importance(), check_exact=True)
    pd.testing.assert_frame_equal(alone.heads(), several.heads(), check_exact=True)
    assert several.record.detect.noise_floor == alone.record.detect.noise_floor


def part(batch: int, layer: int) -> Part:
    return Part("probe", 0, batch, 2, (0,), layer, (0,), noise=False)


def test_a_worker_stays_with_its_batch_and_then_helps_where_most_is_left() -> None:
    queue = PartQueue([part(batch, layer) for batch in range(2) for layer in range(3)])
    assert [queue.take(0), queue.take(1)] == [part(0, 0), part(1, 0)]
    assert [queue.take(0), queue.take(0)] == [part(0, 1), part(0, 2)]
    assert queue.take(0) == part(1, 2), "from the end of the other's"
    queue.put_back(part(1, 0))  # worker 1 is gone
    assert [queue.take(0), queue.take(0)] == [part(1, 0), part(1, 1)]
    assert queue.take(0) is None


def test_every_part_is_taken_once_by_whoever_comes() -> None:
    parts = [part(batch, layer) for batch in range(7) for layer in range(5)]
    queue = PartQueue(parts)
    order = torch.randint(0, 3, (200,), generator=torch.Generator().manual_seed(0)).tolist()
    taken = [taken for worker in order if (taken := queue.take(worker)) is not None]
    assert sorted(taken, key=lambda p: (p.batch, p.layer)) == parts


@pytest.mark.parametrize(
    ("devices", "device", "message"),
    [("0,,1", "auto", "name them"), ("auto", "auto", "name them"), ("0,1", "cpu", "exclude")],
)
def test_unclear_devices_are_refused(devices: str, device: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DetectSettings(model="m", probe=["p"], devices=devices, device=device)


def test_devices_are_no_part_of_what_is_measured() -> None:
    one, several = (DetectSettings(model="m", probe=["p"], devices=d) for d in (None, "0, 1"))
    assert one.fingerprint() == several.fingerprint()
    assert device_names(one) == ["auto"] and device_names(several) == ["cuda:0", "cuda:1"]
