"""A run in a notebook: its words are the Overview's, its HTML is inert, its figures have names."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import circuitseer_core as cs
from circuitseer_core.runs.folder import DEMO_RUN, Run
from circuitseer_core.signatures.catalogue import warnings
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.signatures.summary import summary
from circuitseer_core.wording import together
from tests.support import hostile, synthetic


@pytest.fixture(scope="module")
def whole() -> cs.Run:
    """The bundled run, which has every stage and experiments."""
    return cs.load_run(DEMO_RUN)


def test_words_are_those_of_the_overview(whole: cs.Run) -> None:
    run = Run.open(DEMO_RUN)
    words = summary(Evidence(run), warnings(run))
    assert whole.summary() == words
    assert repr(whole) == f"Run({str(DEMO_RUN)!r}): {words}"
    assert together(words) in whole._repr_html_()
    warned = [s.title for s in whole.warnings() if s.severity == "warn"]
    assert warned and all(title in whole._repr_html_() for title in warned)


def test_every_figure_has_a_name_and_is_drawn(whole: cs.Run) -> None:
    names = whole.figures
    assert names[:4] == ["heads", "importance", "layers", "scores"]
    assert {"sources", "controls", "lengths", "experiment:length"} <= set(names)
    for name in names:
        assert whole.figure(name).data, name
    dark = whole.figure("heads", theme="dark").layout.template.layout.paper_bgcolor
    assert dark != whole.figure("heads").layout.template.layout.paper_bgcolor


def test_a_figure_can_be_of_another_scorer(whole: cs.Run) -> None:
    assert whole.figure("scores", scorer="focus").layout.xaxis.title.text == "focus"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("head", "no figure 'head': choose heads, importance"),
        (None, "no figure None: choose"),
        ("specificity", "needs a detection with a contrast set"),
        ("experiment:none", "keeps no figure of experiment 'none': run validate none"),
        ("experiment:length:9", "'length:9'"),
    ],
)
def test_other_names_are_one_line(whole: cs.Run, name: str, message: str) -> None:
    with pytest.raises(cs.UserError, match=message):
        whole.figure(name)
    with pytest.raises(cs.UserError, match="no theme 'pink'"):
        whole.figure("heads", theme="pink")  # type: ignore[arg-type]


def test_a_run_shows_itself_at_every_stage(tmp_path: Path) -> None:
    run = cs.load_run(Run.create(tmp_path / "new"))
    assert repr(run).endswith("Nothing is measured yet.")
    assert "Nothing is measured yet." in run._repr_html_() and run.figures == []
    with pytest.raises(cs.UserError, match="has no figure 'heads': it needs a detection"):
        run.figure("heads")
    made = synthetic.make_run(tmp_path / "scored", synthetic.Shape(rows=60, fraction=None))
    run = cs.load_run(made)
    assert "nothing is drawn yet" in run._repr_html_() and "sources" not in run.figures


class _Tags(HTMLParser):
    """What a browser would make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_hostile_texts_of_a_run_stay_text(tmp_path: Path) -> None:
    home = tmp_path / "<img src=x onerror=alert(1)>\x1b[31m"
    home.mkdir()
    run = cs.load_run(home / hostile.make_hostile(home))
    tags = _Tags()
    tags.feed(run._repr_html_())
    assert tags.names <= {"div", "p", "b", "span", "details", "summary", "ul", "li"}
    assert tags.attributes <= {"style"}
    assert repr(run).isprintable()


def test_without_plotly_a_run_is_shown_and_a_figure_is_one_line() -> None:
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "sys.modules['plotly'] = None\n"
        "import circuitseer_core as cs, circuitseer_core.installation as i\n"
        "i.find_spec = lambda name: None if name == 'plotly' else find(name)\n"
        f"run = cs.load_run({str(DEMO_RUN)!r})\n"
        "assert 'warns' in run._repr_html_() and 'warn' in repr(run)\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
        "try: run.figure('heads')\n"
        "except cs.UserError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("a figure needs plotly, which the extra 'app' brings: pip")
    assert done.stdout.count("\n") == 1
