"""``--config``: options from a file, checked as typed ones are, and what every stage writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from circuitseer_core import stages
from circuitseer_core.cli.config import configurable
from circuitseer_core.cli.main import app, spread_values
from circuitseer_core.errors import Cancelled
from circuitseer_core.runs.commands import options
from circuitseer_core.runs.settings_file import SETTINGS_FILE, write_settings
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.selection.settings import SelectionSettings

TOML = """
run = "runs/x"
data = ["a.jsonl", "b c.jsonl"]
heads = "14"
baselines = true
max-length = 512
head_feature_rows = "2k"
"""


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """(run, settings) of every stage that would be begun; none is."""
    calls: list[Any] = []

    class Stop(Exception):
        pass

    def catch(run: Path, settings: Any, **_: Any) -> None:
        calls.append((run, settings))
        raise Stop

    for verb in ("run_detection", "run_scoring", "run_selection"):
        monkeypatch.setattr(stages, verb, catch)
    return calls


def call(*words: object) -> str:
    """What went wrong; empty where a stage was begun."""
    result = CliRunner().invoke(app, spread_values([str(word) for word in words]))
    if type(result.exception).__name__ == "Stop":
        return ""
    return str(result.exception) if result.exception else result.output


def test_yaml_and_toml_say_the_same(tmp_path: Path, caught: list[Any]) -> None:
    entries = {
        "run": "runs/x", "data": ["a.jsonl", "b c.jsonl"], "heads": "14", "baselines": True,
        "max-length": 512, "head_feature_rows": "2k",
    }  # fmt: skip
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(entries))
    (tmp_path / "s.toml").write_text(TOML)
    for name in ("s.yaml", "s.toml"):
        assert call("score", "--config", tmp_path / name) == ""
    wanted = ScoreSettings(
        data=["a.jsonl", "b c.jsonl"], heads="14", baselines=True, max_length=512,
        head_feature_rows=2000,
    )  # fmt: skip
    assert caught == [(Path("runs/x"), wanted)] * 2


def test_what_is_typed_wins(tmp_path: Path, caught: list[Any]) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("run: here\ndata: [a, b]\nseed: 3\nbaselines: true\nname: null\n")
    words = ["--run", "there", "--data", "c", "--no-baselines"]
    assert call("score", "--config", path, *words) == ""
    run, settings = caught[0]
    assert run == Path("there") and settings == ScoreSettings(data=["c"], seed=3)


@pytest.mark.parametrize(
    ("command", "entries", "typed", "wanted"),
    [
        ("select", {"fraction": 0.1}, ["--count", "5"], {"count": 5, "fraction": None}),
        ("select", {"count": 9, "fraction": None}, ["--tokens", "2k"], {"tokens": 2000}),
        ("select", {"tokens": 9}, ["--fraction", "10%"], {"fraction": 0.1, "tokens": None}),
        (
            "select",
            {"fraction": 0.1, "stratify": "equal"},
            ["--match-lengths", "other"],
            {"fraction": None, "stratify": "none", "match_lengths": "other"},
        ),
        (
            "select",
            {"stratify": "equal", "stratify_by": "level"},
            ["--stratify", "none"],
            {"stratify": "none", "stratify_by": "source"},
        ),
        ("select", {"temperature": 2}, ["--target-ess", "50%"], {"temperature": 1}),
        ("select", {"target_ess": 0.5}, ["--temperature", "2"], {"target_ess": None}),
        ("score", {"data": ["a"], "device": "cpu"}, ["--devices", "cpu,cpu"], {"device": "auto"}),
        ("score", {"data": ["a"], "calibration": "c"}, ["--head-features"], {"calibration": None}),
        (
            "detect",
            {"model": "m", "probe": ["a"], "ablation": "scaled", "epsilon": 0.1},
            ["--ablation", "zero"],
            {"epsilon": 0, "ablation": "zero"},
        ),
    ],
)
def test_what_excludes_a_typed_option_gives_way(
    tmp_path: Path,
    caught: list[Any],
    command: str,
    entries: dict[str, Any],
    typed: list[str],
    wanted: dict[str, Any],
) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"run": "r", **entries}))
    assert call(command, "--config", tmp_path / "s.yaml", *typed) == ""
    settings = caught[0][1]
    assert {name: getattr(settings, name) for name in wanted} == wanted


def test_two_of_a_file_or_two_typed_exclude_each_other_still(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("run: r\nfraction: 0.1\ncount: 3\n")
    assert "give one of fraction, count and tokens" in call("select", "--config", path)
    words = ["--count", "3", "--fraction", "0.1"]
    assert "give one of fraction, count and tokens" in call("select", "--run", "r", *words)


def test_one_value_is_as_good_as_a_list_of_one(tmp_path: Path, caught: list[Any]) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("run: r\nexclude: ids.txt\nexclude-tag: [a]\nfraction: 10%\n")
    assert call("select", "--config", path) == ""
    assert caught[0][1] == SelectionSettings.of(
        exclude=("ids.txt",), exclude_tags=("a",), fraction=0.1
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeed: 1", "select has no option 'seeed'"),
        ("config: x", "select has no option 'config'"),
        ("command: score", "is for the command score, not for select"),
        ("seed: [1, 2]", "seed takes one value, not a list"),
        ("scorer: {a: b}", "scorer: a value is a text, a number, true or false"),
        ("name: no", "name: false is no value for it (quote a text)"),
        ("lowest: 1", "lowest is true or false"),
        ("fraction: 10", "--fraction: 10 is more than the whole"),
        ("- a\n- b", "holds no options"),
        ("a: [", "is no YAML"),
        (f"seed: 0x{'f' * 150}", "seed: this number is too large"),
        (f"exclude: [0x{'f' * 150}]", "exclude: this number is too large"),
        (f"seed: {'1:' * 200_000}1", "is no YAML: a number of 400,001 characters"),
        ("", "holds no options"),
    ],
)
def test_what_a_file_cannot_say(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    assert message in call("select", "--run", tmp_path, "--config", path)


def test_a_file_that_is_not_there_or_no_toml(tmp_path: Path) -> None:
    assert "cannot be read" in call("select", "--run", "r", "--config", tmp_path / "no.yaml")
    (tmp_path / "s.toml").write_text("a = [")
    assert "is no TOML" in call("select", "--run", "r", "--config", tmp_path / "s.toml")
    (tmp_path / "s.toml").write_text(f"exclude = [0x{'f' * 9000}]")
    assert "is too large" in call("select", "--run", "r", "--config", tmp_path / "s.toml")


def test_a_written_file_gives_the_same_settings_back(tmp_path: Path, caught: list[Any]) -> None:
    settings = SelectionSettings.of(
        name="1", scorer="focus", tokens=1500, temperature=float("inf"), review=False,
        exclude=("a: b", "yes"), exclude_tags=("#1",),
    )  # fmt: skip
    write_settings(tmp_path, "select", Path("runs/my run"), settings)
    text = (tmp_path / SETTINGS_FILE).read_text()
    assert text.startswith("# To run it again: ") and f"{tmp_path / SETTINGS_FILE}" in text
    set_options = {
        name for name in options(SelectionSettings) if getattr(settings, name) is not None
    }
    assert set(yaml.safe_load(text)) == set_options | {"command", "run"}
    assert call("select", "--config", tmp_path / SETTINGS_FILE) == ""
    assert caught == [(Path("runs/my run"), settings)]


def test_ctrl_c_in_any_command_is_a_cancellation() -> None:
    """Left to Click it would be "Aborted!" with exit code 1, as if something had failed."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(Cancelled):
        configurable(interrupted)(config=None)
