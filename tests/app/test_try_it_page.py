"""The Try it page in Streamlit's test runner, on a tiny model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from circuitseer_core.model import live
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import DetectOptions
from circuitseer_core.trial import continuation
from tests.support.every_view import boxes
from tests.support.opened import open_page, settled, texts
from tests.support.records import edit_run
from ui.widgets.markdown import together

PROBLEMS = [
    {"id": f"{i}", "question": f"Tom has {i} apples and {2 * i} pears. How many in all?",
     "answer": f"He has {3 * i} of them."}
    for i in range(12)
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from circuitseer_core import detect, score
    from tests.support.tiny_models import save_tiny

    folder = tmp_path_factory.mktemp("try")
    data = folder / "toy.jsonl"
    data.write_text("\n".join(map(json.dumps, PROBLEMS)), encoding="utf-8")
    model = save_tiny(folder / "model")
    detect(model=str(model), probe=[str(data)], run=folder / "tiny", probe_size=4)
    score(run=folder / "tiny", data=[f"toy={data}"])
    return folder


@pytest.fixture(autouse=True)
def home(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CIRCUITSEER_RUNS", str(made))
    live.free()  # what other modules' tests have loaded
    yield
    live.free()


def loaded(**params: str) -> AppTest:
    page = open_page("try_it", "tiny", **params)
    return settled(page.button(key="live_try").click().run())


def metric(page: AppTest, label: str) -> float:
    value = next(m.value for m in page.metric if m.label == label)
    return float(value.replace("−", "-"))


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    page = open_page("try_it", "tiny")
    assert live.model_in_memory() is None
    assert "Clean loss" not in [m.label for m in page.metric]
    assert "apples and" in page.text_area(key="try_prompt").value
    assert page.text_area(key="try_response").value.startswith("He has")


def test_losses_continuations_and_random_heads_are_shown() -> None:
    page = loaded()
    assert metric(page, "ΔL") == pytest.approx(
        metric(page, "Ablated") - metric(page, "Clean loss"), abs=2e-3
    )
    assert "draws of as many random heads of the same layers change it" in texts(page)
    mean = next(m.value for m in page.metric if m.label == "ΔL, random")
    assert together(f"(mean {mean}, 95 % interval ") in texts(page)
    assert "tokens at most" in texts(page)


def test_other_heads_leave_the_clean_text_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[list[list[tuple[int, int]]]] = []
    real = continuation.continue_greedily

    def counted(model: Any, prompt: Any, sets: Any, **options: Any) -> list[list[int]]:
        written.append([list(s) for s in sets])
        return real(model, prompt, sets, **options)

    monkeypatch.setattr(continuation, "continue_greedily", counted)
    page = loaded(sample="toy/5", ablate="0.2")
    page.text_area(key="try_prompt").set_value("A text of this test alone").run()
    page.text_input(key="try_heads").set_value("0.3, 1.1").run()
    page.text_input(key="try_heads").set_value("0.2").run()
    assert written[-2:] == [[[], [(0, 2)]], [[(0, 3), (1, 1)]]]
    page.number_input(key="try_most").set_value(4).run()
    assert written[-1] == [[], [(0, 2)]]
    assert "4 tokens at most" in texts(settled(page))


def test_a_sample_is_searched_and_turned_over() -> None:
    page = open_page("try_it", "tiny", sample="toy/7")
    assert "7 apples" in page.text_area(key="try_prompt").value
    page.text_input(key="try_search").set_value("11 apples").run()
    assert "1 of 1" in texts(page)
    assert "Tom has 11 apples" in page.text_area(key="try_prompt").value
    page.text_input(key="try_search").set_value("").run()
    first = page.text_area(key="try_prompt").value
    page.button(key="try_next").click().run()
    assert "2 of 12" in texts(page)
    assert page.text_area(key="try_prompt").value != first
    page.button(key="try_previous").click().run()
    assert page.text_area(key="try_prompt").value == first
    page.text_area(key="try_prompt").set_value("What is 2 + 2?").run()
    assert "(edited)" in texts(settled(page))


def test_a_shard_that_is_damaged_meanwhile_is_one_line(made: Path) -> None:
    page = open_page("try_it", "tiny")
    part = Run.open(made / "tiny").score_parts()[0]
    whole = part.read_bytes()
    try:
        for ask in (
            lambda: page.button(key="try_next").click(),
            lambda: page.text_input(key="try_search").set_value("apples and 4 pears"),
        ):
            part.write_bytes(b"no parquet")
            ask().run()
            assert "the scores cannot be read" in page.error[0].value and not boxes(page)
            part.write_bytes(whole)
            assert not settled(page.run()).error
            assert "1 of " in texts(page)
    finally:
        part.write_bytes(whole)


def test_heads_are_typed_taken_or_left_out() -> None:
    page = loaded(ablate="0.1")
    one = metric(page, "ΔL")
    page.text_input(key="try_heads").set_value("0.1, 1.2").run()
    assert metric(page, "ΔL") != one
    page.button(key="try_none").click().run()
    assert "No head is ablated" in texts(settled(page))
    assert metric(page, "ΔL") == 0
    page.button(key="try_reasoning").click().run()
    assert page.text_input(key="try_heads").value
    page.text_input(key="try_heads").set_value("9.9").run()
    assert "no head 9.9" in texts(settled(page))
    page.text_input(key="try_heads").set_value("nine").run()
    assert "'nine' is not layer.head" in texts(settled(page))


@pytest.mark.parametrize(("mode", "epsilon"), [("scaled", 0.3), ("zero", 0.0), ("mean", 0.0)])
def test_every_ablation_answers_and_the_run_s_own_comes_first(
    made: Path, mode: str, epsilon: float
) -> None:
    run = Run.open(made / "tiny")
    settings = {"ablation": mode, "epsilon": epsilon}
    edited = run.detection.model_copy(update={"settings": DetectOptions(**settings)})
    before = run.detection
    edit_run(run, detect=edited)
    try:
        page = loaded(ablate="0.1, 1.2")
        assert page.selectbox(key="try_ablation").value == mode
        if mode == "scaled":
            assert page.number_input(key="try_epsilon").value == epsilon
        own = metric(page, "ΔL")
        page.selectbox(key="try_ablation").set_value("uniform").run()
        assert metric(settled(page), "ΔL") != own
    finally:
        edit_run(run, detect=before)


def test_the_model_is_let_go_by_a_button() -> None:
    page = loaded()
    page.text_area(key="try_prompt").set_value("What is 2 + 3?").run()  # nothing that was kept
    assert live.model_in_memory() is not None
    assert "MiB of weights" in texts(page)
    page.button(key="free_try").click().run()
    assert live.model_in_memory() is None
    assert page.button(key="live_try")


def test_a_text_without_response_and_one_that_is_too_long() -> None:
    page = loaded()
    page.text_area(key="try_response").set_value("").run()
    assert metric(settled(page), "Clean loss") > 0
    page.text_area(key="try_response").set_value("apples and pears " * 300).run()
    assert "at most 512" in texts(settled(page))


def test_one_heads_attention_is_drawn_on_demand() -> None:
    page = loaded()
    assert "try_layer" not in [n.key for n in page.number_input]
    page.session_state["try_attention"] = True
    settled(page.run())
    page.number_input(key="try_layer").set_value(0).run()
    assert settled(page).number_input(key="try_layer").value == 0
