"""The times of the app's pages as a Markdown table, values over their bar in bold."""

from __future__ import annotations

from typing import Any

from benchmarks.page_clock import STAGES

PAINT_COLD, PAINT_WARM, CHANGE, GIB = 2.5, 1.0, 1.0, 1.5
"""Bars: seconds of a cold and of a warm visit and of a change; memory."""


def table(result: dict[str, Any]) -> str:
    """The result as Markdown, values over their bar in bold."""
    heads = "cold: heading | content | rest | warm: heading | content | rest | CPU | load"
    lines = [
        f"| page | {heads} | changes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, page in result["pages"].items():
        cells = [
            _marked(page[lap][stage], bar)
            for lap, bar in (("cold", PAINT_COLD), ("warm", PAINT_WARM))
            for stage in STAGES
        ]
        slowest = sorted(page["changes"].items(), key=lambda item: -item[1])
        used = page["server_cpu"]
        changes = ", ".join(
            f"{what} {_marked(seconds, CHANGE)} (CPU {used[what]:.2f})" for what, seconds in slowest
        )
        cells += [f"{used['cold']:.2f}, {used['warm']:.2f}", f"{page['load']:.0f}"]
        lines.append(f"| {name} | {' | '.join(cells)} | {changes} |")
    over = " (over)" if result["memory_gib"] > GIB else ""
    lines.append(f"\nMemory of the app after all pages: {result['memory_gib']} GiB{over}.")
    lines.append("CPU: seconds of the server for a cold and for a warm visit, and for a change.")
    lines.append(f"The server answers {result['start']} s after its start.")
    lines.append(f"Bars, in seconds: {PAINT_COLD} cold, {PAINT_WARM} warm, {CHANGE} a change.")
    lines.append(f"{result['machine']}; load average at the start {result['load']}.")
    return "\n".join(lines)


def _marked(seconds: float, bar: float) -> str:
    return f"{seconds:.2f}" if seconds <= bar else f"**{seconds:.2f}**"
