"""The command line's options are the settings classes': names, defaults, and the way back."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

import pytest
import typer.main
from pydantic import BaseModel

from circuitseer_core import stages
from circuitseer_core.cli.main import app, spread_values
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import UserError
from circuitseer_core.runs.commands import arguments, flag_of, options
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.selection.settings import SelectionSettings

STAGES: dict[str, tuple[type[BaseModel], dict[str, Any], str]] = {
    "detect": (DetectSettings, {"model": "demo", "probe": ["demo"]}, "run_detection"),
    "score": (ScoreSettings, {"data": ["demo"]}, "run_scoring"),
    "select": (SelectionSettings, {}, "run_selection"),
}
FIELDS = [(stage, name) for stage, (kind, *_) in STAGES.items() for name in options(kind)]


def another_value(kind: type[BaseModel], name: str) -> dict[str, Any]:
    """A value other than the default, with what it needs beside it."""
    needs = {
        "epsilon": {"epsilon": 0.25, "ablation": "scaled"},
        "ablation": {"ablation": "zero"},
        "probe_pool": {"probe_pool": 2345},
        "target_ess": {"target_ess": 0.5},
        "fraction": {"fraction": 0.25},
        "stratify_by": {"stratify": "equal", "stratify_by": "level"},
        "rank_by": {"rank_by": "specificity"},
        "response_items": {"response_items": "-1"},
        "heads_from": {"heads_from": "owner/map"},
        "force_heads": {"heads_from": "owner/map", "force_heads": True},
        "head_influence_controls": {"head_influence": True, "head_influence_controls": True},
    }
    if name in needs:
        extra = {"contrast": ["c.jsonl"]} if (kind, name) == (DetectSettings, "rank_by") else {}
        return needs[name] | extra
    info = kind.model_fields[name]
    annotation = info.annotation
    if get_origin(annotation) is Literal:
        return {name: next(v for v in get_args(annotation) if v != info.default)}
    if get_origin(annotation) in (list, tuple):
        return {name: ["a.jsonl", "b c.jsonl"]}
    if annotation is bool:
        return {name: not info.default}
    text = str(annotation)
    return {name: 0.5 if "float" in text else 7 if "int" in text else "other"}


def asked(monkeypatch: pytest.MonkeyPatch, stage: str, words: list[str]) -> BaseModel:
    """The settings that a command line comes to; nothing is run."""
    caught: list[BaseModel] = []

    class Stop(Exception):
        pass

    def catch(run: Any, settings: BaseModel, **_: Any) -> None:
        caught.append(settings)
        raise Stop

    monkeypatch.setattr(stages, STAGES[stage][2], catch)
    with pytest.raises(Stop):
        app(spread_values([stage, "--run", "r", *words]), standalone_mode=False)
    return caught[0]


@pytest.mark.parametrize(("stage", "name"), FIELDS)
def test_every_field_is_an_option_with_the_same_default(stage: str, name: str) -> None:
    kind = STAGES[stage][0]
    command = typer.main.get_command(app).commands[stage]  # type: ignore[attr-defined]
    by_flag = {flag: parameter for parameter in command.params for flag in parameter.opts}
    info = kind.model_fields[name]
    parameter = by_flag[flag_of(name, info)]
    assert parameter.required == info.is_required() and parameter.help
    if not info.is_required():
        assert parameter.default is None, "the class's own default stands where none is given"


@pytest.mark.parametrize("stage", STAGES)
def test_where_nothing_is_given_the_defaults_of_the_class_stand(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, least, _ = STAGES[stage]
    assert asked(monkeypatch, stage, arguments(kind(**least))) == kind(**least)


@pytest.mark.parametrize(("stage", "name"), FIELDS)
def test_a_shown_command_gives_the_same_settings_back(
    stage: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, least, _ = STAGES[stage]
    settings = kind(**least | another_value(kind, name))
    words = arguments(settings)
    assert flag_of(name, kind.model_fields[name]) in [
        word.replace("--no-", "--", 1) for word in words
    ]
    assert asked(monkeypatch, stage, words) == settings


def test_several_values_after_one_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--data", "a.jsonl", "b.jsonl", "--name", "two"]
    settings = asked(monkeypatch, "score", words)
    assert isinstance(settings, ScoreSettings) and settings.data == ["a.jsonl", "b.jsonl"]


@pytest.mark.parametrize(
    ("stage", "words", "message"),
    [
        ("select", ["--fraction", "2"], "--fraction: "),
        ("select", ["--exclude-tag", "a", "--count", "0"], "--count: "),
        ("detect", ["--model", "m", "--probe", "p", "--epsilon", "1"], "--epsilon goes with"),
    ],
)
def test_a_value_out_of_range_names_its_option(stage: str, words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        app([stage, "--run", "r", *words], standalone_mode=False)
