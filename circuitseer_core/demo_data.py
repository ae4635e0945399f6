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
import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from circuitseer_core.corpus import Corpus, Sample
from circuitseer_core.errors import UserError
from circuitseer_core.files import cache_home, write_json
from circuitseer_core.hashing import hash64, short_hash

PACKAGES = {"champ-dataset": "1.0.0", "engram-generator": "0.3.0"}
INSTALL = "pip install --no-deps --require-hashes -r requirements-model.txt"

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
            found = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return f"the demo data needs the package {package} {version}: {INSTALL}"
        if found != version:
            return f"the demo data needs {package} {version}, found {found}: {INSTALL}"
    if importlib.util.find_spec("sympy") is None:
        return "the demo data needs sympy: pip install -r requirements.txt"
    return None


def demo_corpus() -> Iterator[Sample]:
    """Every sample of the demo corpus, sources mixed. Raises UserError without the packages."""
    return (entry for entry in Corpus(["demo"]) if isinstance(entry, Sample))


def demo_probe(max_chars: int = 400) -> list[Sample]:
    """The samples short enough (prompt plus response, characters) for a quick probe on a CPU.

    All have a worked response, and any prefix mixes the sources. Raises UserError without the
    packages.
    """
    return [s for s in demo_corpus() if len(s.prompt) + len(s.response or "") <= max_chars]


def texts() -> dict[str, Sample]:
    """The demo samples by id; empty where the data packages are absent."""
    return {} if available() else {sample.id: sample for sample in demo_corpus()}


@lru_cache(maxsize=1)
def rows() -> tuple[dict[str, Any], ...]:
    """The demo corpus as plain rows: id, source, question, solution, answer, topic, level, steps.

    In the order of a stable hash, so that the first rows are from every source. ``level`` is the
    generator's difficulty and ``tier`` its place in the curriculum (both null for competition
    problems). Built once a machine (a second or two) and kept in the cache folder, under a name
    that changes with this module and the packages. Raises UserError without the packages.
    """
    if problem := available():
        raise UserError(problem)
    recipe = short_hash(Path(__file__).read_text(encoding="utf-8"), json.dumps(PACKAGES))
    kept = cache_home() / f"demo-rows-{recipe}.json"
    with contextlib.suppress(OSError, ValueError):
        return tuple(json.loads(kept.read_text(encoding="utf-8")))
    made = _champ_rows()
    for family in _FAMILIES:
        made.extend(_family_rows(family))
    keys = hash64(_SEED, "demo-order", (f"{row['source']}/{row['id']}" for row in made))
    found = [made[i] for i in keys.argsort(kind="stable")]
    with contextlib.suppress(OSError):  # a folder that cannot be written only costs time
        write_json(kept, found)
    return tuple(found)


def _champ_rows() -> list[dict[str, Any]]:
    spec = importlib.util.find_spec("champ_dataset")
    folder = next(iter((spec and spec.submodule_search_locations) or []), None)
    path = Path(folder or "") / "dataset_files" / "v0.json"
    if folder is None or not path.is_file():
        raise UserError(f"the demo data package champ-dataset is incomplete: {INSTALL}")
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


class _Family:
    """One generator: its task name, its difficulty range, our wording and our way with its steps.

    ``ask`` words a problem in several ways (none: leave it out); ``explain`` turns the
    generator's steps into lines of text.
    """

    def __init__(
        self,
        task: str,
        levels: tuple[int, int],
        ask: Callable[[str], list[str]],
        explain: Callable[[list[str]], list[str]],
    ) -> None:
        self.task = task
        self.source = task.replace("_", "-")
        self.levels = levels
        self.ask = ask
        self.explain = explain


def _family_rows(family: _Family) -> Iterator[dict[str, Any]]:
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


def _numbers(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"-?\d+", text)]


def _ask_addition(problem: str) -> list[str]:
    a, b = _numbers(problem)[:2]
    return [
        f"What is {a} + {b}?",
        f"Add {a} and {b}, digit by digit.",
        f"A library owned {a} books and then received {b} more. How many books does it own now?",
    ]


def _ask_multiplication(problem: str) -> list[str]:
    a, b = _numbers(problem)[:2]
    return [
        f"What is {a} × {b}?",
        f"Multiply {a} by {b} and show the partial products.",
        f"A hall has {b} rows of seats with {a} seats in each row. How many seats are there?",
    ]


