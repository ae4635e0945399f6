"""The shape of the code base: sizes, and which way dependencies point."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "circuitseer_core").rglob("*.py"))
UI = [path for folder in ("pages", "ui") for path in sorted((ROOT / folder).rglob("*.py"))]
MAX_MODULE_LINES = 350
MAX_FUNCTION_LINES = 60
MAX_TEST_LINES = 400


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _imports(path: Path) -> set[str]:
    """Every module named in an import, at any depth of the file."""
    names: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("path", CORE + UI, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_and_functions_stay_small(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_MODULE_LINES, f"{path.name} has {lines} lines"
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{path.name}:{node.name} has {length} lines"


# What a package may import beside the ground (and the ground's modules in this order: each only
# those before it). docs/architecture.md shows the same table to people.
GROUND = [
    "aliases", "errors", "arguments", "checksums", "installation", "limits", "hashing", "json_io",
    "files", "spreadsheets", "wording", "markdown", "markup", "distributions", "correlation",
]  # fmt: skip
_STUDY = {"signatures", "selection", "scoring", "detection", "model", "runs", "data"}
ALLOWED: dict[str, set[str]] = {
    "data": set(),
    "figures": set(),
    "runs": {"data"},
    "model": {"data"},
    "detection": {"model", "runs", "data"},
    "scoring": {"detection", "model", "runs", "data"},
    "trial": {"detection", "model", "runs", "data"},
    "selection": {"runs", "data"},
    "calibration": {"selection", "runs", "data"},
    "browse": {"runs", "data"},
    "export": {"calibration", "selection", "runs", "data"},
    "arms": {"export", "selection", "runs", "data"},
    "training": {"arms", "model", "runs", "data"},
    "signatures": {"scoring", "detection", "runs"},
    "experiments": {"training", "arms", *_STUDY},
    "report": {"experiments", "signatures", "figures", "selection", "detection", "runs"},
    "notebook": {"report", "signatures", "runs"},
    "sharing": {"export", "detection", "model", "runs", "data"},
    "stages": {"arms", "calibration", "selection", "scoring", "detection", "runs"},
    "api": {
        *("stages", "notebook", "sharing", "report", "experiments", "arms", "export"),
        *("calibration", "selection", "scoring", "detection", "model", "runs", "data"),
    },
    "cli": {
        *(
            "api",
            "stages",
            "sharing",
            "arms",
            "training",
            "report",
            "experiments",
            "browse",
            "export",
            "calibration",
        ),
        *_STUDY,
    },
}
CORE_NAME = "circuitseer_core"


def _module(path: Path) -> str:
    """A file's dotted name, a package's without ``__init__``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module(path): path for path in [*CORE, *UI, ROOT / "app.py"]}


def project_imports(path: Path) -> set[str]:
    """The project's own modules that a file imports, inside functions too."""
    return {name for name in _imports(path) if name in MODULES} - {_module(path)}


def _package(module: str) -> str:
    """``data`` of circuitseer_core.data.corpus; ``ui``, ``pages``, ``app`` outside the core."""
    root, _, rest = module.partition(".")
    return rest.split(".")[0] if root == CORE_NAME else root


def test_every_package_is_in_the_table() -> None:
    packages = {_package(module) for module in MODULES if module.startswith(f"{CORE_NAME}.")}
    assert packages == {*GROUND, *ALLOWED, "__main__"}


def test_imports_follow_the_table() -> None:
    wrong = []
    for module, path in MODULES.items():
        here = _package(module)
        for name in project_imports(path):
            there = _package(name)
            if there in ("", here):  # "": ``from circuitseer_core import one_of_its_modules``
                fine = True
            elif here in GROUND:
                fine = there in GROUND[: GROUND.index(here)]
            elif here in ("ui", "pages", "app"):
                fine = there not in {"cli", "__main__", "app"} and (here, there) != ("ui", "pages")
            elif here == "__main__":
                fine = there == "cli"
            elif module == CORE_NAME:
                fine = there in {"api", "errors", "notebook"}
            else:
                fine = there in GROUND or there in ALLOWED[here]
            if not fine:
                wrong.append(f"{module} imports {name}")
    assert not wrong


def test_no_import_goes_in_a_circle() -> None:
    imports = {
        module: {name for name in project_imports(path) if not module.startswith(f"{name}.")}
        for module, path in MODULES.items()
    }
    assert _circle(imports) is None


def test_a_circle_is_found() -> None:
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


def _circle(imports: dict[str, set[str]]) -> list[str] | None:
    """Some modules that cannot be put in an order; None where all can."""
    try:
        tuple(TopologicalSorter(imports).static_order())
    except CycleError as error:
        return sorted(set(error.args[1]))
    return None


