"""The tables of gpu.py in Markdown, as they go into RESULTS.md."""

from __future__ import annotations

from typing import Any

from benchmarks import scoring


def report(result: dict[str, Any]) -> None:
    """Print the tables of everything measured."""
    on = result["machine"]
    print(f"{on['device']}, {result['dtype']}, matmul {result['matmul_flops'] / 1e12:,.3g} TFLOP/s")
    for name, rows in result["models"].items():
        print(f"\n### {name} ({rows['parameters'] / 1e9:.2f} billion parameters)")
        if "detect" in rows:
            report_detect(rows["detect"])
        if "score" in rows or isinstance(rows.get("compared"), dict):
            report_score(rows)
        for key in ("correct", "compared"):
            if isinstance(rows.get(key), str):
                print(f"\n{key}: {rows[key]}")
        if isinstance(rows.get("correct"), dict):
            errors = rows["correct"]
            print(
                f"\nLoss changes ({result['dtype']} against float32): median error "
                f"{errors['delta_error_median']:.1e}, largest {errors['delta_error_largest']:.1e} "
                f"nats, where the median |ΔL| is {errors['median_delta']:.1e}; in float32 "
                f"{errors['fp32_delta_against_hooks']:.1e} from plain hooks. Scores: largest "
                f"relative error {errors['score_error_largest']:.1e}; in float32 "
                f"{errors['fp32_score_against_eager']:.1e} from eager."
            )
    for section in result["left_out"]:
        print(f"\nleft out for lack of time: {section}")


def report_detect(result: dict[str, Any]) -> None:
    """Stage 1's table."""
    rows = {name: row for name, row in result["rows"].items() if isinstance(row, dict)}
    evaluations = result["heads"] * result["tokens"]
    print(
        f"\n{result['samples']} probe samples, {result['tokens']:,} tokens, {result['heads']} heads"
    )
    print("\n| detect | seconds | tokens·heads/s | against plain hooks | utilisation | peak GiB |")
    print("|---|---:|---:|---:|---:|---:|")
    base = rows["plain hooks"]["seconds"]
    for name, row in rows.items():
        print(
            f"| {name} | {row['seconds']:,.1f} | {evaluations / row['seconds']:,.0f} | "
            f"{base / row['seconds']:.2f}× | {row['utilisation']:.0%} | {row['peak_gib']:.2f} |"
        )
    if "TransformerLens failed" in result["rows"]:
        print(f"\nTransformerLens failed: {result['rows']['TransformerLens failed']}")
    gaps = ", ".join(f"{gap:.1e} from {name}" for name, gap in result["largest_difference"].items())
    common = result["common_heads"]
    print(f"\nLargest difference of a loss change: {gaps}. Exact and racing share {common} heads.")


def report_score(rows: dict[str, Any]) -> None:
    """Stage 2's tables."""
    if "score" in rows:
        row = rows["score"]
        print("\n| score, whole stage | seconds | tokens/s | utilisation | peak GiB |")
        print("|---|---:|---:|---:|---:|")
        print(
            f"| {row['prompts']:,} prompts, {row['tokens']:,} tokens | {row['seconds']:,.1f} | "
            f"{row['tokens_per_second']:,.0f} | {row['utilisation']:.0%} | {row['peak_gib']:.2f} |"
        )
    if isinstance(rows.get("compared"), dict):
        row = rows["compared"]
        print("\n| score, passes alone | " + " | ".join(scoring.CONTENDERS) + " |")
        print("|---" + "|---:" * len(scoring.CONTENDERS) + "|")
        rates = row["tokens_per_second"]
        print("| tokens/s | " + " | ".join(f"{rates[n]:,.0f}" for n in scoring.CONTENDERS) + " |")
        names = ("ours / bare", "controls / bare", "stop / bare", "stop / eager")
        print("\n" + ", ".join(f"{name} {row[name]:.2f}" for name in names))
