"""`read`: shows how a trained network reads a sentence, word by word.

Axes: T words, H hidden units.
"""

import json
import os
import sys
import textwrap

import numpy as np

from pipeline.commands import predict
from pipeline.params import Settings
from pipeline.science.gradients import reading
from pipeline.science.networks import architectures
from pipeline.science.text import tokenizer
from pipeline.storage import artifacts

WORD_WIDTH = 14  # columns; a longer word is cut
BAR_WIDTH = 8
LEGEND_INDENT = 10
LINE_WIDTH = 110
MOST_UNITS = 64  # of a larger layer, the units with the most negative and the most positive weights
SHADES = " .:-=+*%@"
# of 256: blue below zero, white, orange above
COLOURS = (
    24,
    31,
    74,
    110,
    152,
    255,
    223,
    216,
    209,
    166,
    130,
)
# of settings.readout
POOLED = {"mean": "the mean of all states", "max": "the largest value of each unit in all states"}
PICTURE_HEADINGS = {
    "forward": "hidden state",
    "backward": "hidden state of the half that reads from the last word to the first",
    "none": "hidden layer for the words so far",
}


def main(text: str, run: str | None, seed: int | None, as_json: bool) -> None:
    """Prints one line per word, a legend and the verdict.

    A line shows the probability after the word, its contribution to the verdict, its gradient and the hidden state.
    """
    run, seed = predict.checked_network(run, seed)
    card = artifacts.read_json(artifacts.model(run))
    settings = Settings.model_validate(card["values"])
    [ids] = predict.encoded([text], "text")

    weights = artifacts.read_weights(artifacts.weights(run, seed))
    model = architectures.from_bytes(
        card["architecture"],
        settings,
        card["vocabulary_size"],
        weights,
    )

    text_reading = reading.read(model, settings, ids)
    rows = text_reading.rows(tokenizer.tokenise(text))
    probability = rows[-1]["probability"]
    verdict = "positive" if probability > 0.5 else "negative"

    predict.print_labels()
    if as_json:
        readouts = {
            name: direction.readout_H.tolist()
            for name, direction in text_reading.directions.items()
        }
        report = {
            "run": run,
            "seed": seed,
            "verdict": verdict,
            "probability": probability,
            "words": len(ids),
            "readout": readouts,
            "tokens": rows,
        }
        print(json.dumps(report, allow_nan=False))
        return

    _print_reading(text_reading, rows, len(ids), settings.readout)
    print(
        f"\n{verdict}: probability that the text is positive {probability:.4f} ({run}, seed {seed})"
    )


def _print_reading(
    text_reading: reading.Reading, rows: list[dict], words: int, readout: str
) -> None:
    """Prints a table for each direction, then the legend.

    `words` is the length of the complete text, and `readout` is the setting of the network.
    """
    in_colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    directions = text_reading.directions
    largest = max(np.abs(direction.state_TH).max() for direction in directions.values()) or 1.0

    for name, direction in directions.items():
        pictures = _pictures(direction, largest, in_colour)
        for line in _table(name, rows, pictures):
            print(line)
        print()

    legend = _legend(text_reading, words, readout, largest, in_colour)
    for name, meaning in legend.items():
        paragraph = textwrap.fill(
            f"{name:{LEGEND_INDENT}}{meaning}",
            LINE_WIDTH,
            subsequent_indent=" " * LEGEND_INDENT,
        )
        print(paragraph)


def _table(direction: str, rows: list[dict], pictures: list[str]) -> list[str]:
    """A heading and one line per word. The columns that both directions share are only in the first table."""
    if direction == "backward":
        norm = "log10_relative_norm_backward"
        headings = ["gradient"]
    else:
        norm = "log10_relative_norm"
        headings = [
            "positive".ljust(BAR_WIDTH + 6),
            " effect",
            "gradient",
        ]

    table = [["word".ljust(WORD_WIDTH), *headings, PICTURE_HEADINGS[direction]]]
    for row, picture in zip(rows, pictures, strict=True):
        word = _word(row["token"], row["known"])
        cells = [
            _probability(row["probability"]),
            _effect(row["saliency"]),
            _share(row[norm]),
        ]
        table.append([word, *cells[-len(headings) :], picture])
    return ["  ".join(cells) for cells in table]


def _word(word: str, is_known: bool) -> str:
    """A word as its table shows it: in brackets if it is not in the vocabulary, and cut if it is long."""
    name = word if is_known else f"({word})"
    if len(name) > WORD_WIDTH:
        name = name[: WORD_WIDTH - 1] + "…"
    return name.ljust(WORD_WIDTH)


