"""The report: one file that carries everything, escapes everything and survives missing stages."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.markup import Html, table, tag, text
from circuitseer_core.report.html import Figures, page
from circuitseer_core.report.report import render, report
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.signatures.catalogue import warnings
from tests.support import synthetic
from tests.support.crafted_run import add_detection, add_scores, bare_run
from tests.support.hostile import make_hostile
from tests.support.records import edit_run

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = "<img src=x onerror=alert(1)></script><style>body{display:none}</style>&amp;"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with every stage done, one experiment kept, and command lines."""
    path = tmp_path_factory.mktemp("report") / "whole"
    run = Run.open(synthetic.make_run(path, synthetic.Shape(rows=300, contrast=True)))
    edit_run(
        run,
        commands=[
            {"stage": "detect", "command": "python -m circuitseer_core detect --run <x>", "at": ""},
            {"stage": "score", "command": None, "at": ""},
        ],
    )
    select_run(run, SelectionSettings.of(name="tenth", temperature=0.5))
    EXPERIMENTS["length"].run(run)
    return run


class _Text(HTMLParser):
    """Visible text, the elements seen, and every address an element could fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._hidden += tag in ("script", "style")
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "action")]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


def read(html: str) -> _Text:
    parser = _Text()
    parser.feed(html)
    return parser


class TestContents:
    def test_everything_asked_for_is_there(self, whole: Run) -> None:
        html = render(whole)
        words = " ".join(" ".join(read(html).words).split())
        for title in (
            "What to distrust", "Reasoning heads", "Scores", "Selection",
            "Validation experiments", "How it was made",
        ):  # fmt: skip
            assert title in words
        for signature in warnings(whole):
            assert signature.text in words
        assert "python -m circuitseer_core detect --run <x>" in words
        assert "select --run" in words and "--temperature 0.5" in words
        assert "tenth: 30 samples of 300, drawn by variance at τ = 0.5, seed 0." in words
        assert EXPERIMENTS["length"].run(whole).verdict in words

    def test_numbers_are_the_runs(self, whole: Run) -> None:
        words = " ".join(read(render(whole)).words)
        best = whole.heads().sort_values("rank").iloc[0]
        assert f"{best['importance']:+.4f}" in words
        scores = whole.scores(columns=["variance"])["variance"].to_numpy()
        assert f"{scores.mean():.2f}" in words

    def test_figures_carry_their_data_in_both_themes(self, whole: Run) -> None:
        html = render(whole)
        match = re.search(r'id="figures-data">(.*?)</script>', html, re.S)
        assert match is not None
        figures = json.loads(match.group(1))
        assert len(figures) == 10
        for key, both in figures.items():
            assert f'id="{key}"' in html
            assert both["light"]["layout"] != both["dark"]["layout"]
        heat = next(t for t in figures["figure-1"]["light"]["data"] if t["type"] == "heatmap")
        assert heat["zmin"] == -1

    def test_another_scoring_and_scorer(self, whole: Run) -> None:
        assert "Distribution of focus by source" in render(whole, scorer="focus")


class TestSelfContained:
    def test_nothing_is_fetched(self, whole: Run) -> None:
        parsed = read(render(whole))
        assert parsed.addresses == []
        assert not {"link", "iframe", "img", "object", "embed"} & set(parsed.tags)

    def test_the_library_is_inlined_once(self, whole: Run) -> None:
        html = render(whole)
        assert html.count("plotly.js v") == 1 and len(html) < 8_000_000
        assert "Content-Security-Policy" in html and "default-src 'none'" in html

    def test_hostile_text_stays_text(self, tmp_path: Path) -> None:
        run = bare_run(tmp_path / "run", versions={HOSTILE: HOSTILE})
        edit_run(
            run,
            model={"id": HOSTILE, "heads_per_layer": [4]},
            commands=[{"stage": "detect", "command": HOSTILE}],
        )
        add_detection(run, np.ones((4, 8)), sources=[HOSTILE, "b"] * 2)
        sources = [HOSTILE, "b"] * 20
        add_scores(run, {"variance": np.arange(1, 41.0), "source": sources}, heads_rule=HOSTILE)
        select_run(run, SelectionSettings.of(duplicates="keep"))
        EXPERIMENTS["length"].run(run)
        html = render(run)
        parsed = read(html)
        # Scripts: the library, the data, the drawing code; styles: the page's own. No more.
        assert parsed.tags.count("script") == 3 and parsed.tags.count("style") == 1
        assert "img" not in parsed.tags and "onerror=alert(1)>" not in html
        assert HOSTILE in " ".join(parsed.words)

    def test_a_run_that_is_hostile_throughout(self, tmp_path: Path) -> None:
        run = Run.open(tmp_path / make_hostile(tmp_path))
        parsed = read(render(run))
        assert parsed.tags.count("script") == 3 and parsed.tags.count("style") == 1
        assert not {"img", "a", "iframe", "object", "embed", "link", "form"} & set(parsed.tags)
        assert parsed.addresses == []
        assert "<b>zzhtml</b>" in " ".join(parsed.words)


class TestStages:
    def test_an_empty_run_says_what_is_missing(self, tmp_path: Path) -> None:
        run = Run.create(tmp_path / "new")
        words = " ".join(read(render(run)).words)
        for stage in ("detect", "score", "select"):
            assert f"the stage {stage} has not been run" in words
        assert "plotly.js v" not in render(run)

    def test_detection_alone(self, tmp_path: Path) -> None:
        shape = synthetic.Shape(detect_only=True)
        run = Run.open(synthetic.make_run(tmp_path / "run", shape))
        words = " ".join(read(render(run)).words)
        assert "the stage score has not been run" in words and "rank" in words

    def test_one_head_one_source_missing_scores(self, tmp_path: Path) -> None:
        run = bare_run(tmp_path / "run")
        add_detection(run, np.ones((1, 1)), heads_per_layer=1)
        add_scores(run, {"variance": [1.0, np.nan, 2.0], "source": [None, "a", "a"]})
        assert "Distribution of variance" in render(run)
        add_scores(run, {"variance": [np.nan, np.nan]})
        html = render(run)
        assert "No row of the scoring default has a score variance." in html
        assert "the stage score has not been run" not in html

    def test_many_sources_are_put_together(self, tmp_path: Path) -> None:
        run = bare_run(tmp_path / "run")
        sources = [f"s{i:02d}" for i in range(30) for _ in range(40 - i)]
        add_scores(run, {"variance": np.ones(len(sources)), "source": sources})
        words = " ".join(read(render(run)).words)
        assert "11 smaller sources" in words and "s18" in words and "s19" not in words
        select_run(run, SelectionSettings.of(fraction=0.5, duplicates="keep"))
        words = " ".join(read(render(run)).words)
        assert "Without the 10 sources smallest in the pool." in words


class TestWriting:
    def test_the_file_is_written_whole(self, whole: Run, tmp_path: Path) -> None:
        out = tmp_path / "new" / "report.html"
        assert report(whole, out) == out
        assert out.read_text(encoding="utf-8").endswith("</html>\n")
        assert [p.name for p in out.parent.iterdir()] == ["report.html"]

    def test_an_unknown_scorer_is_refused(self, whole: Run, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"no scores 'varianse': there are .*variance"):
            report(whole, tmp_path / "r.html", scorer="varianse")
        assert not (tmp_path / "r.html").exists()

    def test_bad_places(self, whole: Run, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="is a folder"):
            report(whole, tmp_path)
        (tmp_path / "file").write_text("", encoding="utf-8")
        with pytest.raises(UserError, match="cannot be written"):
            report(whole, tmp_path / "file" / "report.html")


def test_markup_is_escaped_unless_it_is_markup() -> None:
    assert text('<a b="c">') == "&lt;a b=&quot;c&quot;&gt;"
    assert tag("p", "<", Html("<b>x</b>"), class_='a"b') == '<p class="a&quot;b">&lt;<b>x</b></p>'
    assert "<td>&lt;i&gt;</td>" in table(["x"], [["<i>"]])
    assert "<title>&lt;x&gt;</title>" in page("<x>", [], Figures())


def test_no_figure_can_close_the_script_that_holds_it() -> None:
    figure = SimpleNamespace(
        layout=SimpleNamespace(height=None), to_json=lambda: '{"data": "</script><script>x"}'
    )
    figures = Figures()
    figures.add(figure, figure, "a caption")  # type: ignore[arg-type]
    parsed = read(figures.scripts())
    assert parsed.tags == ["script"] * 3 and parsed.words == ["\n", "\n"]
