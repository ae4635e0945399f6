"""What the commands share: option types, so that one option reads the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

REPEATABLE = {
    "--probe",
    "--contrast",
    "--data",
    "--exclude",
    "--include",
    "--exclude-tag",
    "--include-tag",
}
"""Options that may be given several times, or several values at once."""

Run = Annotated[Path, typer.Option("--run", help="The run folder.", show_default=False)]
Data = Annotated[
    list[str],
    typer.Option(
        help="[name=]file.jsonl|.json|.csv|.parquet|folder, [name=]hf:dataset[:config][:split], "
        "or demo. Several may be given.",
        show_default=False,
    ),
]
Dtype = Annotated[str, typer.Option(help="auto (fp32 on a CPU, bf16 on a GPU), fp32, bf16, fp16.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
MaxLength = Annotated[int | None, typer.Option(min=2, help="Longest input in tokens.")]
Seed = Annotated[int, typer.Option(help="Seed of every random choice.")]
RankBy = Annotated[str, typer.Option(help="importance, or specificity (needs --contrast).")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]
PromptField = Annotated[str | None, typer.Option(help="Column of the prompt.")]
ResponseField = Annotated[str | None, typer.Option(help="Column of the response.")]
SourceField = Annotated[str | None, typer.Option(help="Column of the source.")]
IdField = Annotated[str | None, typer.Option(help="Column of the id.")]
SetName = Annotated[str, typer.Option(help="Name of this scoring, for several side by side.")]


def quiet_libraries() -> None:
    """Leave the terminal to our progress: the libraries' own bars and hints are noise here."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