def test_model_path_imports_without_app_hub_and_sql() -> None:
    """Loaded in a fresh interpreter in which the optional libraries cannot be imported."""
    modules = ["errors", "hashing", "runs.folder", "data.corpus", "data.formats", "data.demo"]
    modules += [
        "model.reference",
        "model.attention",
        "detection.detect",
        "scoring.scorers",
        "scoring.score",
    ]
    blocked = ["streamlit", "datasets", "duckdb", "plotly"]
    assert _import_failure([f"circuitseer_core.{name}" for name in modules], blocked) == ""


def test_corpus_and_sampling_import_without_torch() -> None:
    modules = ["circuitseer_core", "circuitseer_core.data.corpus", "circuitseer_core.data.demo"]
    modules += ["circuitseer_core.selection.draw", "circuitseer_core.selection.select"]
    blocked = ["torch", "transformers", "streamlit", "datasets", "duckdb"]
    assert _import_failure(modules, blocked) == ""


def test_a_blocked_import_is_noticed() -> None:
    assert "import of torch halted" in _import_failure(
        ["circuitseer_core.model.reference"], ["torch"]
    )


def _import_failure(modules: list[str], blocked: list[str]) -> str:
    """What a fresh interpreter says when it imports these; empty where it can."""
    code = f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n"
    code += "\n".join(f"import {module}" for module in modules)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stderr if done.returncode else ""


MARKDOWN = {
    "markdown", "caption", "info", "warning", "error", "success", "toast", "metric", "badge",
    "expander", "button", "checkbox", "toggle", "popover", "progress", "spinner", "subheader",
    "header", "title", "segmented_control", "pills", "text_input", "number_input", "selectbox",
    "multiselect", "slider", "radio", "download_button", "link_button", "status", "dialog",
}  # fmt: skip
"""Parts of Streamlit that read Markdown in their first argument, label, help, text or delta."""
OF_DATA = {"name", "id", "error", "wanted", "source", "path", "scorer", "reason", "column"}
"""What values that come from data or files are called."""


@pytest.mark.parametrize("path", UI, ids=lambda p: str(p.relative_to(ROOT)))
def test_text_of_data_reaches_markdown_through_the_one_escaping_function(path: Path) -> None:
    assert not list(_raw_in_markdown(_tree(path)))


def test_raw_text_of_data_is_found() -> None:
    code = "st.caption(f'{run.name} is {inline(x.name)}')\nst.error(str(error))\nst.text(name)"
    assert list(_raw_in_markdown(ast.parse(code))) == ["run.name", "str(error)"]


def _raw_in_markdown(tree: ast.Module) -> Iterator[str]:
    """Expressions that stand in Markdown and are named like what comes from data."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        if call.func.attr not in MARKDOWN or ast.unparse(call.func.value) in ("jobs", "logging"):
            continue
        named = [k.value for k in call.keywords if k.arg in ("label", "body", "help", "text")]
        for argument in [*call.args[:1], *named]:
            parts = list(_interpolated(argument))
            for part in [argument, *parts]:
                inner = part
                if isinstance(part, ast.Call) and ast.unparse(part.func) == "str":
                    inner = part.args[0]
                last = getattr(inner, "attr", getattr(inner, "id", None))
                if last in OF_DATA and isinstance(inner, ast.Name | ast.Attribute):
                    yield ast.unparse(part)


def _interpolated(node: ast.expr) -> Iterator[ast.expr]:
    """What f-strings in an expression interpolate, outside the escaping function."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("inline", "literal", "prose"):
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FormattedValue):
            yield child.value
        if isinstance(child, ast.expr):
            yield from _interpolated(child)


def test_model_requirements_are_pinned_by_hash() -> None:
    text = (ROOT / "requirements-model.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^[a-z0-9-]+==[\w.]+ \\\n\s+--hash=sha256:[0-9a-f]{64}$", text, re.M)
    assert len(pins) == len(re.findall(r"^[a-z]", text, re.M)) == 3


