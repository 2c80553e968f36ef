"""The tutorial's sentences, each with its test, its measures and a verdict that the measures decide.

A deciding measure has a threshold from params.yaml, and the sentence places the number above or below it. The measure
`holds` if its whole interval lies on that side, and it `does not hold` if the whole interval lies on the other side. It
is `not shown` if the interval contains the threshold or is missing. A measure without a threshold decides nothing.

Some measures have two thresholds, far apart: such a measure holds beyond the one and does not hold beyond the other. In
between, and where its interval contains only one of them, it holds `partly`. So no sentence turns from "holds" to
"does not hold" because of a small difference. If the interval contains both, the measure is `not shown`.

A sentence `holds` if all its deciding measures hold, and `partly` if only some of them hold or hold partly. Otherwise
it `does not hold` if at least one measure does not hold, and it is `not shown` if none does. A measure that the study
cannot provide counts as not shown. The same rule gives the verdict at each distance, if the sentence is about distance.

A replication is the same study with other rounding. A verdict that a replication contradicts is `unstable`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from pipeline.params import Claims
from pipeline.science import claim_measures
from pipeline.science.claim_measures import FAILS, HOLDS, NOT_SHOWN, PARTLY, Measure, Place, Study

UNSTABLE = "unstable"
SUBJECTS_WITH_REPETITION = ("review",)  # film reviews often say a thing more than once

Measures = list[Measure | None]


@dataclass(frozen=True)
class Claim:
    """A sentence with its measures. None replaces a measure that the study cannot provide."""

    name: str
    sentence: str  # the tutorial's, word for word
    test: str
    deciding: Measures
    caveat: str
    informing: Measures = field(default_factory=list)
    places: list[Place] = field(default_factory=list)  # if the sentence is about distance

    def decisive(self) -> list[Measure]:
        """Returns the deciding measures that exist, each number once."""
        by_number = {measure.number: measure for measure in self.deciding if measure is not None}
        return [measure for measure in by_number.values() if measure.threshold is not None]

    def decided(self, confidence: float) -> "Claim":
        """Returns the claim with the intervals that decide."""
        measures = [None if item is None else item.decided(confidence) for item in self.deciding]
        return replace(self, deciding=measures)

    @property
    def verdict(self) -> str:
        absent = [measure for measure in self.deciding if measure is None]
        return verdict_of(self.decisive(), is_complete=not absent)

    def verdicts_by_distance(self) -> Iterator[dict[str, Any]]:
        """The verdict at each distance, from the deciding measures that belong to it."""
        for place in self.places:
            measures = [measure for measure in self.decisive() if measure.is_at(place)]
            yield {
                "tokens": place.tokens,
                "words": place.words,
                "verdict": verdict_of(measures),
            }

    def row(self) -> dict[str, Any]:
        """Returns the claim for JSON, without missing measures and those that an earlier measure repeats."""
        by_number: dict[tuple[str, str], Measure] = {}
        for measure in [*self.deciding, *self.informing]:
            if measure is not None:
                by_number.setdefault(measure.number, measure)

        return {
            "name": self.name,
            "sentence": self.sentence,
            "test": self.test,
            "verdict": self.verdict,
            "by_distance": list(self.verdicts_by_distance()),
            "caveat": self.caveat,
            "measures": [measure.row() for measure in by_number.values()],
        }


def verdict_of(measures: Iterable[Measure], is_complete: bool = True) -> str:
    """Returns HOLDS, PARTLY, FAILS or NOT_SHOWN for a sentence with these deciding measures.

    `is_complete` says whether the study provides all of them.
    """
    verdicts = {measure.verdict for measure in measures}
    if verdicts == {HOLDS} and is_complete:
        return HOLDS
    if verdicts & {HOLDS, PARTLY}:
        return PARTLY
    return FAILS if FAILS in verdicts else NOT_SHOWN


@dataclass(frozen=True)
class Replication:
    """The claims of one replication. `obstacle` is the reason why it does not count, or empty if it counts."""

    name: str
    obstacle: str
    claims: list[dict[str, Any]]


def table(study: Study, thresholds: Claims, alpha: float) -> list[dict[str, Any]]:
    """Returns all claims as rows for JSON, in the order of the tutorial.

    With the probability 1 - alpha, the intervals that decide contain the truth all together (Bonferroni).
    """
    sentences = (no_order, state, full_context, vanish, forgets, led_to_lstms)
    claims = [sentence(study, thresholds) for sentence in sentences]
    count = len(uncertain_measures(claims))
    confidence = 1 - alpha / max(count, 1)
    return [claim.decided(confidence).row() for claim in claims]


def uncertain_measures(claims: Iterable[Claim]) -> set[tuple[str, str]]:
    """Returns the deciding numbers of all claims that other seeds and reviews could change."""
    numbers = set()
    for claim in claims:
        numbers |= {measure.number for measure in claim.decisive() if not measure.exact}
    return numbers


def deciding(row: dict[str, Any]) -> list[Any]:
    """Returns the measures of a row that decide its verdict."""
    return [measure for measure in row["measures"] if measure["threshold"] is not None]


def with_replications(
    rows: list[dict[str, Any]], replications: list[Replication]
) -> list[dict[str, Any]]:
    """Returns the rows of `table`, each with its `replications` and with the verdict of this study as `verdict_here`.

    The new `verdict` is UNSTABLE if a replication without an obstacle has another one. Without replications, the rows
    stay as they are.
    """
    if not replications:
        return rows

    compared = []
    for row in rows:
        items = [_replicated(row["name"], replication) for replication in replications]
        is_stable = all(item["obstacle"] or item["verdict"] == row["verdict"] for item in items)
        compared.append(
            {
                **row,
                "verdict": row["verdict"] if is_stable else UNSTABLE,
                "verdict_here": row["verdict"],
                "replications": items,
            }
        )
    return compared


def _replicated(claim: str, replication: Replication) -> dict[str, Any]:
    """Returns the verdict and the deciding measures of this claim in a replication."""
    absent = {"verdict": None, "measures": []}
    row = next((row for row in replication.claims if row["name"] == claim), absent)
    return {
        "name": replication.name,
        "verdict": row["verdict"],
        "measures": deciding(row),
        "obstacle": replication.obstacle or ("it has no such sentence" if row is absent else ""),
    }


def no_order(study: Study, thresholds: Claims) -> Claim:
    networks = ("feedforward", "flattened")
    shuffled = [claim_measures.logit_change(study, name) for name in networks]
    sizes = [claim_measures.parameters_per_position(study, name) for name in networks]

    return Claim(
        name="feed-forward without order",
        sentence="A standard neural network processes the entire input all at once and has a fixed input size. It has "
        'no concept of "memory" or order.',
        test="Two networks are common. One averages the embeddings of the words (feedforward), the other joins them "
        "(flattened). Does one more word of input need more weights? By how much does the logit change if the words "
        "are put in random order?",
        deciding=[
            *(_expected(measure, "below", thresholds.same_logit) for measure in shuffled),
            *(_expected(measure, "above", 0.0) for measure in sizes),
        ],
        caveat="Each of the two has one of the properties by construction and lacks the other. The mean has no order "
        "but takes any length. The joined embeddings have a fixed size but see positions.",
        informing=[
            claim_measures.accuracy_gained(study, "vanilla-textbook", "feedforward-textbook"),
            claim_measures.accuracy_gained(study, "feedforward-textbook", "flattened-textbook"),
        ],
    )


def state(study: Study, thresholds: Claims) -> Claim:
    others = (("bidirectional", "forward"), ("bidirectional", "backward"), ("lstm", "forward"))
    recursion = [
        claim_measures.state(study, *network, measure)
        for network, measure in product(others, ("streaming_difference", "state_change"))
    ]
    difference = claim_measures.state(study, "vanilla", "forward", "streaming_difference")
    change = claim_measures.state(study, "vanilla", "forward", "state_change")

    return Claim(
        name="a state word by word",
        sentence="RNNs process sequences step-by-step. They maintain a Hidden State (a memory vector) that gets "
        "continually updated as it reads through the sentence word by word.",
        test="Reading word by word, with nothing but the state carried along, must give the same state as one reading. "
        "And a typical word must change the state.",
        deciding=[
            _expected(difference, "below", thresholds.same_state),
            _expected(change, "above", thresholds.changed_state),
        ],
        caveat="This holds by construction; the test shows that the networks measured here work as described. It does "
        "not say that the state remembers anything: a state that is replaced at each word would pass.",
        informing=[
            *recursion,
            *(
                claim_measures.accuracy_lost(
                    study, architecture, "shuffled", study.length, "words are shuffled"
                )
                for architecture in ("vanilla", "bidirectional", "lstm", "flattened")
            ),
        ],
    )


def full_context(study: Study, thresholds: Claims) -> Claim:
    later, earlier = "sensitivity_to_later_words", "sensitivity_to_earlier_words"
    middle = study.length // 2
    networks = ("bidirectional", "vanilla")

    def access(architecture: str, direction: str, measure: str) -> Measure | None:
        return claim_measures.state(study, architecture, direction, measure)

    return Claim(
        name="bidirectional sees all",
        sentence="A standard RNN only knows what happened before the current word. A Bidirectional RNN processes the "
        "sentence going forwards AND backwards simultaneously, concatenating the hidden states. This provides full "
        "context of the whole sentence!",
        test="The derivative of a state in the middle by each word: by a later word it must be zero in the forward "
        "direction and not in the backward one, and by an earlier word it must not be zero in the forward direction.",
        deciding=[
            _expected(access("vanilla", "forward", later), "exactly", 0.0),
            _expected(access("vanilla", "forward", earlier), "above", 0.0),
            _expected(access("bidirectional", "forward", earlier), "above", 0.0),
            _expected(access("bidirectional", "backward", later), "above", 0.0),
        ],
        caveat="This access is true by construction, and access is not use. These classifiers read only the last state "
        "of each direction. Whether the second direction makes them more accurate, and whether a word in the middle "
        "has more effect, is measured below and decides nothing here.",
        informing=[
            access("bidirectional", "forward", later),
            claim_measures.accuracy_gained(study, "vanilla-textbook", "bidirectional-textbook"),
            claim_measures.accuracy_gained(study, "vanilla-tuned", "bidirectional-tuned"),
            *(_effect_near(study, architecture, middle) for architecture in networks),
            *(_effect_near(study, architecture, study.length - 1) for architecture in networks),
        ],
    )


def vanish(study: Study, thresholds: Claims) -> Claim:
    vanilla = study.distances[study.distances["architecture"] == "vanilla"]
    later_tokens = claim_measures.without_first_tokens(vanilla)
    places = claim_measures.places(later_tokens, thresholds.distances, study.length)
    paragraph = _longest_within(places, study.length)
    longest = max(study.decay["sequence_length"], default=study.length)

    left = [
        claim_measures.gradient(study, "vanilla", "dz/dh", weights, place.length, place.tokens)
        for place, weights in product(places, ("trained", "initial"))
    ]
    thresholds_of_gradient = (np.log10(thresholds.vanished), np.log10(thresholds.faded))
    factor = None
    if paragraph:
        factor = claim_measures.factor_per_token(study, "vanilla", "trained", paragraph)
    half_life = Measure(
        what="half-life in a long text at initialisation, in theory: a wide network with Gaussian inputs",
        value=study.half_life_at_initialisation,
        low=None,
        high=None,
        unit="tokens",
        source="params.yaml",
    )

    return Claim(
        name="gradients quickly vanish",
        sentence="As an RNN processes a very long sequence (like a paragraph), during backpropagation, gradients are "
        "multiplied many times. Values smaller than 1 quickly disappear to 0 (Vanishing Gradient).",
        test="Is the mean factor per token below 1? And how much of the gradient at the last token is left at each "
        f"distance? Below {100 * thresholds.vanished:g} % it has vanished; above {100 * thresholds.faded:g} % the "
        "sentence does not hold at this distance.",
        deciding=[
            _expected(factor, "below", 1.0),
            *(_expected(measure, "below", *thresholds_of_gradient) for measure in left),
        ],
        caveat="Keras initialises recurrent weights as orthogonal matrices, which keeps gradients long; another "
        "initialiser changes the answer by orders of magnitude. Networks of texts longer than those they were trained "
        "on are named as such. Gradients are of the logit: the gradient of the loss also shrinks where the network is "
        "sure, which has nothing to do with recurrence.",
        informing=[
            *_decay_of_vanilla(study, study.length, longest),
            half_life,
            *_first_token_gradients(study, longest),
        ],
        places=places,
    )


def _decay_of_vanilla(study: Study, length: int, longest: int) -> Measures:
    """Returns what the fits to single seeds say, which no mean over seeds shows."""
    return [
        claim_measures.decay(study, "vanilla", "rate", length),
        claim_measures.decay(study, "vanilla", "half_life_tokens", length),
        claim_measures.decay(study, "vanilla", "exponential_seeds", length),
        claim_measures.decay(study, "vanilla", "rate", length, weights="initial"),
        claim_measures.decay(study, "vanilla", "half_life_tokens", longest, weights="initial"),
        claim_measures.decay(study, "vanilla", "horizon_1e-3", longest, weights="initial"),
        claim_measures.decay(
            study, "vanilla", "horizon_1e-3", length, "initial", initialiser="0.9 orthogonal"
        ),
    ]


def _first_token_gradients(study: Study, longest: int) -> Measures:
    """Returns the gradients at the first token of the textbook's length, and of the longest one for vanilla."""
    cases = [(name, study.length) for name in ("vanilla", "lstm")]
    cases.append(("vanilla", longest))
    return [
        claim_measures.gradient(study, architecture, "dz/dh", weights, length, length - 1)
        for (architecture, length), weights in product(cases, ("trained", "initial"))
    ]


