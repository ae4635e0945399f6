"""What the documents say of the tree: paths exist, links resolve, shown commands parse."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
import typer.main
import yaml

import circuitseer_core as cs
from circuitseer_core.cli.main import app, spread_values
from tests.test_house import ALLOWED, CORE_NAME, MODULES, project_imports

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "benchmarks" / "RESULTS.md",
]
_PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.py)`")
_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)[^)]*\)|(?:src|href)=\"(?!https?://)([^\"]+)\"")
_COMMAND = re.compile(r"^(?:circuitseer|python -m circuitseer_core) (\w.*)$", re.MULTILINE)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8").replace("\\\n", " ")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_named_files_exist(document: Path) -> None:
    homes = [ROOT, ROOT / "circuitseer_core", document.parent]
    places = {path.name for home in homes[:2] for path in home.iterdir()}
    named = {re.sub(r"\.[A-Z_]+$", "", name) for name in _PATH.findall(text_of(document))}
    missing = [
        name
        for name in named
        if "NAME" not in name and (name.split("/")[0] in places or name.endswith(".py"))
        if not any((home / name).exists() or (home / f"{name}.py").is_file() for home in homes)
    ]
    assert not missing


def test_names_stand_where_the_recipes_say() -> None:
    """``NAME`` in (or of, or with brackets) ``FILE``: the file defines it."""
    text = text_of(ROOT / "CONTRIBUTING.md")
    place = r"`((?:circuitseer_core|ui)/[\w/]+\.py)`"
    pairs = re.findall(rf"`([A-Za-z_.]+)` (?:in |of |\(){place}", text)
    assert len(pairs) > 8
    for name, file in pairs:
        last = name.rpartition(".")[2]
        defined = rf"^\s*(?:def |class )?{last}\b(?:\(|:| =)"
        assert re.search(defined, text_of(ROOT / file), re.MULTILINE), (name, file)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_links_resolve(document: Path) -> None:
    targets = [one or other for one, other in _LINK.findall(text_of(document))]
    assert not [t for t in targets if not (document.parent / t).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_shown_commands_parse(document: Path) -> None:
    """Every command exists and takes the options it is shown with; nothing is run."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for line in _COMMAND.findall(text_of(document)):
        words = spread_values(shlex.split(line.split("#")[0]))
        if words[0].isupper():
            continue  # COMMAND stands for any
        command = commands[words[0]]
        flags = {flag for parameter in command.params for flag in parameter.opts}
        shown = {word for word in words[1:] if word.startswith("--")} - {"--help"}
        assert shown <= flags, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_tables_have_a_heading(document: Path) -> None:
    """Else Markdown shows their rows as running text, with all the bars."""
    lines = ["", *text_of(document).splitlines()]
    starts = [at for at, line in enumerate(lines) if line.startswith("|") and lines[at - 1] == ""]
    assert not [lines[at] for at in starts if not re.fullmatch(r"[|\s:-]+", lines[at + 1])]


def test_the_import_table_is_the_one_that_is_checked() -> None:
    text = text_of(ROOT / "docs" / "architecture.md")
    rows = re.findall(r"^\| ([a-z, ]+) \| ([a-z, ]+) \|$", text, re.MULTILINE)
    shown = {
        name: set() if allowed == "the ground" else set(allowed.split(", "))
        for names, allowed in rows
        for name in names.split(", ")
        if name in ALLOWED and name != "cli"
    }
    assert shown == {name: allowed for name, allowed in ALLOWED.items() if name != "cli"}


def test_the_tree_names_every_module_of_the_core() -> None:
    """Figures, experiments and commands stand one a file, and the tree says so."""
    tree = text_of(ROOT / "docs" / "architecture.md").split("## The tree")[1].split("\n## ")[0]
    named = set(re.findall(r"\w+", tree))
    core = ROOT / "circuitseer_core"
    one_a_file = {core / name for name in ("figures", "experiments", "cli")}
    modules = [path for path in core.rglob("[a-z]*.py") if path.parent not in one_a_file]
    assert not [str(path.relative_to(core)) for path in modules if path.stem not in named]


