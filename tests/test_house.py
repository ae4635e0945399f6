"""The shape of the code base: sizes, and which way dependencies point."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "circuitseer_core").rglob("*.py"))
UI = [path for folder in ("pages", "ui") for path in sorted((ROOT / folder).rglob("*.py"))]
MAX_MODULE_LINES = 350
MAX_FUNCTION_LINES = 60


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


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


@pytest.mark.parametrize("path", CORE, ids=lambda p: p.name)
def test_core_never_imports_the_app(path: Path) -> None:
    roots = {name.split(".")[0] for name in _imports(path)}
    assert not roots & {"streamlit", "pages", "ui", "app"}


@pytest.mark.parametrize("path", CORE + UI, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_imports_the_command_line(path: Path) -> None:
    if path.name == "__main__.py" or "cli" in path.parts:
        pytest.skip("the command line itself")
    assert not any(name.startswith("circuitseer_core.cli") for name in _imports(path))


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


def test_model_requirements_are_pinned_by_hash() -> None:
    text = (ROOT / "requirements-model.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^[a-z0-9-]+==[\w.]+ \\\n\s+--hash=sha256:[0-9a-f]{64}$", text, re.M)
    assert len(pins) == len(re.findall(r"^[a-z]", text, re.M)) == 3


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_exact(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert wanted and all(re.fullmatch(r"[\w.\[\]-]+==[\w.]+", line) for line in wanted)