def forgets(study: Study, thresholds: Claims) -> Claim:
    vanilla = study.memory[study.memory["architecture"] == "vanilla"]
    places = claim_measures.places(vanilla, thresholds.distances, study.length)
    usable = thresholds.usable_sign_accuracy
    deciding_measures: Measures = []
    informing: Measures = []

    for place in places:
        for lag in place.lags:
            at_lag = (place.length, lag)
            effect = claim_measures.memory(study, "vanilla", "share", *at_lag)
            sign = claim_measures.memory(study, "vanilla", "sign_accuracy", *at_lag)
            remembered = thresholds.remembered_share
            deciding_measures += [
                _expected(effect, "within", thresholds.forgotten_share, remembered),
                _expected(sign, "below", usable),
            ]
            for column in ("used", "stored"):
                informing.append(claim_measures.memory(study, "vanilla", column, *at_lag))

    reach = claim_measures.usable_memory(study, "vanilla", usable)
    if reach is not None and np.isnan(reach.value):
        # it cannot use even the last word, so there is nothing that it could forget
        deciding_measures = [_undecided(measure) for measure in deciding_measures]

    first = study.length - 1
    repetition = ""
    if study.subject.noun in SUBJECTS_WITH_REPETITION:
        repetition = (
            "Film reviews say a thing more than once, and their ends often say it best, so a network that is trained "
            "on them may have no reason to remember their beginnings. "
        )
    return Claim(
        name="forgets the beginning",
        sentence="Result: A Vanilla RNN suffers from short-term memory and forgets the beginning of a sentence by the "
        "time it reaches the end.",
        test="How much does a strong word move the logit at each distance, relative to its effect as the last word? "
        f"Below {100 * thresholds.forgotten_share:g} % in either direction it is forgotten, above "
        f"{100 * thresholds.remembered_share:g} % remembered. And is the direction still right in more than "
        f"{100 * usable:g} % of {study.nouns}?",
        deciding=deciding_measures,
        caveat=repetition
        + "The synthetic task shows how far the network can learn to remember. A word can be stored in the state and "
        "not be used, or be used with the wrong sign: a linear probe and the readout are reported separately. The "
        "first token meets an empty state, so it never decides alone.",
        informing=[
            *informing,
            *(
                claim_measures.memory(study, "vanilla", column, study.length, first)
                for column in ("share", "sign_accuracy", "used", "stored")
            ),
            reach,
            claim_measures.accuracy_of_quarter(study, "vanilla", "prefix"),
            claim_measures.accuracy_of_quarter(study, "vanilla", "suffix"),
            claim_measures.deficit(study, "vanilla", min),
            claim_measures.deficit(study, "vanilla", max),
            claim_measures.learned(study, "vanilla", "first"),
            claim_measures.learned(study, "vanilla", "middle"),
        ],
        places=places,
    )


