"""Samples of logic and of code from what is installed anyway, for ``validate domains``.

    python docs/evidence/domain_data.py OUT

- OUT/logic.jsonl: five families of engram-generator's module of formal logic (MIT), prompts and
  steps as the package words them.
- OUT/code.jsonl: functions of Python's standard library (PSF licence) of 5 to 20 lines that have a
  docstring: the prompt is signature and docstring, the response the body.

champ-dataset and engram-generator hold no other code or natural-language logic: engram's families
about code (call stacks, dead code) are tables and arithmetic in symbols.
"""

from __future__ import annotations

import ast
import json
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

SEED = 20240
LOGIC = ("syllogism", "deduction_chain", "logical_puzzle", "contrapositive", "propositional_eval")
PER_FAMILY, TRIES = 40, 400
MODULES = (
    "bisect", "calendar", "cmd", "colorsys", "copy", "csv", "difflib", "fnmatch", "fractions",
    "functools", "heapq", "html/__init__", "keyword", "linecache", "mimetypes", "netrc",
    "ntpath", "numbers", "operator", "posixpath", "queue", "quopri", "random", "sched", "shlex",
    "shutil", "statistics", "string", "textwrap", "tokenize", "urllib/parse", "zipfile",
)  # fmt: skip
LINES = (5, 20)


def logic() -> Iterator[dict[str, str]]:
    """Problem, steps and answer of every family, the first different ones."""
    from engram_generator.curriculum.registry import get_generator

    for family in LOGIC:
        generator = get_generator(family, min_difficulty=2, max_difficulty=5, seed=SEED)
        seen: set[str] = set()
        for made in (generator.generate(1)[0] for _ in range(TRIES)):
            if made.problem in seen or len(seen) == PER_FAMILY:
                continue
            seen.add(made.problem)
            steps = "\n".join(str(step) for step in made.steps)
            yield {
                "id": f"{family}-{len(seen)}",
                "question": made.problem,
                "answer": f"{steps}\nAnswer: {made.answer}",
            }


def code() -> Iterator[dict[str, str]]:
    """Functions with a docstring, in the order of the modules."""
    for module in MODULES:
        path = Path(sysconfig.get_paths()["stdlib"]) / f"{module}.py"
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (row := _function(node, text, module)):
                yield row


def _function(node: ast.FunctionDef, text: str, module: str) -> dict[str, str] | None:
    docstring = ast.get_docstring(node)
    first = node.body[1] if docstring and len(node.body) > 1 else None
    if first is None or node.end_lineno is None:
        return None
    lines = text.splitlines()
    body = "\n".join(lines[first.lineno - 1 : node.end_lineno])
    if not LINES[0] <= body.count("\n") + 1 <= LINES[1]:
        return None
    signature = f"def {node.name}({ast.unparse(node.args)}):"
    asked = f'Complete this Python function.\n\n{signature}\n    """{docstring}"""'
    return {"id": f"{module}.{node.name}.{node.lineno}", "question": asked, "answer": body}


def main(out: Path) -> None:
    """Write both files."""
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in (("logic", logic()), ("code", code())):
        made = list(rows)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made)
        (out / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        print(f"{name}: {len(made)} rows")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
