"""The Overview in Streamlit's test runner."""

from __future__ import annotations

from pathlib import Path

from circuitseer_core.selection.go_no_go import go_no_go
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.signatures.catalogue import warnings
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.signatures.summary import summary
from tests.support.opened import open_page, settled, synthetic, table, texts
from tests.support.records import edit_run
from tests.support.synthetic import Shape
from ui.overview.remedies import remedy
from ui.widgets.markdown import inline, prose


def test_four_numbers_and_three_steps(runs_home: Path) -> None:
    synthetic(runs_home, shape=Shape(rows=400))
    app = open_page("overview", "made")
    values = {m.label: m.value for m in app.metric}
    assert values["Reference model"] == "random-numbers"
    assert values["Heads used"] == "3 / 48"
    assert values["Samples scored"] == "400"
    assert values["Subset drawn"] == "40"
    for step in ("Detect heads", "Score samples", "Draw the subset"):
        assert step in texts(app)


def test_the_warnings_are_those_of_core_in_its_words(runs_home: Path) -> None:
    run = synthetic(runs_home)
    app = open_page("overview", "made")
    shown = texts(app)
    signatures = warnings(run)
    assert any(s.severity == "warn" for s in signatures)
    for signature in signatures:
        assert inline(signature.title) in shown
        assert prose(signature.text) in shown
    assert prose(summary(Evidence(run), signatures)) in shown


def test_the_decision_about_the_newest_draw_is_there(runs_home: Path) -> None:
    run = synthetic(runs_home)
    answer = go_no_go(run, run.selection(run.selections()[0]))
    assert prose(answer.reason) in texts(open_page("overview", "made"))
    synthetic(runs_home, "fresh", Shape(detect_only=True))
    assert "Is a draw from this run" not in texts(open_page("overview", "fresh"))


def test_every_warning_that_a_click_can_meet_has_its_link(runs_home: Path) -> None:
    run = synthetic(runs_home)
    warned = {s.key: s for s in warnings(run) if s.severity == "warn"}
    assert {"sink", "length"} <= set(warned)
    links = {
        link.proto.label: (link.proto.page, link.proto.query_string)
        for link in open_page("overview", "made").get("page_link")
    }
    for signature in warned.values():
        help_ = remedy(run, "made", signature)
        assert help_ is None or help_.label in links
    assert "length_control=true" in links["Draw with length taken out"][1]
    page = open_page("export", "made", length_control="true")
    assert page.toggle(key="length_control").value is True


def test_a_draw_below_the_temperature_offered_gets_no_such_link(runs_home: Path) -> None:
    run = synthetic(runs_home)
    warned = Signature("uniform-draw", "warn", "", "", None, "export")
    assert remedy(run, "made", warned) is not None
    select_run(run, SelectionSettings.of(name="cold", temperature=0.1))
    assert remedy(run, "made", warned) is None


def test_remedies_fill_widgets_that_there_are(runs_home: Path) -> None:
    run = synthetic(runs_home)
    keys = ("length", "sink", "uniform-draw", "source-skew", "probe-overlap")
    for key in keys:
        help_ = remedy(run, "made", Signature(key, "warn", "", "", None, "export"))
        assert help_ is not None and help_.page == "export"
        page = open_page("export", "made", **help_.params)
        for name, value in help_.params.items():
            assert str(page.session_state[name]).lower() in (value.lower(), "0.2", "proportional")


def test_a_link_to_the_form_fills_it_as_the_run_was_measured(runs_home: Path) -> None:
    run = synthetic(runs_home)
    options = {"model": "me/mine", "mode": "racing", "probe": ["hf:openai/gsm8k:main:train"],
               "probe_size": 24, "probe_pool": 99, "seed": 7}  # fmt: skip
    edit_run(run, detect={"settings": options})
    help_ = remedy(run, "made", Signature("probe-pool", "warn", "", "", None, "heads"))
    assert help_ is not None
    page = open_page("runs", "made", runs_view="Start", **help_.params)
    assert page.selectbox(key="set_criterion").value == "stratified"
    assert page.number_input(key="set_probe_size").value == 24
    assert page.number_input(key="set_seed").value == 7
    assert page.text_input(key="model_hub").value == "me/mine"
    assert page.text_area(key="probe_hub").value == "openai/gsm8k:main:train"
    more = remedy(run, "made", Signature("probe-size", "warn", "", "", None, "heads"))
    assert more is not None and int(more.params["probe_size"]) >= 48
    page = open_page("runs", "made", runs_view="Start", **more.params)
    assert page.number_input(key="set_probe_size").value == int(more.params["probe_size"])


def test_the_form_takes_all_that_the_run_was_measured_with_and_no_more(runs_home: Path) -> None:
    run = synthetic(runs_home)
    options = {"model": "me/mine", "probe": ["hf:a/b"], "contrast": ["hf:c/d"],
               "prompt_field": "body", "probe_size": 20_000, "probe_pool": 30_000,
               "max_length": None, "devices": None}  # fmt: skip
    edit_run(run, detect={"settings": options})
    page = open_page("runs", "made", runs_view="Start")
    page.number_input(key="set_max_length").set_value(77)
    page.text_input(key="set_devices").set_value("cpu,cpu").run()
    page.query_params["like"] = "made"
    settled(page.run())
    assert page.toggle(key="set_contrast").value
    assert page.text_area(key="contrast_hub").value == "c/d"
    assert page.text_input(key="probe_prompt_field").value == "body"
    assert page.number_input(key="set_probe_size").value == 20_000
    assert page.number_input(key="set_max_length").value is None
    assert not page.text_input(key="set_devices").value


def test_a_fresh_run_points_to_the_next_step(runs_home: Path) -> None:
    synthetic(runs_home, shape=Shape(detect_only=True))
    app = open_page("overview", "made")
    assert "Needs step 2." in texts(app)
    shown = table(app, "detect")
    assert shown["detect"].tolist()[0] == "Done"
    assert shown["score"].tolist()[0] == "Not started"