def led_to_lstms(study: Study, thresholds: Claims) -> Claim:
    pair = ("vanilla", "lstm")
    steady_pair = ("vanilla-tuned", "lstm-steady")
    in_textbook_recipe = claim_measures.accuracy_gained(study, "vanilla-textbook", "lstm-textbook")
    in_steady_recipe = claim_measures.accuracy_gained(study, *steady_pair)

    if claim_measures.answers_architecture(study, *steady_pair):
        in_steady_recipe = _expected(in_steady_recipe, "above", thresholds.margin)

    return Claim(
        name="LSTMs remember",
        sentence="This led to the creation of LSTMs!",
        test="That is history; what can be tested is whether an LSTM solves the problem here. Compared with a vanilla "
        "RNN, is more of the gradient left, at initialisation and after training? Does an early word keep more of its "
        "effect? Is the LSTM more accurate by at least "
        f"{100 * thresholds.margin:g} points? Does it learn to look back further in the synthetic task?",
        deciding=[
            *_lstm_at_paragraph(study, pair, thresholds),
            _expected(in_textbook_recipe, "above", thresholds.margin),
            *([in_steady_recipe] if in_steady_recipe else []),
            _expected(claim_measures.learned_further(study, *pair), "above", 0.0),
        ],
        caveat="One cell size: both networks have as many units, so the LSTM's layer has four times the weights. Keras "
        "starts with a forget bias of 1, where a gate keeps 73 % of the cell per token; a larger bias keeps gradients "
        "longer at initialisation. Architectures are compared by the gradient at the words (dz/dx): the LSTM's readout "
        "sees h but its memory is c, so relative to lag 0 the gradient of h alone penalises it. The synthetic task "
        f"tests a budget of {study.updates} updates; it does not show what either network could learn with more. Its "
        "first token meets an empty state; a token with noise on both sides is harder to keep.",
        informing=[
            *_lstm_gradients(study, thresholds),
            claim_measures.accuracy_of_quarter(study, "lstm", "prefix"),
            *(claim_measures.learned(study, architecture, "first") for architecture in pair),
            claim_measures.learned(study, "vanilla", "middle"),
        ],
    )


