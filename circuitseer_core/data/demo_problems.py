"""The wording of the generated demo problems: each family asks and explains."""

from __future__ import annotations

import re
from collections.abc import Callable


class Family:
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


def _numbers(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"-?\d+", text)]


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


def _cofactor_line(match: re.Match[str]) -> str:
    column, sign, entry, minor, value = match.groups()
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


FAMILIES = (
    Family("addition", (2, 7), _ask_addition, _explain_addition),
    Family("multiplication", (2, 4), _ask_multiplication, _explain_plainly),
    Family("gcd", (2, 5), _ask_gcd, _explain_plainly),
    Family("lcm", (3, 8), _ask_lcm, _explain_plainly),
    Family("determinant", (2, 8), _ask_determinant, _explain_determinant),
    Family("linear_equation", (1, 8), _ask_linear, _explain_linear),
)
