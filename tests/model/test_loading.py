"""Loading: only weights that cannot run code, and one line for whatever is wrong with a model."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from circuitseer_core.errors import UserError
from circuitseer_core.model import loading
from circuitseer_core.model.loading import load_model
from tests.support.tiny_models import save_tiny


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    for file in whole.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def weights(folder: Path) -> Path:
    return next(folder.glob("*.safetensors"))


def test_a_pickled_checkpoint_is_refused_unless_asked_for(model: Path) -> None:
    from safetensors.torch import load_file

    state = load_file(weights(model))
    weights(model).unlink()
    torch.save(state, model / "pytorch_model.bin")
    with pytest.raises(UserError, match="pytorch_model.bin can run code.*--allow-pickle"):
        load_model(str(model), device="cpu")
    reference, _ = load_model(str(model), device="cpu", allow_pickle=True)
    assert reference.heads_per_layer


def test_a_pickled_adapter_is_refused_beside_safetensors_of_its_base(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transformers falls back to adapter_model.bin, whatever it is asked for."""
    monkeypatch.setattr(loading, "is_peft_available", lambda: True)
    base = {"peft_type": "LORA", "base_model_name_or_path": str(model), "target_modules": ["q"]}
    (model / "adapter_config.json").write_text(json.dumps(base))
    torch.save({}, model / "adapter_model.bin")
    with pytest.raises(UserError, match=r"adapter without .*CIRCUITSEER_ALLOW_PICKLE=1") as raised:
        load_model(str(model), device="cpu")
    assert "\n" not in str(raised.value)
    (model / "adapter_model.safetensors").write_bytes(weights(model).read_bytes())
    loading._refuse_pickled_adapter("x", str(model), None, False)


@pytest.mark.parametrize("name", ["adapter_model.bin", "../other.safetensors", 3])
@pytest.mark.parametrize("where", ["config", "index"])
def test_no_weights_are_read_by_another_name(tmp_path: Path, where: str, name: Any) -> None:
    """Transformers reads what configuration and index name, whatever format it is asked for."""
    (tmp_path / "a.safetensors").touch()
    named = {"weight_map": {"x": "a.safetensors", "y": name}}
    config = {"transformers_weights": name} if where == "config" else {}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"} | config))
    if where == "index":
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(named))
    with pytest.raises(UserError, match="which is no safetensors file in its folder"):
        load_model(str(tmp_path), device="cpu")


@pytest.mark.parametrize("damage", ["cut", "zeros", "text", "empty", "gone"])
def test_broken_weights_are_one_line(model: Path, damage: str) -> None:
    raw = weights(model).read_bytes()
    broken = {
        "cut": raw[: len(raw) // 2], "zeros": bytes(len(raw)), "text": b"{}" * 40, "empty": b"",
    }.get(damage)  # fmt: skip
    if broken is None:
        weights(model).unlink()
    else:
        weights(model).write_bytes(broken)
    with pytest.raises(UserError) as raised:
        load_model(str(model), device="cpu")
    assert "\n" not in str(raised.value) and "cannot be loaded" in str(raised.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_attention_heads": 0}, {"num_attention_heads": "four"}, {"num_hidden_layers": 0},
        {"hidden_size": -1}, {"vocab_size": 1.5}, {"model_type": "no such"}, {"model_type": 3},
        {"rope_scaling": "x"}, {"hidden_act": 7}, {"num_key_value_heads": 3},
        {"hidden_size": 10**9}, {"torch_dtype": "evil"}, {"architectures": {"a": 1}},
    ],
    ids=str,
)  # fmt: skip
def test_a_configuration_of_wrong_types_is_one_line_or_none(
    model: Path, changes: dict[str, Any]
) -> None:
    file = model / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    try:
        load_model(str(model), device="cpu")
    except UserError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x", "a\0b", "x" * 5000, "", "///"])
def test_what_is_no_model_is_one_line(name: str) -> None:
    with pytest.raises(UserError):
        load_model(name, device="cpu")


def test_what_is_checked_is_checked_before_the_weights_are_read(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def refuse(positions: int, tokenizer: object) -> None:
        seen.append(positions)
        raise UserError("too long")

    def read(*_: object, **__: object) -> None:
        raise AssertionError("the weights were read")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", read)
    with pytest.raises(UserError, match="^too long$"):
        load_model(str(model), device="cpu", check=refuse)
    assert seen == [512]


def _loads(source: str) -> list[ast.Call]:
    """The calls of ``from_pretrained`` in a source."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [c for c in calls if getattr(c.func, "attr", "") == "from_pretrained"]


def _runs_no_code(call: ast.Call) -> bool:
    """Whether it says that code which a model brings along is not run."""
    options = {k.arg: getattr(k.value, "value", None) for k in call.keywords}
    return options.get("trust_remote_code") is False


def test_nothing_is_loaded_that_may_run_code_of_its_own() -> None:
    """Left unsaid, Transformers asks whoever sits at a terminal."""
    loads = {
        path.relative_to(path.parents[1]).as_posix(): _loads(path.read_text(encoding="utf-8"))
        for path in (Path(__file__).parents[2] / "circuitseer_core").rglob("*.py")
    }
    assert {name for name, calls in loads.items() if calls} >= {"model/loading.py", "model/demo.py"}
    unsaid = [n for n, calls in loads.items() for call in calls if not _runs_no_code(call)]
    assert not unsaid
    assert not _runs_no_code(_loads("AutoTokenizer.from_pretrained(x)")[0])
