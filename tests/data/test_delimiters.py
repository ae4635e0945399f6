"""The delimiter of a CSV file: recognised where it is not what the ending says, else as it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.delimiters import delimiter_of
from circuitseer_core.data.sample import Reject, Sample


@pytest.mark.parametrize(
    ("text", "default", "mark"),
    [
        ("question,answer\na,b\n", ",", ","),
        ("question;answer\na;b\n", ",", ";"),
        ("question\tanswer\na\tb\n", ",", "\t"),
        ("question,answer\na,b\n", "\t", ","),
        ("question;answer\n1,5 plus 2,5?;4,0\n", ",", ";"),
        ("question,answer\n\"a;b;c\",d\ne;f,g\n", ",", ","),
        ("question;\"answer, final\"\na;b\n", ",", ";"),
        ("question\nsome; text\nmore, text\n", ",", ","),
        ("question;answer\n", ",", ";"),
        ("question,answer;final\na,b\nc,d\n", ",", ","),
        ("", ",", ","),
        ("\ufeffquestion;answer\na;b\n", ",", ";"),
        ("question;answer\n\"two\nlines\";b\n", ",", ";"),
    ],
)  # fmt: skip
def test_delimiters(text: str, default: str, mark: str) -> None:
    assert delimiter_of(text.encode(), default) == mark


@pytest.mark.parametrize("ending", ["csv", "tsv"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_files_are_read_by_what_they_hold(tmp_path: Path, ending: str, mark: str) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_text(f'question{mark}answer\n"1{mark}1?"{mark}2\n3?{mark}4\nlone\n')
    entries = list(Corpus([str(path)]))
    assert Corpus([str(path)]).count() == 3
    samples = [(e.prompt, e.response) for e in entries if isinstance(e, Sample)]
    assert samples == [(f"1{mark}1?", "2"), ("3?", "4")]
    assert [e.where for e in entries if isinstance(e, Reject)] == [f"a.{ending}:4"]


def test_a_record_cut_at_the_end_of_the_look_decides_nothing() -> None:
    text = "question;answer\n" + "x" * 30_000 + ";y\n" + "z" * 60_000
    assert delimiter_of(text.encode()[: 1 << 16], ",") == ";"