def test_the_flows_follow_the_imports() -> None:
    """Every module of the core that a flow names is reached from the flow's own stages."""
    text = text_of(ROOT / "docs" / "architecture.md").split("## Three flows")[1].split("\n## ")[0]
    _, data, probe, score = text.split("\n**")
    for flow, stages in (
        (data, ["scoring.score"]),
        (probe, ["detection.detect", "figures.heads"]),
        (score, ["selection.select_run", "export.write", "export.verify"]),
    ):
        named = re.findall(r"`((?:\w+/)+\w+)`", flow)
        wanted = {f"{CORE_NAME}.{n.replace('/', '.')}" for n in named if not n.startswith("ui/")}
        assert len(wanted) > 8 and wanted <= _reached(f"{CORE_NAME}.{stage}" for stage in stages)


def _reached(starts: Iterable[str]) -> set[str]:
    """Modules that these import, and those that they import in turn."""
    reached: set[str] = set()
    waiting = list(starts)
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += project_imports(MODULES[module])
    return reached


def test_torch_is_where_the_architecture_says() -> None:
    line = re.search(
        r"^- torch: only ([^;]+);", text_of(ROOT / "docs" / "architecture.md"), re.MULTILINE
    )
    assert line is not None
    core = ROOT / "circuitseer_core"
    importing = {
        path.relative_to(core).parts[0]
        for path in core.rglob("*.py")
        if re.search(r"^(?:import|from) torch\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert set(re.findall(r"\w+", line[1])) & set(ALLOWED) == importing


def test_the_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"]) - {"all"}
    sentence = re.search(r"the extras are (.+?)\. ", text_of(ROOT / "README.md"))
    assert sentence is not None
    assert set(re.findall(r"`(\w+)`", sentence[1])) - {"s3fs", "gcsfs"} == extras
    assert set(project["optional-dependencies"]["all"][0].split("[")[1][:-1].split(",")) == extras


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == cs.__version__


def test_every_command_has_a_verb_and_every_verb_a_place() -> None:
    """The library's page has all of them, with the settings classes that they name."""
    page = text_of(ROOT / "docs" / "api.md")
    verbs = {name for name in cs.__all__ if name.islower()}
    commands = set(typer.main.get_command(app).commands) - {"app", "demo"}  # type: ignore[attr-defined]
    named = {"survey" if name == "data" else name.replace("-", "_") for name in commands}
    assert named <= verbs
    for name in verbs:
        homes = {"circuitseer_core.api", getattr(cs, name).__module__}
        assert any(f"::: {home}.{name}\n" in page for home in homes), name
        for settings in re.findall(r":class:`([\w.]+Settings)`", getattr(cs, name).__doc__):
            assert f"::: {settings}\n" in page, name


def test_the_site_is_built_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    """As ``make docs`` does, with every page and the library's verbs on it."""
    pytest.importorskip("mkdocs")
    copied = tmp_path / "checkout"
    names = ["mkdocs.yml", "LICENSE", "CITATION.cff", "circuitseer_core", "docs", "benchmarks"]
    for path in [*ROOT.glob("*.md"), *(ROOT / name for name in names)]:
        (copied / path.name).parent.mkdir(exist_ok=True)
        (copied / path.name).symlink_to(path)
    shutil.copytree(ROOT / "assets", copied / "assets", ignore=shutil.ignore_patterns("demo-run"))
    spec = importlib.util.spec_from_file_location("make_site", ROOT / "docs" / "make_site.py")
    assert spec is not None and spec.loader is not None
    site = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(site)
    assert site.build(copied) == 0
    page = (copied / "build" / "site" / "docs" / "api.html").read_text(encoding="utf-8")
    for shown in re.findall(r"^::: ([\w.]+)$", text_of(ROOT / "docs" / "api.md"), re.MULTILINE):
        assert f'id="{shown}"' in page
    assert ":class:" not in page
    with (copied / "build" / "site-source" / "README.md").open("a", encoding="utf-8") as readme:
        readme.write("\n[nowhere](docs/nowhere.md)\n")
    assert site.render(copied) != 0, "a link to nothing fails the build"
