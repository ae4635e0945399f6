"""Sentences say no more than the intervals."""

from __future__ import annotations

from circuitseer_core.calibration.report import (
    heads_tell,
    pair_verdict,
    table,
    tells,
    verdict,
    with_interval,
)
from circuitseer_core.runs.calibration_records import (
    CalibrationOptions,
    CalibrationRecord,
    Chance,
    Estimate,
    Gain,
    LinearFit,
    TargetRecord,
)


def estimate(name: str, value: float, half: float = 0.1, **more: object) -> Estimate:
    fields = {"judged": "pooled", "rows": 200} | more
    return Estimate(name=name, value=value, low=value - half, high=value + half, **fields)  # type: ignore[arg-type]


def gain(name: str, than: str, value: float, half: float = 0.1) -> Gain:
    return Gain(
        name=name, than=than, judged="pooled", value=value, low=value - half, high=value + half
    )


def record(*estimates: Estimate, gains: tuple[Gain, ...] = ()) -> CalibrationRecord:
    return CalibrationRecord(
        format=1,
        name="default",
        settings=CalibrationOptions(),
        target=TargetRecord(name="level", kind="number", rows=200, sha256="0"),
        whole=LinearFit(),
        estimates=list(estimates),
        gains=list(gains),
        chance=Chance(draws=100, mean=0.0, low=-0.1, high=0.1, p=0.01),
    )


def test_yes_and_no_go_by_the_interval() -> None:
    assert verdict(record(estimate("heads", 0.3)))[0] == (
        "Yes: the heads tell something of level (out-of-fold rank correlation with level at fixed "
        "length: +0.30 (+0.20 to +0.40), 200 rows)."
    )
    assert verdict(record(estimate("heads", 0.09)))[0].startswith("No: the heads tell nothing of")
    assert verdict(record()) == ["The heads could not be judged."]
    assert heads_tell(record(estimate("heads", 0.3)))
    assert not heads_tell(record(estimate("heads", 0.09))) and not heads_tell(record())


def test_sources_are_left_out_of_the_answer_where_there_is_one_alone() -> None:
    one = record(estimate("heads", 0.3))
    one.settings.within_sources = True
    assert verdict(one)[0].startswith("Yes:") and "and source" not in verdict(one)[0]
    several = record(estimate("heads", 0.3), estimate("heads", 0.0, judged="within"))
    several.settings.within_sources = True
    assert verdict(several)[0].startswith("No:") and "length and source" in verdict(several)[0]


def test_gains_that_cannot_be_told_are_called_so() -> None:
    sure, unsure = gain("words + heads", "words", 0.2), gain("rest + heads", "rest", 0.05)
    sentences = verdict(record(estimate("heads", 0.3), gains=(sure, unsure)))
    assert "The heads add to a bag of words: +0.20 (+0.10 to +0.30)." in sentences
    assert sentences[-2] == (
        "No gain can be told when the heads are added to everything else together: "
        "+0.05 (−0.05 to +0.15)."
    )
    assert sentences[-1].endswith("not corrected for how many there are.")


def test_sources_are_told_apart() -> None:
    own = [
        estimate("heads", value, judged="own", source=source)
        for source, value in (("a", 0.3), ("b", 0.02))
    ]
    sentence = verdict(record(estimate("heads", 0.3), *own))[-2]
    assert sentence.startswith("Fitted to one source alone: the heads tell something on a +0.30")
    assert "nothing that can be told on b +0.02" in sentence


def test_a_bound_near_zero_shows_its_side() -> None:
    assert with_interval(gain("a", "b", 0.04, 0.042)) == "+0.04 (−0.002 to +0.08)"
    assert not tells(gain("a", "b", 0.04, 0.042)) and tells(gain("a", "b", 0.04, 0.038))


def test_pairs_are_told_against_a_coin() -> None:
    yes = pair_verdict(record(estimate("heads", 0.7, judged="pairs")))
    no = pair_verdict(record(estimate("heads", 0.55, judged="pairs")))
    assert not heads_tell(record(estimate("heads", 0.55, judged="pairs")))
    assert yes[0].startswith("Yes:") and "70 %" in yes[0] and "a coin decides half" in yes[0]
    assert no[0].startswith("No:")


def test_the_table_has_every_line() -> None:
    shown = table(record(estimate("heads", 0.3), gains=(gain("a", "b", 0.1),)))
    assert shown["what"].tolist() == ["heads", "a − b"] and shown["value"][0] == "+0.300"
