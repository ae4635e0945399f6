"""Candidates' losses survive a stop, and a pass that goes on ends with the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from circuitseer_core import stages
from circuitseer_core.detection import detect as stage
from circuitseer_core.detection import probe as probes
from circuitseer_core.detection import timing
from circuitseer_core.detection.kept_losses import KeptLosses, losses_path
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import Cancelled
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import Progress
from tests.support.data_files import write_data
from tests.support.tiny_models import save_tiny


def sample(name: str, *ids: int) -> Encoded:
    return Encoded(name, "x", list(ids), 1)


def test_a_batch_is_known_whole_or_not_at_all(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    one, two, other = sample("a", 1, 2), sample("b", 3, 4), sample("a", 1, 3)
    with KeptLosses(run, "probe") as kept:
        kept.add([one, two], [0.1, float("nan")])
    with KeptLosses(run, "probe") as again:
        np.testing.assert_equal(again.of([one, two]), [0.1, float("nan")])
        assert again.of([one, other]) is None, "other tokens under the same id"
    losses_path(run, "probe").write_bytes(b"broken")
    with KeptLosses(run, "probe") as broken:
        assert broken.of([one]) is None


def test_a_stopped_detection_goes_on_from_the_losses_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = str(write_data(tmp_path / "data.jsonl", 24))
    model = str(save_tiny(tmp_path / "model"))
    settings = DetectSettings(model=model, probe=[data], probe_size=4, probe_pool=24, device="cpu")
    monkeypatch.setattr(stage._Detection, "measure", lambda self: None)  # the probe is enough
    monkeypatch.setattr(stage, "pool_budget", lambda reference: 128)
    calm = stages.run_detection(tmp_path / "calm", settings, show=False)
    passes: list[int] = []
    with monkeypatch.context() as patch:
        advance = Progress.advance

        def stop(self: Progress, n: int = 1, message: str | None = None) -> None:
            advance(self, n, message)
            if self.stage == "probe pool" and self.done >= 8:
                raise KeyboardInterrupt

        patch.setattr(Progress, "advance", stop)
        with pytest.raises(Cancelled, match=r"detect was cancelled; \d+ candidates' losses kept"):
            stages.run_detection(tmp_path / "run", settings, show=False)
    kept = len(pd.read_parquet(tmp_path / "run" / "losses-probe.parquet"))
    assert 8 <= kept < 24
    clean = probes.losses_of
    monkeypatch.setattr(
        probes, "losses_of", lambda r, members: (passes.append(len(members)), clean(r, members))[1]
    )
    run = stages.run_detection(tmp_path / "run", settings, show=False)
    assert sum(passes) == 24 - kept
    pd.testing.assert_frame_equal(run.pool(), calm.pool())
    pd.testing.assert_frame_equal(run.probe(), calm.probe())
    assert not losses_path(run, "probe").exists()


def test_stopped_before_anything_was_measured_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = str(write_data(tmp_path / "data.jsonl"))
    settings = DetectSettings(model=str(save_tiny(tmp_path / "model")), probe=[data], probe_size=4)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(timing, "estimate", stop)
    with pytest.raises(Cancelled, match="nothing was measured yet: run it again to begin anew"):
        stages.run_detection(tmp_path / "run", settings, show=False)
    assert not (tmp_path / "run").exists()