@pytest.mark.parametrize("name", ["", "-dev", "-ray", "-docs"])
def test_a_lock_holds_every_requirement_with_hashes(name: str) -> None:
    """In the versions of requirements.lock, so that any of them can be installed together."""
    pin = re.compile(r"^([\w.-]+)(?:\[[\w,]+\])?==([\w.+-]+)", re.MULTILINE)
    lock = (ROOT / f"requirements{name}.lock").read_text(encoding="utf-8")
    pins = dict(pin.findall(lock))
    wanted = dict(pin.findall((ROOT / f"requirements{name}.txt").read_text(encoding="utf-8")))
    assert wanted and wanted.items() <= pins.items()
    base = dict(pin.findall((ROOT / "requirements.lock").read_text(encoding="utf-8")))
    assert {package: base.get(package, version) for package, version in pins.items()} == pins
    entries = re.findall(r"^[\w.-]+.*?==.*?(?=^[\w.-]+.*?==|\Z)", lock, re.MULTILINE | re.DOTALL)
    assert len(entries) >= len(pins) and all("--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-dev.txt", "requirements-docs.txt"]
)
def test_requirements_are_exact(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert wanted and all(re.fullmatch(r"[\w.\[\]-]+==[\w.]+", line) for line in wanted)


@pytest.mark.parametrize(
    ("pattern", "home"),
    [
        (r"1\.95?9?\d*964|\b1\.96\b", "distributions.py"),
        (r"[\"']control_\{", "columns.py"),
        (r"NDArray\[np\.(float64|int64|uint64|intp)\]|= tuple\[int, int\]$", "aliases.py"),
        (r"\.splitlines\(\)(?: or .*?)?\)?\[0\]", "errors.py"),
        (r"[<>]=? 0\.(9|95|8)\b|abs\(\w+\) [<>]=? 0\.5", "limits.py"),
    ],
    ids=["z", "control columns", "array types", "first line of an error", "thresholds"],
)
def test_a_fact_stands_in_one_place(pattern: str, home: str) -> None:
    homes = {
        path.name
        for path in [*CORE, *UI]
        if re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert homes <= {home}


@pytest.mark.parametrize("path", CORE + UI, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_that_the_code_speaks_of_exist(path: Path) -> None:
    names = set(re.findall(r"(?<![\w*./-])(?:[\w-]+/)*\w+\.py\b", path.read_text(encoding="utf-8")))
    assert names <= _named_places()


@cache
def _named_places() -> set[str]:
    """Every way to name a file: ``c.py``, ``b/c.py``, ``a/b/c.py``."""
    places = [path.relative_to(ROOT).parts for path in OURS]
    return {"/".join(parts[n:]) for parts in places for n in range(len(parts))}


VAGUE = {"found", "held", "said", "told", "mine", "theirs", "given"}
"""Words that tell neither the type nor the meaning of a value."""
OURS = [
    *CORE, *UI, ROOT / "app.py",
    *(path for folder in ("tests", "benchmarks", "docs") for path in (ROOT / folder).rglob("*.py")),
]  # fmt: skip


@pytest.mark.parametrize("path", OURS, ids=lambda p: str(p.relative_to(ROOT)))
def test_names_tell_type_and_meaning(path: Path) -> None:
    assert not list(_vague_names(_tree(path)))


def test_a_vague_name_is_noticed() -> None:
    code = "from hypothesis import given\ndef _told(mine): found = 1; self.held = row['said']"
    assert sorted(_vague_names(ast.parse(code))) == ["_told", "found", "held", "mine"]


def _vague_names(tree: ast.Module) -> Iterator[str]:
    """Names of variables, parameters, attributes, functions and classes, where they are given."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                pass
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                pass
            case ast.ClassDef(name=name) | ast.alias(asname=str(name)):
                pass
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                pass
            case _:
                continue
        if name.strip("_") in VAGUE:
            yield name


WHOLE = {
    "test_house.py",
    "test_docs.py",
    "test_evidence.py",
    "test_tour.py",
    "test_install.py",
    "test_real_model.py",
    "test_device_placement.py",
    "test_allow_pickle.py",
    "test_order.py",
    "test_required.py",
    "test_damage_is_mended.py",
}
"""Tests of the project as a whole rather than of one module."""


@pytest.mark.parametrize(
    "path",
    [
        path.relative_to(ROOT / "tests")
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if path.name not in WHOLE and not {"app", "browser", "chaos"} & set(path.parts)
    ],
    ids=str,
)
def test_a_test_stands_where_its_module_does(path: Path) -> None:
    lines = (ROOT / "tests" / path).read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_TEST_LINES, f"{lines} lines: split it by the modules that it tests"
    module = path.with_name(path.name.removeprefix("test_"))
    homes = (ROOT, ROOT / CORE_NAME)
    assert any((home / module).is_file() for home in homes), f"no module {module}"


def test_no_figure_needs_webgl() -> None:
    """Not every browser has it: a remote desktop, a virtual machine, a hardened one."""
    needing = [
        path.name
        for path in (ROOT / "circuitseer_core" / "figures").glob("*.py")
        if re.search(r"\w+gl\(|type\W+\w+gl\b", path.read_text(encoding="utf-8"))
    ]
    assert not needing
    assert re.search(r"\w+gl\(", "go.Scattergl(")
