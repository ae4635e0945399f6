"""The embedded default corpus: 1,410 worked problems from 8 sources, the same on every machine.

Two data packages stand behind it, both pinned in requirements-model.txt:

- ``champ-dataset``: 270 competition problems with human step-by-step solutions. Only its JSON file
  is read. It gives the sources ``champ-algebra`` and ``champ-discrete``.
- ``engram-generator``: seeded generators with a problem, its steps and its answer. Six families
  whose answers were checked give six sources of 190 problems; the numbers and the steps are
  theirs, the wording is ours, so that prompts read like a person's and differ in length.

Importing this module needs neither package; building the rows does.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from circuitseer_core.data import demo_problems
from circuitseer_core.data.demo_problems import FAMILIES, Family
from circuitseer_core.data.formats import Row
from circuitseer_core.errors import UserError
from circuitseer_core.files import cache_home, sweep_beside, write_json
from circuitseer_core.hashing import hash64, short_hash
from circuitseer_core.installation import DEMO_PACKAGES, missing_extra

PACKAGES = {"champ-dataset": "1.0.0", "engram-generator": "0.3.0"}

_CHAMP_SOURCES = {
    "Inequality": "champ-algebra",
    "Polynomial": "champ-algebra",
    "Sequence": "champ-algebra",
    "Combinatorics": "champ-discrete",
    "Number-Theory": "champ-discrete",
}
_SEED = 20240
_PER_FAMILY = 190


def available() -> str | None:
    """None where the demo corpus can be built, else the one line that says how to make it so."""
    for package, version in PACKAGES.items():
        try:
            installed = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return f"the demo data needs the package {package} {version}: {DEMO_PACKAGES}"
        if installed != version:
            return f"the demo data needs {package} {version}, found {installed}: {DEMO_PACKAGES}"
    return missing_extra("demo", "the demo data", "sympy")


@lru_cache(maxsize=1)
def demo_rows() -> tuple[dict[str, Any], ...]:
    """The demo corpus as plain rows: id, source, question, solution, answer, topic, level, steps.

    In the order of a stable hash, so that the first rows are from every source. ``level`` is the
    generator's difficulty and ``tier`` its place in the curriculum (both null for competition
    problems). Built once a machine (a second or two) and kept in the cache folder, under a name
    that changes with this module, the wording and the packages. Raises UserError without the
    packages.
    """
    if problem := available():
        raise UserError(problem)
    modules = (__file__, demo_problems.__file__)
    sources = [Path(file).read_text(encoding="utf-8") for file in modules]
    recipe = short_hash(*sources, json.dumps(PACKAGES))
    kept = cache_home() / f"demo-rows-{recipe}.json"
    with contextlib.suppress(OSError, ValueError):
        return tuple(json.loads(kept.read_text(encoding="utf-8")))
    made = _champ_rows()
    for family in FAMILIES:
        made.extend(_family_rows(family))
    keys = hash64(_SEED, "demo-order", (f"{row['source']}/{row['id']}" for row in made))
    ordered = [made[i] for i in keys.argsort(kind="stable")]
    with contextlib.suppress(OSError):  # a folder that cannot be written only costs time
        sweep_beside(kept)
        write_json(kept, ordered)
    return tuple(ordered)


def _champ_rows() -> list[dict[str, Any]]:
    spec = importlib.util.find_spec("champ_dataset")
    folder = next(iter((spec and spec.submodule_search_locations) or []), None)
    path = Path(folder or "") / "dataset_files" / "v0.json"
    if folder is None or not path.is_file():
        raise UserError(f"the demo data package champ-dataset is incomplete: {DEMO_PACKAGES}")
    problems = json.loads(path.read_text(encoding="utf-8"))["problems"]
    return [_champ_row(problem) for problem in problems.values()]


def _champ_row(problem: dict[str, Any]) -> dict[str, Any]:
    steps = [step["_text"] for step in problem["solution"]["steps"]]
    return {
        "id": problem["identifier"].removeprefix("P_"),
        "source": _CHAMP_SOURCES[problem["category"]],
        "question": problem["_text"],
        "solution": "\n".join([*steps, f"Answer: {problem['_answer']}"]),
        "answer": problem["_answer"],
        "topic": problem["category"].replace("-", " "),
        "level": None,
        "tier": None,
        "steps": len(steps),
    }


def _family_rows(family: Family) -> Iterator[dict[str, Any]]:
    """The first 190 different problems of one generator."""
    from engram_generator.curriculum.registry import get_generator

    low, high = family.levels
    generator = get_generator(family.task, min_difficulty=low, max_difficulty=high, seed=_SEED)
    seen: set[str] = set()
    while len(seen) < _PER_FAMILY:
        made = generator.generate(1)[0]
        wordings = [] if made.answer == "skip" else family.ask(made.problem)
        if made.problem in seen or not wordings:
            continue
        own_id = f"{len(seen) + 1:04d}"
        seen.add(made.problem)
        pick = int(hash64(_SEED, family.task, [own_id])[0]) % len(wordings)
        steps = family.explain(made.steps)
        yield {
            "id": own_id,
            "source": family.source,
            "question": wordings[pick],
            "solution": "\n".join([*steps, f"Answer: {made.answer}"]),
            "answer": made.answer,
            "topic": family.task.replace("_", " "),
            "level": made.difficulty,
            "tier": made.tier,
            "steps": len(made.steps),
        }


class DemoTable:
    """The embedded corpus as a table. Raises UserError where its packages are absent."""

    name = "demo"
    format = "embedded"
    counts_itself = True

    def __init__(self, source: str | None) -> None:
        if problem := available():
            raise UserError(problem)
        self.source = source or "demo"

    def rows(self) -> Iterator[Row]:
        """Stream the rows; they are built on first use (under a second)."""
        for number, record in enumerate(demo_rows(), start=1):
            yield Row(f"demo row {number}", dict(record))

    def count(self) -> int:
        """1,410."""
        return len(demo_rows())

    def fingerprint(self) -> dict[str, Any]:
        """The packages' versions and the SHA-256 of the rows as JSON."""
        text = json.dumps(demo_rows(), sort_keys=True, ensure_ascii=False)
        return {
            "name": self.name,
            "packages": dict(PACKAGES),
            "rows": self.count(),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
