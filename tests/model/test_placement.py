"""What a model's loading is told of devices and bits; no GPU and no library is needed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from circuitseer_core.errors import UserError
from circuitseer_core.model import loading, placement
from circuitseer_core.model.loading import load_model, load_run_model
from circuitseer_core.runs.records import ModelRecord
from tests.support.tiny_models import save_tiny

GPU = torch.device("cuda", 1)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The libraries that are found; to be changed by a test."""
    names = {"accelerate", "bitsandbytes"}
    monkeypatch.setattr(placement, "find_spec", lambda name: name if name in names else None)
    return names


def placed(device: torch.device = GPU, spread: bool = False, bits: str = "all") -> dict[str, Any]:
    return placement.placement(device, torch.bfloat16, spread=spread, weight_bits=bits)


def test_weights_go_straight_to_their_device(installed: set[str]) -> None:
    assert placed() == {"device_map": {"": GPU}}
    assert placed(torch.device("cpu")) == {}
    assert placed(spread=True) == {"device_map": "auto"}
    installed.clear()
    assert placed() == {}, "moved after loading"
    with pytest.raises(UserError, match="device 'spread': this needs accelerate"):
        placed(spread=True)


def test_what_is_made_without_a_device_is_made_for_the_models(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    for device in (torch.device("cpu"), torch.device("cuda"), GPU):
        placement.make_current(device)
    assert current == [GPU]
    asked: list[torch.device] = []
    monkeypatch.setattr(loading, "make_current", asked.append)
    load_model(str(save_tiny(tmp_path / "model")), device="cpu")
    assert asked == [torch.device("cpu")]


def test_fewer_bits(installed: set[str]) -> None:
    eight, four = placed(bits="8"), placed(bits="4")
    assert eight["device_map"] == four["device_map"] == {"": GPU}
    assert eight["quantization_config"].load_in_8bit
    assert four["quantization_config"].load_in_4bit
    assert four["quantization_config"].bnb_4bit_compute_dtype == torch.bfloat16
    installed.remove("bitsandbytes")
    with pytest.raises(UserError, match="weights in 4 bits: this needs bitsandbytes") as caught:
        placed(bits="4")
    assert "\n" not in str(caught.value)


def test_spread_needs_several_gpus() -> None:
    with pytest.raises(UserError, match="several GPUs: there are 0"):
        load_model("demo", device="spread")


def test_weights_that_do_not_fit_are_refused() -> None:
    whole = SimpleNamespace(hf_device_map={"model.embed": 0, "model.layers.0": 1})
    placement.refuse_weights_elsewhere(whole, "m")
    placement.refuse_weights_elsewhere(SimpleNamespace(hf_device_map={"": "cpu"}), "m")
    placement.refuse_weights_elsewhere(SimpleNamespace(), "m")
    partly = SimpleNamespace(hf_device_map={"model.embed": 0, "model.layers.0": "cpu"})
    with pytest.raises(UserError, match="1 of its 2 parts would stay outside"):
        placement.refuse_weights_elsewhere(partly, "m")


def test_a_run_loads_its_model_in_the_bits_it_was_measured_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def noted_placement(
        device: Any, dtype: Any, *, spread: bool, weight_bits: str
    ) -> dict[str, Any]:
        asked.append(weight_bits)
        return {}

    monkeypatch.setattr(loading, "placement", noted_placement)
    model = str(save_tiny(tmp_path / "model"))
    _, info = load_model(model, device="cpu", weight_bits="8")
    record = ModelRecord(**info.__dict__)
    assert record.weight_bits == "8"
    load_run_model(record, "fp32", "cpu")
    assert asked == ["8", "8"]