def _lstm_at_paragraph(study: Study, pair: tuple[str, str], thresholds: Claims) -> Measures:
    """Returns the gradients and the effect that the LSTM gains, at the longest distance in the textbook's length."""
    measures: Measures = []
    if place := _lstm_place(study, study.distances, thresholds):
        for weights in ("trained", "initial"):
            gained = claim_measures.gradient_gained(study, *pair, "dz/dx", weights, place)
            measures.append(gained)

    if place := _lstm_place(study, study.memory, thresholds):
        gained = claim_measures.effect_gained(study, *pair, place.length, place.tokens)
        measures.append(gained)
    return [_expected(measure, "above", 0.0) for measure in measures]


def _lstm_gradients(study: Study, thresholds: Claims) -> Measures:
    """Returns what is left of each gradient on both networks, and of a word's effect on the LSTM."""
    measures: Measures = []
    if place := _lstm_place(study, study.distances, thresholds):
        kinds = product(("dz/dx", "dz/dh", "dz/dc"), ("trained", "initial"), ("lstm", "vanilla"))
        for quantity, weights, architecture in kinds:
            at_lag = (quantity, weights, place.length, place.tokens)
            measures.append(claim_measures.gradient(study, architecture, *at_lag))

    if place := _lstm_place(study, study.memory, thresholds):
        for column in ("share", "sign_accuracy", "used", "stored"):
            at_lag = (column, place.length, place.tokens)
            measures.append(claim_measures.memory(study, "lstm", *at_lag))
    return measures