def _ask_gcd(problem: str) -> list[str]:
    a, b = _numbers(problem)[:2]
    return [
        f"Find the greatest common divisor of {a} and {b}.",
        f"Use the Euclidean algorithm to compute gcd({a}, {b}).",
        (
            f"A floor measures {a} cm by {b} cm. How long is the side of the largest square tile "
            "that covers it exactly, without cutting any tile?"
        ),
    ]


def _ask_lcm(problem: str) -> list[str]:
    values = [str(value) for value in _numbers(problem)]
    listed = ", ".join(values[:-1]) + f" and {values[-1]}"
    return [
        f"Find the least common multiple of {listed}.",
        f"What is lcm({', '.join(values)})?",
        (
            f"Lights blink every {listed} seconds and have just blinked together. After how many "
            "seconds will they next blink together?"
        ),
    ]


def _ask_determinant(problem: str) -> list[str]:
    body = problem.split("}", 1)[1].rsplit("\\end", 1)[0]
    lines = [", ".join(map(str, _numbers(line))) for line in body.split("\\\\")]
    matrix = "[" + ", ".join(f"[{line}]" for line in lines) + "]"
    return [
        f"Compute the determinant of the matrix {matrix}.",
        f"What is det({matrix})?",
        (
            f"Is the matrix {matrix} invertible? Decide by working out its determinant, and give "
            "the determinant."
        ),
    ]


def _ask_linear(problem: str) -> list[str]:
    slope, offset, value = _numbers(problem)[:3]
    if offset == 0:
        return []  # reads badly as an equation with two sides to tidy
    shown = f"{slope}x {'-' if offset < 0 else '+'} {abs(offset)} = {value}"
    change = f"{'subtracting' if offset < 0 else 'adding'} {abs(offset)}"
    return [
        f"Solve for x: {shown}.",
        f"Find the value of x for which {shown}.",
        f"Multiplying a number by {slope} and then {change} gives {value}. What is the number?",
    ]


def _explain_addition(steps: list[str]) -> list[str]:
    lines = [_spaced(step) for step in steps if not step.startswith("carry")]
    carried = [f"The last carry, {s.removeprefix('carry=')}, goes in front." for s in steps[-1:]]
    return [
        "Add the digits from right to left, with any carry from the column before.",
        *lines,
        *(carried if steps[-1].startswith("carry") else []),
    ]


def _explain_determinant(steps: list[str]) -> list[str]:
    return [
        _COFACTOR.sub(_cofactor_line, step) if "C_" in step else _spaced(step) for step in steps
    ]


def _explain_plainly(steps: list[str]) -> list[str]:
    return [_spaced(step) for step in steps]


def _explain_linear(steps: list[str]) -> list[str]:
    return [_spaced(step.replace("- -", "+ ")) for step in steps]


_COFACTOR = re.compile(r"C_\{(\d)\}=([+-])(-?\d+)\*(-?\d+)=(-?\d+)")


def _cofactor_line(found: re.Match[str]) -> str:
    column, sign, entry, minor, value = found.groups()
    return (
        f"Column {int(column) + 1}: the entry is {entry} and its minor is {minor}, "
        f"so its term is {sign}({entry}) * ({minor}) = {value}."
    )


def _spaced(step: str) -> str:
    """A generator's step as a person writes it: no LaTeX, spaces, negative factors in brackets."""
    text = re.sub(r"\\frac\{(-?\d+)\}\{(-?\d+)\}", r"\1 / \2", step)
    text = text.replace("\\mod", "mod").replace("\\gcd", "gcd").replace(",", ", ")
    text = re.sub(r"\s*([=*/])\s*", r" \1 ", text)
    text = re.sub(r"(?<=[\dx])\s*([+-])\s*(?=[-\d])", r" \1 ", text)
    return re.sub(r"([+*/-]) -(\d+)", r"\1 (-\2)", text)


_FAMILIES = (
    _Family("addition", (2, 7), _ask_addition, _explain_addition),
    _Family("multiplication", (2, 4), _ask_multiplication, _explain_plainly),
    _Family("gcd", (2, 5), _ask_gcd, _explain_plainly),
    _Family("lcm", (3, 8), _ask_lcm, _explain_plainly),
    _Family("determinant", (2, 8), _ask_determinant, _explain_determinant),
    _Family("linear_equation", (1, 8), _ask_linear, _explain_linear),
)
