"""Samples, rejects and ids: field layouts, chat turns, reasons, uniqueness, memory."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.fields import Fields
from circuitseer_core.data.sample import Reject, Sample
from circuitseer_core.errors import UserError


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read(path: Path, rows: list[Any], fields: Fields | None = None) -> list[Sample | Reject]:
    return list(Corpus([write(path, rows)], fields))


def one(path: Path, row: dict[str, Any], fields: Fields | None = None) -> Sample:
    (entry,) = read(path, [row], fields)
    assert isinstance(entry, Sample), entry
    return entry


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "set.jsonl"


@pytest.mark.parametrize("name", ["question", "problem", "prompt", "query", "Question", "PROMPT"])
def test_prompt_names(file: Path, name: str) -> None:
    assert one(file, {name: "1+1?", "answer": "2"}).prompt == "1+1?"


@pytest.mark.parametrize(
    "name", ["answer", "solution", "response", "output", "completion", "generation", "Answer"]
)
def test_response_names(file: Path, name: str) -> None:
    assert one(file, {"question": "1+1?", name: "2"}).response == "2"


def test_a_worked_solution_comes_before_the_bare_answer(file: Path) -> None:
    row = {"problem": "1+1?", "answer": "2", "solution": "One and one is 2."}
    assert one(file, row).response == "One and one is 2."
    assert one(file, row | {"solution": ""}).response == "2"
    assert one(file, row | {"solution": None}).response == "2"


def test_missing_or_blank_responses_are_none_and_numbers_are_written_out(file: Path) -> None:
    rows = [{"question": "a"}, {"question": "b", "answer": " "}, {"question": "c", "answer": 7}]
    entries = read(file, rows)
    assert [entry.response for entry in entries if isinstance(entry, Sample)] == [None, None, "7"]


def test_instruction_and_input(file: Path) -> None:
    row = {"instruction": "Add.", "input": "1 and 1", "output": "2"}
    assert one(file, row).prompt == "Add.\n1 and 1"
    assert one(file, row | {"input": ""}).prompt == "Add."
    assert one(file, {"instruction": "Add.", "context": "1, 1", "response": "2"}).prompt == (
        "Add.\n1, 1"
    )


def test_a_lone_input_is_the_prompt(file: Path) -> None:
    sample = one(file, {"input": "1+1?", "output": "2"})
    assert (sample.prompt, sample.response) == ("1+1?", "2")


CHAT = [
    {"role": "user", "content": "1+1?"},
    {"role": "assistant", "content": "2"},
]


def test_messages_single_turn(file: Path) -> None:
    sample = one(file, {"messages": CHAT})
    assert (sample.prompt, sample.response) == ("1+1?", "2")


def test_messages_system_text_stands_above_the_prompt(file: Path) -> None:
    sample = one(file, {"messages": [{"role": "system", "content": "Be brief."}, *CHAT]})
    assert sample.prompt == "Be brief.\n\n1+1?"


def test_messages_multi_turn_are_rendered_with_role_names(file: Path) -> None:
    turns = [
        *CHAT,
        {"role": "user", "content": "And 2+2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "Thanks."},
    ]
    sample = one(file, {"messages": turns})
    assert sample.prompt == "User: 1+1?\n\nAssistant: 2\n\nUser: And 2+2?"
    assert sample.response == "4"


def test_messages_without_an_answer_are_all_prompt(file: Path) -> None:
    sample = one(file, {"messages": CHAT[:1]})
    assert (sample.prompt, sample.response) == ("1+1?", None)


def test_sharegpt_conversations(file: Path) -> None:
    turns = [{"from": "human", "value": "1+1?"}, {"from": "gpt", "value": "2"}]
    sample = one(file, {"conversations": turns})
    assert (sample.prompt, sample.response) == ("1+1?", "2")


def test_text_parts_are_joined(file: Path) -> None:
    turns = [{"role": "user", "content": [{"type": "text", "text": "1+"}, {"text": "1?"}]}]
    assert one(file, {"messages": turns}).prompt == "1+1?"


def test_prompt_and_completion_as_turns(file: Path) -> None:
    sample = one(file, {"prompt": CHAT[:1], "completion": CHAT[1:]})
    assert (sample.prompt, sample.response) == ("1+1?", "2")


def test_a_prompt_beside_a_chat_without_responses_takes_the_chat(file: Path) -> None:
    sample = one(file, {"prompt": "1+1?", "messages": CHAT})
    assert (sample.prompt, sample.response) == ("1+1?", "2")


def test_explicit_fields_win(file: Path) -> None:
    row = {"question": "no", "text": "yes", "answer": "no", "gold": "4", "set": "s", "key": "k"}
    fields = Fields(prompt="text", response="gold", source="set", id="key")
    sample = one(file, row, fields)
    assert (sample.prompt, sample.response, sample.source, sample.id) == ("yes", "4", "s", "s/k")


def test_names_may_lead_inside(file: Path) -> None:
    row = {"data": {"question": "1+1?", "answers": ["2", "two"], "set": "s"}, "meta": [{"key": 7}]}
    fields = Fields("data.question", "data.answers", source="data.set", id="meta.0.key")
    sample = one(file, row, fields)
    assert (sample.prompt, sample.response, sample.source, sample.id) == ("1+1?", "2", "s", "s/7")
    assert sample.original == row
    dotted = one(file, row | {"data.question": "the column"}, fields)
    assert dotted.prompt == "the column", "a column of that very name wins"
    good, bad = read(file, [row, {"data": {"other": 1}}], fields)
    assert isinstance(good, Sample) and isinstance(bad, Reject) and bad.reason == "empty prompt"
    for name in ("data.nope", "nope.question", "data.question.more", "meta.5.key", "."):
        with pytest.raises(UserError, match="has no field '.*' for the prompt; found: data, meta"):
            read(file, [row], Fields(prompt=name))


@pytest.mark.parametrize(
    ("items", "which", "response"),
    [
        (["a", "b", "c"], "first", "a"),
        (["", None, "b"], "first", "b"),
        (["a", "", "c"], "all", "a\n\nc"),
        (["a", "b"], "1", "b"),
        (["a", "b"], "-1", "b"),
        (["a", "b"], "2", None),
        (["a", "b"], "-3", None),
        ([1, 2.5], "all", "1\n\n2.5"),
        ([], "first", None),
        ([], "all", None),
        ([" "], "0", None),
        ("a", "1", "a"),
    ],
)
def test_list_valued_responses(file: Path, items: Any, which: str, response: str | None) -> None:
    row = {"question": "q", "answer": items}
    assert one(file, row, Fields(response_items=which)).response == response


def test_which_item_was_taken_is_said_in_the_fingerprint(file: Path) -> None:
    path = write(file, [{"question": "q", "answer": ["a", "b"]}])
    plain, chosen = Corpus([path]).fingerprint(), Corpus([path], Fields(response_items="1"))
    assert plain["response_items"] == "first" and plain["fields"] == {}
    assert chosen.fingerprint()["fields"] == {"response_items": "1"}
    assert chosen.fingerprint()["sha256"] != plain["sha256"]


def test_the_source_column_wins_over_the_name(file: Path) -> None:
    path = write(file, [{"question": "a", "source": "web"}, {"question": "b", "source": None}])
    samples = list(Corpus([f"named={path}"]))
    assert [sample.source for sample in samples] == ["web", "named"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "x"}, "no prompt field among: text"),
        ({"question": " \n"}, "empty prompt"),
        ({"question": None}, "empty prompt"),
        ({"question": 5}, "question is a number, not text"),
        ({"question": {"a": 1}}, "question is an object, not text"),
        ({"question": True}, "question is true or false, not text"),
        ({"question": "a", "answer": [["b"]]}, "an item of answer is a list, not text"),
        ({"question": "a", "answer": {"text": "b"}}, "answer is an object, not text"),
        ({"question": "half \ud83d"}, "half of a surrogate pair"),
        ({"messages": None}, "messages is missing"),
        ({"messages": "hello"}, "messages is not a list of turns"),
        ({"messages": ["hello"]}, "a turn of messages is not an object"),
        ({"messages": []}, "no user turn"),
        ({"messages": CHAT[1:]}, "empty prompt"),
        ({"messages": [{"role": "system", "content": "x"}]}, "no user turn"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "unknown role 'wizard'"),
        ({"messages": [{"role": "user", "content": [{"image": "x"}]}]}, "other than text"),
        (["a", "list"], "not a JSON object"),
        ({"half \udc80": "x"}, 'no prompt field among: "half \ufffd"'),
    ],
)
def test_reject_reasons(file: Path, row: Any, reason: str) -> None:
    good, bad = read(file, [{"question": "fine"}, row])
    assert isinstance(good, Sample) and isinstance(bad, Reject)
    assert bad.where == "set.jsonl:2" and bad.source == "set"
    assert reason in bad.reason and bad.reason.encode()


def test_ids_with_and_without_an_own_id(file: Path) -> None:
    rows = [
        {"question": "a", "id": "k1"},
        {"question": "b", "id": 17},
        {"question": "c", "id": 18.0},
        {"question": "d", "id": "k1"},
        {"question": "d", "id": "k1"},
        {"question": "e", "answer": "1", "id": None},
        {"question": "e", "answer": "1", "id": None},
        {"question": "e", "answer": "2", "id": None},
    ]
    ids = [entry.id for entry in read(file, rows) if isinstance(entry, Sample)]
    assert ids[:5] == ["set/k1", "set/17", "set/18", "set/k1#2", "set/k1#3"]
    assert ids[6] == ids[5] + "#2" and "#" not in ids[7] and ids[7] != ids[5]
    assert len(set(ids)) == 8


def test_hashed_ids_do_not_depend_on_row_order(file: Path) -> None:
    rows = [{"question": f"q{n}", "answer": str(n)} for n in range(20)]
    ids = {s.prompt: s.id for s in read(file, rows) if isinstance(s, Sample)}
    assert ids == {s.prompt: s.id for s in read(file, rows[::-1]) if isinstance(s, Sample)}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "a#2", "a#3", "a/b", "", "7", None, 7, 7.0, True]),
            st.sampled_from(["", "s", "s/a", None]),
            st.sampled_from(["p", "q"]),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_ids_are_unique_whatever_the_own_ids(tmp_path: Path, cells: list[Any]) -> None:
    rows = [{"id": own, "source": src, "question": text} for own, src, text in cells]
    path = write(tmp_path / "h.jsonl", rows)
    first = [entry.id for entry in Corpus([path]) if isinstance(entry, Sample)]
    corpus = Corpus([path])
    assert len(first) == len(set(first)) == len(rows)
    assert first == [entry.id for entry in corpus] == [entry.id for entry in corpus]


def test_ids_stay_unique_when_a_file_is_given_twice(file: Path) -> None:
    path = write(file, [{"question": "a"}, {"question": "b", "id": 1}])
    ids = [entry.id for entry in Corpus([path, path])]
    assert len(set(ids)) == 4


def test_wrong_field_names_are_named(file: Path) -> None:
    path = write(file, [{"frage": "?", "antwort": "!"}])
    with pytest.raises(UserError, match=r"set\.jsonl; found: frage, antwort"):
        list(Corpus([path]))
    with pytest.raises(UserError, match="no field 'nope' for the prompt; found: frage, antwort"):
        Corpus([path], Fields(prompt="nope")).count()


def test_a_file_without_rows_is_an_error_but_an_empty_shard_is_not(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.jsonl", [])
    with pytest.raises(UserError, match="has no rows"):
        Corpus([empty]).count()
    write(tmp_path / "full.jsonl", [{"question": "a"}])
    assert Corpus([str(tmp_path)]).count() == 1


def test_a_file_of_broken_rows_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text("{]\n")
    with pytest.raises(UserError, match=r"no row of broken\.jsonl can be read; broken\.jsonl:1"):
        list(Corpus([str(path)]))


@pytest.mark.parametrize("specs", [[], "data.jsonl"])
def test_specs_are_a_list(specs: Any) -> None:
    with pytest.raises(UserError, match="at least one dataset"):
        Corpus(specs)


def test_fingerprint_follows_content_order_and_fields(tmp_path: Path) -> None:
    a = write(tmp_path / "a.jsonl", [{"question": "a", "q2": "x"}])
    b = write(tmp_path / "b.jsonl", [{"question": "b", "q2": "x"}])
    base = Corpus([a, b]).fingerprint()
    assert base == Corpus([a, b]).fingerprint()
    assert json.loads(json.dumps(base)) == base
    assert [file["name"] for file in base["files"]] == ["a.jsonl", "b.jsonl"]
    assert base["sha256"] != Corpus([b, a]).fingerprint()["sha256"]
    assert base["sha256"] != Corpus([f"n={a}", b]).fingerprint()["sha256"]
    assert base["sha256"] != Corpus([a, b], Fields(prompt="q2")).fingerprint()["sha256"]
    write(tmp_path / "a.jsonl", [{"question": "c", "q2": "x"}])
    assert base["sha256"] != Corpus([a, b]).fingerprint()["sha256"]


def test_preview(tmp_path: Path) -> None:
    rows: list[Any] = [{"question": f"q{n}", "answer": "1"} for n in range(150)]
    a = write(tmp_path / "a.jsonl", [*rows[:3], {"question": ""}, *rows[3:]])
    b = write(tmp_path / "b.jsonl", [{"messages": CHAT, "source": "chat"}])
    preview = Corpus([a, b]).preview(rows=4)
    assert preview.rows == 152
    assert [(f.name, f.rows) for f in preview.files] == [("a.jsonl", 151), ("b.jsonl", 1)]
    assert preview.files[0].layout == "question → prompt, answer → response"
    assert preview.files[1].layout == "messages → prompt and response"
    assert preview.files[0].columns == ["question", "answer"]
    assert preview.sources == {"a": 99, "chat": 1}
    assert [sample.source for sample in preview.samples] == ["a", "chat", "a", "a"]
    assert [reject.where for reject in preview.rejects] == ["a.jsonl:4"]


def test_streaming_needs_no_memory_for_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    text = "x" * 1000
    with path.open("w") as file:
        for n in range(40_000):
            file.write(f'{{"question": "{n} {text}", "answer": "{n}"}}\n')
    corpus = Corpus([str(path)])
    tracemalloc.start()
    rows = sum(1 for _ in corpus)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 40_000
    assert peak < 8e6 < path.stat().st_size / 4  # the file has 41 MB; the id register 4 MB


@pytest.mark.parametrize(
    ("columns", "fields", "message"),
    [
        (
            "Problem Text,Final Answer",
            Fields(),
            'found: "Problem Text", "Final Answer" (name it with --prompt-field \'Problem Text\')',
        ),
        (
            "Problem Text,Final Answer",
            Fields(prompt="problem text"),
            'found: "Problem Text", "Final Answer" (--prompt-field \'Problem Text\'?)',
        ),
        ("colour,shape", Fields(), "found: colour, shape (name it with --prompt-field)"),
        ("colour,shape", Fields(prompt="id"), "for the prompt; found: colour, shape"),
    ],
)
def test_a_column_that_was_meant_is_proposed(
    tmp_path: Path, columns: str, fields: Fields, message: str
) -> None:
    path = tmp_path / "d.csv"
    path.write_text(f"{columns}\nWhat is 1 + 1?,2\n")
    with pytest.raises(UserError) as caught:
        Corpus([str(path)], fields).count()
    assert str(caught.value).endswith(message)


def test_a_column_with_spaces_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    path.write_text("Problem Text\tFinal Answer\nWhat is 1 + 1?\t2\n")
    fields = Fields(prompt="Problem Text", response="Final Answer")
    (sample,) = Corpus([str(path)], fields)
    assert isinstance(sample, Sample) and (sample.prompt, sample.response) == (
        "What is 1 + 1?",
        "2",
    )
