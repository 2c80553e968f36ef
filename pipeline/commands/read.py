"""`read`: a sentence word by word, by a trained network."""

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
from pipeline.storage import artifacts, recorded_files

WORD = 14  # columns; a longer word is cut
BAR = 8
NAME = 10
UNITS = 64  # of more, those that the logit takes most of, from both ends
WIDTH = 110
SHADES = " .:-=+*%@"
COLOURS = (24, 31, 74, 110, 152, 255, 223, 216, 209, 166, 130)  # of 256: blue below zero, white, orange above
PICTURED = {
    "forward": "hidden state",
    "backward": "hidden state of the half that reads from the last word to the first",
    "none": "hidden layer for the words so far",
}


def main(text: str, run: str | None, seed: int | None, as_json: bool) -> None:
    """Prints a line a word (the probability after it, what it counts, its gradient, the state as a picture), a legend
    and the verdict."""
    run, seed = predict.chosen(artifacts.read_json(artifacts.METRICS), run, seed)
    card = artifacts.read_json(artifacts.model(run))
    settings = Settings.model_validate(card["values"])
    (ids,) = predict.encoded([text], "text")
    weights = artifacts.read_weights(artifacts.weights(run, seed))
    recorded_files.check_model(run)
    model = architectures.restored(card["architecture"], settings, card["vocabulary_size"], weights)
    found = reading.read(model, settings, ids)
    rows = found.rows(tokenizer.tokenise(text))
    probability = rows[-1]["probability"]
    verdict = "positive" if probability > 0.5 else "negative"
    if as_json:
        told = {"run": run, "seed": seed, "verdict": verdict, "probability": probability, "words": len(ids)}
        readout = {name: direction.readout_H.tolist() for name, direction in found.directions.items()}
        print(json.dumps({**told, "readout": readout, "tokens": rows}, allow_nan=False))
        return
    in_colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    largest = max(np.abs(direction.state_TH).max() for direction in found.directions.values()) or 1.0
    for name, direction in found.directions.items():
        print(*_table(name, rows, _pictures(direction, largest, in_colour)), "", sep="\n")
    for name, meaning in _legend(found, len(ids), largest, in_colour).items():
        print(textwrap.fill(f"{name:{NAME}}{meaning}", WIDTH, subsequent_indent=" " * NAME))
    print(f"\n{verdict}: probability of a positive review {probability:.4f} ({run}, seed {seed})")


def _table(name: str, rows: list[dict], pictures: list[str]) -> list[str]:
    """A heading and a line a word; what both halves of a network share is in the first table alone."""
    backward = name == "backward"
    cells = [
        (
            _word(row["token"], row["known"]),
            *([] if backward else [_probability(row["probability"]), _signed(row["saliency"])]),
            _share(row["log10_relative_norm_backward" if backward else "log10_relative_norm"]),
            picture,
        )
        for row, picture in zip(rows, pictures, strict=True)
    ]
    named = [
        f"{'word':{WORD}}",
        *([] if backward else [f"{'positive':{BAR + 6}}", " counts"]),
        "gradient",
        PICTURED[name],
    ]
    return ["  ".join(line) for line in [named, *cells]]


def _word(word: str, known: bool) -> str:
    word = word if known else f"({word})"
    return f"{word if len(word) <= WORD else word[: WORD - 1] + '…':{WORD}}"


def _probability(probability: float) -> str:
    return f"{probability:.3f} {'#' * round(BAR * probability):{BAR}}"


def _signed(saliency: float) -> str:
    return f"{saliency:+7.2f}" if abs(saliency) >= 0.005 else f"{'0':>7}"


def _share(log10_norm: float | None) -> str:
    """Percent where that can be read, else a power of ten."""
    if log10_norm is None:
        return f"{'0 %':>8}"
    if -4 < log10_norm < 1:
        return f"{f'{100 * 10**log10_norm:.{1 if log10_norm > -2 else 3}f} %':>8}"
    return f"{f'10^{log10_norm:.1f}':>8}"


def _pictures(direction: reading.Direction, largest: float, in_colour: bool) -> list[str]:
    """A line a word, a block a unit, in the order of what the logit takes of each."""
    order = np.argsort(direction.readout_H, kind="stable")
    if len(order) > UNITS:
        order = np.concatenate([order[: UNITS // 2], order[-UNITS // 2 :]])
    blocks = [f"\x1b[48;5;{colour}m " for colour in COLOURS] if in_colour else SHADES
    share_TH = direction.state_TH[:, order] / largest
    level_TH = np.rint((share_TH + 1) / 2 * (len(blocks) - 1)).astype(int)
    return ["".join(blocks[level] for level in level_H) + "\x1b[0m" * in_colour for level_H in level_TH]


def _legend(found: reading.Reading, words: int, largest: float, in_colour: bool) -> dict[str, str]:
    """What the tables do not say by themselves, by name of a column."""
    low, zero, high = (
        ("blue", "white", "orange") if in_colour else (f"'{SHADES[at]}'" for at in (0, len(SHADES) // 2, -1))
    )
    units = len(next(iter(found.directions.values())).readout_H)
    said = {
        "positive": "the probability of a positive review if the text ended after this word.",
        "counts": "what the word adds to the logit z (the verdict is positive where z > 0), to first order: gradient "
        "times input. + speaks for positive, - for negative.",
        "gradient": _gradient(found),
        "picture": f"the hidden layer, a column a unit. Those on the left speak for negative when they are high, those "
        f"on the right for positive. {zero} is 0, {high} is {largest:.2f}, {low} is -{largest:.2f}.",
    }
    if units > UNITS:
        said["picture"] += f" Of {units} units it shows the {UNITS} whose weights in z lie furthest out."
    if found.padding:
        said["padding"] = (
            f"this network takes the padding before a short text for words. Here it reads {found.padding} times "
            f"nothing first, and then says {found.before_first:.3f}."
        )
    if (found.tokens_T == tokenizer.UNKNOWN).any():
        said["(word)"] = "is not in the vocabulary; such words are all one to the network."
    if len(found.tokens_T) < words:
        said["length"] = f"only the last {len(found.tokens_T)} of {words} words are read."
    return said


def _gradient(found: reading.Reading) -> str:
    if "none" in found.directions:
        return "|dz/dx|, as a share of that at the last word. A mean knows no order: every word has the same."
    backward_end = "padding" if found.padding else "word"
    also = f"; in the second table, of the first {backward_end}" if "backward" in found.directions else ""
    return (
        "|dz/dh|, how much z still depends on the hidden state after this word, as a share of that at the state that "
        f"is read out: of the last word{also}."
    )