def _lstm_place(study: Study, table: pd.DataFrame, thresholds: Claims) -> Place | None:
    """Returns where `table` compares the LSTM: at the longest distance within the textbook's length."""
    rows = table[table["architecture"] == "lstm"]
    places = claim_measures.places(rows, thresholds.distances, study.length)
    return _longest_within(places, study.length)


def _longest_within(places: list[Place], length: int) -> Place | None:
    """Returns the longest distance in texts of this length, if possible not that of the first token."""
    within = [place for place in places if place.length == length]
    later = [place for place in within if not place.is_first_token]
    return (later or within or places or [None])[-1]


def _effect_near(study: Study, architecture: str, lag: int) -> Measure | None:
    """Returns the effect of a word at the measured lag that is nearest to this one, at the textbook's length."""
    lags = study.memory[study.memory["sequence_length"] == study.length]["lag_tokens"]
    nearest = min(lags, key=lambda measured: (abs(measured - lag), measured), default=lag)
    return claim_measures.memory(study, architecture, "share", study.length, nearest)


def _expected(measure: Measure | None, side: str, *thresholds: float) -> Measure | None:
    """Returns the measure with the side of the threshold on which the sentence places it."""
    return None if measure is None else measure.expected(side, *thresholds)


def _undecided(measure: Measure | None) -> Measure | None:
    """Returns the measure without its thresholds, so that it decides nothing."""
    if measure is None:
        return None
    return replace(measure, side=None, threshold=None, fails_beyond=None)
