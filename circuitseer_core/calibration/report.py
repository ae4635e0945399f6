"""What a calibration came to, in sentences that say no more than the intervals do."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from circuitseer_core.calibration.names import (
    HEADS,
    OTHER,
    OWN,
    PAIRS,
    PLUS,
    POOLED,
    RANDOM,
    REASONING,
    REST,
    WITHIN,
    WORDS,
)
from circuitseer_core.runs.calibration_records import CalibrationRecord, Chance, Estimate, Gain
from circuitseer_core.wording import listing, percent, signed


def with_interval(number: Estimate | Gain) -> str:
    """A number with its interval: "+0.31 (+0.23 to +0.38)"."""
    if number.value is None or number.low is None or number.high is None:
        return "not defined"
    return f"{signed(number.value)} ({_bound(number.low)} to {_bound(number.high)})"


def _bound(value: float) -> str:
    """A bound with as many digits as show which side of 0 it is on."""
    return next(
        t for digits in (2, 3, 6) if (t := signed(value, digits)).strip("0.") or digits == 6
    )


def tells(number: Estimate | Gain) -> bool:
    """Whether the whole interval is above nothing."""
    return number.low is not None and number.low > 0


def table(record: CalibrationRecord) -> pd.DataFrame:
    """Every line of the comparison, the gains behind: what, judged, source, value, low, high."""
    lines = [
        {"what": e.name, "judged": e.judged, "source": e.source or "all", **_numbers(e)}
        for e in record.estimates
    ]
    lines += [
        {
            "what": f"{g.name} − {g.than}",
            "judged": g.judged,
            "source": g.source or "all",
            **_numbers(g),
        }
        for g in record.gains
    ]
    return pd.DataFrame(lines)


def _numbers(number: Estimate | Gain) -> dict[str, str]:
    numbers = {"value": number.value, "low": number.low, "high": number.high}
    return {k: "" if v is None else signed(v, 3) for k, v in numbers.items()}


def verdict(record: CalibrationRecord) -> list[str]:
    """The sentences of a calibration with a numeric target, the answer first."""
    heads = _heads(record)
    if heads is None:
        return ["The heads could not be judged."]
    judged = heads.judged
    sentences = [_answer(record, heads)]
    if record.chance is not None:
        sentences.append(_by_chance(record.chance))
    own = [_gain(record.gains, HEADS, name, judged) for name in (REASONING, RANDOM)]
    sentences += [_against(gain) for gain in own if gain is not None]
    for base, rival in ((WORDS, "a bag of words"), (REST, "everything else together")):
        gain = _gain(record.gains, base + PLUS, base, judged)
        if gain is not None:
            sentences.append(_adds(gain, rival))
    sentences += _sources(record)
    return [*sentences, _SINGLE]


_SINGLE = "Each interval is a single one at 95 %, not corrected for how many there are."


def _heads(record: CalibrationRecord) -> Estimate | None:
    """The line that the answer goes by; sources can be taken out where there are several."""
    within = record.estimate(HEADS, WITHIN) if record.settings.within_sources else None
    return record.estimate(HEADS, PAIRS) or within or record.estimate(HEADS, POOLED)


def answers_by(record: CalibrationRecord) -> str | None:
    """How the estimate was judged that the answer goes by; None where there is none."""
    heads = _heads(record)
    return heads.judged if heads is not None else None


def heads_tell(record: CalibrationRecord) -> bool:
    """Whether the answer is yes: the whole interval is above what nothing, or a coin, gives."""
    heads = _heads(record)
    if heads is None or heads.low is None:
        return False
    return heads.low > (_COIN if heads.judged == PAIRS else 0.0)


def pair_verdict(record: CalibrationRecord) -> list[str]:
    """The sentences of a calibration to the blind review's verdicts."""
    heads = _heads(record)
    if heads is None or heads.value is None or heads.low is None or heads.high is None:
        return ["The heads could not be judged."]
    fact = (
        f"of {heads.rows} held-out pairs they decide {percent(heads.value)} as the eye did "
        f"({percent(heads.low)} to {percent(heads.high)}); a coin decides half"
    )
    sentences = [
        f"Yes: the heads tell something of the verdicts: {fact}."
        if heads_tell(record)
        else f"No: the heads tell nothing of the verdicts that these pairs can show: {fact}."
    ]
    for gain in record.gains:
        adds = f"{gain.name} against {gain.than}: {with_interval(gain)} of the pairs"
        sentences.append(f"{adds}{'' if tells(gain) else ', no difference that can be told'}.")
    return sentences


_COIN = 1 / 2


def _answer(record: CalibrationRecord, heads: Estimate) -> str:
    where = " and source" if heads.judged == WITHIN else ""
    fact = (
        f"out-of-fold rank correlation with {record.target.name} at fixed length{where}: "
        f"{with_interval(heads)}, {heads.rows:,} rows"
    )
    if not heads_tell(record):
        return (
            f"No: the heads tell nothing of {record.target.name} that this data can show ({fact})."
        )
    return f"Yes: the heads tell something of {record.target.name} ({fact})."


def _by_chance(chance: Chance) -> str:
    return (
        f"Permuted targets give {signed(chance.mean)} on average, {signed(chance.low)} to "
        f"{signed(chance.high)} in 95 % of {chance.draws} (p = {chance.p:.3f})."
    )


def _against(gain: Gain) -> str:
    sentence = f"All heads against the {gain.than} alone: {with_interval(gain)}"
    if gain.than == RANDOM:
        sentence = f"All heads against sets of as many random heads: {with_interval(gain)}"
    return f"{sentence}{'' if tells(gain) else ', no difference that can be told'}."


def _adds(gain: Gain, rival: str) -> str:
    if tells(gain):
        return f"The heads add to {rival}: {with_interval(gain)}."
    return f"No gain can be told when the heads are added to {rival}: {with_interval(gain)}."


def _sources(record: CalibrationRecord) -> list[str]:
    sentences = []
    within = record.estimate(HEADS, WITHIN)
    if within is not None and not record.settings.within_sources:
        finding = "holds" if tells(within) else "cannot be told from nothing"
        sentences.append(f"Within sources it {finding}: {with_interval(within)}.")
    for judged, opening in (
        (OWN, "Fitted to one source alone"),
        (OTHER, "Fitted to the others only"),
    ):
        lines = [
            e
            for e in record.estimates
            if e.judged == judged and e.name == HEADS and e.source is not None
        ]
        if not lines:
            continue
        good = [f"{e.source} {with_interval(e)}" for e in lines if tells(e)]
        bad = [f"{e.source} {with_interval(e)}" for e in lines if not tells(e)]
        yes = f"the heads tell something on {listing(good, 20)}" if good else ""
        no = f"nothing that can be told on {listing(bad, 20)}" if bad else ""
        sentences.append(f"{opening}: {'; '.join(part for part in (yes, no) if part)}.")
    return sentences


def _gain(gains: Sequence[Gain], name: str, than: str, judged: str) -> Gain | None:
    matching = (
        g for g in gains if (g.name, g.than, g.judged, g.source) == (name, than, judged, None)
    )
    return next(matching, None)
