"""The wheel, installed where there is no checkout."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from tests.support.installed import Installed

pytestmark = pytest.mark.install


def test_only_the_package_goes_into_site_packages(installed: Installed) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert top == {"circuitseer_core", f"{'-'.join(installed.wheel.stem.split('-')[:2])}.dist-info"}
    assert {"circuitseer_core/py.typed", "circuitseer_core/_app/app.py"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or "make_demo_run" in name]


def test_the_version_is_one(installed: Installed, tmp_path: Path) -> None:
    code = (
        "import importlib.metadata as m, circuitseer_core as c; "
        "print(c.__version__, m.version('circuitseer'), c.__file__)"
    )
    package, distribution, place = installed.run("python", "-c", code, cwd=tmp_path).stdout.split()
    asked = installed.run("circuitseer", "--version", cwd=tmp_path)
    assert asked.stdout == f"circuitseer {package}\n" and package == distribution
    assert Path(place).is_relative_to(installed.home)


def test_a_subset_is_drawn_from_parquet(installed: Installed, tmp_path: Path) -> None:
    rows = pd.DataFrame({"id": [f"s{i}" for i in range(20)], "variance": range(1, 21)})
    rows.to_parquet(tmp_path / "scores.parquet")
    code = (
        "import circuitseer_core as cs; "
        "print(*cs.select('scores.parquet', count=3, temperature=0)['id'])"
    )
    done = installed.run("python", "-c", code, cwd=tmp_path)
    assert done.stdout.split() == ["s19", "s18", "s17"], done.stderr


def test_help_shows_the_verbs_with_their_signatures(installed: Installed, tmp_path: Path) -> None:
    text = installed.run("python", "-m", "pydoc", "circuitseer_core", cwd=tmp_path).stdout
    description, _, rest = text.partition("PACKAGE CONTENTS")
    for verb in ("detect", "score", "select", "load_run"):
        assert f"cs.{verb}(" in description
        assert re.search(rf"^    {verb}\(\w", rest, re.M)


@pytest.mark.parametrize(
    ("extra", "module", "command"),
    [
        ("app", "streamlit", "app"),
        ("app", "duckdb", "app"),
        ("app", "plotly", "report --run demo --out report.html"),
        ("hub", "datasets", "detect --run new --model m --probe hf:a/b"),
        ("demo", "gguf", "detect --run new --model demo --probe data.jsonl"),
        ("remote", "fsspec", "detect --run new --model m --probe s3://bucket/data.jsonl"),
        ("dedup", "datasketch", "select --run demo --name again --near-duplicates 0.8"),
        ("ray", "ray", "score --run demo --name again --data data.jsonl --engine ray"),
    ],
)
def test_a_missing_extra_is_one_line_that_names_it(
    installed: Installed, tmp_path: Path, extra: str, module: str, command: str
) -> None:
    (tmp_path / "data.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    lines = [
        "import os, shutil, sys",
        "os.environ['CIRCUITSEER_HOME'] = 'cache'",
        f"sys.modules[{module!r}] = None",
        "from circuitseer_core.cli.main import main",
        "from circuitseer_core.runs.folder import DEMO_RUN",
        "shutil.copytree(DEMO_RUN, 'demo')",
        f"sys.argv[1:] = {command.split()!r}",
        "main()",
    ]
    done = installed.run("python", "-c", "\n".join(lines), cwd=tmp_path)
    assert done.returncode == 1
    assert f'pip install "circuitseer[{extra}]"' in done.stderr, done.stderr
    assert module in done.stderr and len(done.stderr.splitlines()) == 1