def _probability(probability: float) -> str:
    """A number and a bar."""
    bar = "#" * round(BAR_WIDTH * probability)
    return f"{probability:.3f} {bar:{BAR_WIDTH}}"


def _effect(saliency: float) -> str:
    if abs(saliency) < 0.005:
        return f"{'0':>7}"
    return f"{saliency:+7.2f}"


def _share(log10_norm: float | None) -> str:
    """A norm relative to another: a percentage, or a power of ten if it is tiny or huge. None is the log of zero."""
    if log10_norm is None:
        share = "0 %"
    elif -4 < log10_norm < 1:
        digits = 1 if log10_norm > -2 else 3
        share = f"{100 * 10**log10_norm:.{digits}f} %"
    else:
        share = f"10^{log10_norm:.1f}"
    return f"{share:>8}"


def _pictures(direction: reading.Direction, largest: float, in_colour: bool) -> list[str]:
    """One line per word and one block per hidden unit, ordered by the unit's weight in the logit.

    States of `largest` and -`largest` get the blocks at the two ends of the scale.
    """
    order = np.argsort(direction.readout_H, kind="stable")
    if len(order) > MOST_UNITS:
        half = MOST_UNITS // 2
        order = np.concatenate([order[:half], order[-half:]])

    blocks = list(SHADES)
    end = ""
    if in_colour:
        blocks = [f"\x1b[48;5;{colour}m " for colour in COLOURS]
        end = "\x1b[0m"

    share_TH = direction.state_TH[:, order] / largest
    highest = len(blocks) - 1
    level_TH = np.rint((share_TH + 1) / 2 * highest).astype(int)
    return ["".join(line) + end for line in np.array(blocks)[level_TH]]


def _legend(
    text_reading: reading.Reading, words: int, readout: str, largest: float, in_colour: bool
) -> dict[str, str]:
    """{name of a column: explanation}. `words` is the length of the complete text."""
    if in_colour:
        low, zero, high = "blue", "white", "orange"
    else:
        low, zero, high = (f"'{SHADES[index]}'" for index in (0, len(SHADES) // 2, -1))

    units = len(next(iter(text_reading.directions.values())).readout_H)
    legend = {
        "positive": "the probability that the text is positive if it ended after this word.",
        "effect": (
            "the word's contribution to the logit z, to first order: gradient times input. "
            "The verdict is positive if z > 0."
        ),
        "gradient": _gradient_legend(text_reading, readout),
        "picture": (
            "the hidden layer, one column per unit. "
            "Units on the left make the verdict more negative when they are high, units on the right more positive. "
            f"{zero} is 0, {high} is {largest:.2f}, {low} is -{largest:.2f}."
        ),
    }

    if units > MOST_UNITS:
        legend["picture"] += (
            f" It shows the {MOST_UNITS} of {units} units with the most extreme weights in z."
        )
    if text_reading.padding:
        legend["padding"] = (
            "this network reads the padding before a short text as if it were words. "
            f"It reads {text_reading.padding} padding tokens first and then predicts {text_reading.before_first:.3f}."
        )
    if (text_reading.tokens_T == tokenizer.UNKNOWN).any():
        legend["(word)"] = "is not in the vocabulary; the network cannot distinguish these words."

    words_read = len(text_reading.tokens_T)
    if words_read < words:
        legend["length"] = f"the network reads only the last {words_read} of {words} words."
    return legend


def _gradient_legend(text_reading: reading.Reading, readout: str) -> str:
    if text_reading.architecture == "feedforward":
        return (
            "|dz/dx|, divided by its value at the last word. The network averages the words, so every word has the "
            "same gradient."
        )
    if text_reading.architecture == "flattened":
        return (
            "|dz/dx|, divided by its value at the last word. The network has no state; it has weights of its own for "
            "each position, and the last word is always at the last one."
        )

    second_table = ""
    if "backward" in text_reading.directions:
        end = "padding" if text_reading.padding else "word"
        second_table = f"; in the second table, the state of the first {end}"

    meaning = (
        "|dz/dh|: how much z depends on the hidden state after this word, divided by the value at"
    )
    if readout in POOLED:
        return f"{meaning} the state of the last word{second_table}. z is computed from {POOLED[readout]}."
    return (
        f"{meaning} the state from which z is computed: the state of the last word{second_table}."
    )
