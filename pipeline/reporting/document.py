"""The study as one story in two forms: Markdown for a Git host and a page that needs no network.

`story` turns frames into a context of sentences, tables and figures; `markdown` and `html` render it with one template
of prose (`story.jinja`) over two sets of macros. No number in a sentence is typed by hand.
"""

import math
import re
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from pipeline.params import subjects
from pipeline.reporting import (
    captions,
    cells,
    distance,
    distance_captions,
    distance_cells,
    distance_findings,
    figures,
    files,
    findings,
    reliability,
    tables,
)
from pipeline.reporting.findings import count, percent

TEMPLATES = Path(__file__).parent
IMDB, PANG_LEE = (
    "IMDB, in English; Maas et al. 2011",
    "Rotten Tomatoes, in English; Pang & Lee 2005",
)
SOURCES = {
    "imdb": IMDB,
    "aclimdb": IMDB,
    "rotten_tomatoes": PANG_LEE,
    "csv": "the CSV file that data.path names",
}


def story(
    claims: list[dict],
    card: dict,
    metrics: dict,
    compared: list[dict],
    runs: pd.DataFrame,
    calibration: pd.DataFrame,
    buckets: pd.DataFrame,
    ensembles: dict,
    gains: pd.DataFrame,
    models: dict,
    examples: dict,
    trials: dict[str, pd.DataFrame],
    studies: dict[str, dict],
    gradients: pd.DataFrame,
    everything: pd.DataFrame,
    dynamics: pd.DataFrame,
    decay: pd.DataFrame,
    memory: pd.DataFrame,
    probes: pd.DataFrame,
    retention: pd.DataFrame,
    settings: dict,
) -> dict:
    """Everything the templates need: `sentences`, `tables`, `figures` by name, and what was set.

    `trials` and `studies` (what a search says of its trials) by architecture; what the study of sequence lengths has
    measured of all lengths in one frame each, `everything` being every curve of a gradient; `settings` are the
    parameters that a sentence names: runs, seeds (of each run), trials, rung_epochs, finalists, race_seeds, space,
    lengths, vanished, usable, solved, updates, and of the statistics alpha, power, almost, meaningful, learned_share.
    """
    source, subject = SOURCES[card["source"]], subjects.of_card(card)
    found = tables.results(metrics, models, settings["runs"])
    pairs = tables.comparisons(compared, settings["alpha"])
    reviews = tables.reviews_by_length(gradients)
    trained = gradients[gradients.weights == "trained"].sequence_length.unique().tolist()
    length = tables.nearest_length(
        card["sequence_length"], trained or list(reviews) or settings["lengths"]
    )
    curves = tables.curves(gradients)
    fading = tables.fading(curves)
    textbook = card["sequence_length"]
    measured = (everything, dynamics, decay, memory, probes, retention)
    apart = distance.frames(*measured, length, textbook, settings["usable"])
    shown = distance.one_design(memory)
    sign_accuracy, contrast = (
        tables.memory(shown, "sign_accuracy"),
        tables.memory(shown, "contrast"),
    )
    remembering = tables.remembering(sign_accuracy)
    at_length = {
        name: frame[frame.sequence_length == length]
        for name, frame in (("curves", curves), ("sign", sign_accuracy))
    }
    lengths, vanished = settings["lengths"], settings["vanished"]
    all_curves = distance.curves(everything, set(lengths))
    space = settings["space"]
    searched = tables.trials(trials, studies)
    readings = tables.readings(examples)
    important, expected = tables.importances(studies, space), tables.expected_best(studies)
    at_textbook = tables.at_textbook(metrics, models, settings["runs"])
    drawn = {
        **captions.captioned(found, pairs, at_length, contrast, fading, length),
        **reliability.captioned(runs, calibration, buckets),
        **distance_captions.of_gradients(apart, length, textbook),
        **distance_captions.of_mechanism(apart, length),
        **distance_captions.of_memory(apart, length, settings["solved"]),
        **captions.of_readings(readings),
        **captions.of_tuning(searched, important, expected, space, models, at_textbook),
    }
    by_length = {
        "gradients-by-lag": lambda each: distance_captions.gradients_by_lag(
            distance.of_states(all_curves, each), each
        ),
        "memory-by-lag": lambda each: captions.memory_by_lag(
            sign_accuracy[sign_accuracy.sequence_length == each], contrast, each
        ),
    }
    return {
        "card": card,
        "source": source,
        "subject": subject,
        "texts": findings.texts(card, subject, source),
        "real": "" if card["source"] == "csv" else "real ",
        "examples": examples,
        "settings": settings,
        "length": length,
        "vanished": findings.share_of(math.log10(vanished)),
        "reviews": reviews,
        "untrained": [str(each) for each in reviews if each not in trained],
        "claims": cells.claims(claims),
        "deciding_interval": cells.deciding_interval(claims),
        "space": [cells.dimension(name, dimension) for name, dimension in space.items()],
        "sentences": {
            "data": findings.data(card, subject, source),
            "best": findings.best(found),
            "word_order": findings.word_order(gains),
            "both_directions": findings.both_directions(pairs),
            "kept_by_both": findings.kept_by_both(distance.effects(shown), length),
            "fades": distance_findings.fades(decay, length, vanished)
            + distance_findings.cell_state(decay, length),
            "fades_with_length": distance_findings.fades_with_length(decay, lengths, vanished),
            "remembers": findings.remembers(remembering, distance.effects(shown), fading, length),
            "decays": distance_findings.decays(decay, length),
            "starts": distance_findings.starts(apart["starts"]),
            "places": distance_findings.places(apart["positions"], length),
            "mechanism": distance_findings.mechanism(apart["mechanism"], length)
            + distance_findings.bound(apart["mechanism"], length),
            "norms": distance_findings.norms(apart["norms"]),
            "reach": distance_findings.reach(apart["reach"], length, settings["usable"]),
            "changed": distance_findings.changed(apart["changed"], length)
            + distance_findings.truncated(distance.truncated(apart["changed"]), length),
            "deficits": distance_findings.deficits(apart["deficits"]),
            "learned": distance_findings.learned(apart["learned"]),
            "few_seeds": distance_findings.few_seeds(decay),
            "unequal_seeds": distance_findings.unequal_seeds(decay),
            "reach_of_memory": findings.reach_of_memory(remembering, length),
            "comparisons": [findings.comparison(row) for row in pairs.itertuples()],
            "tuned": [
                findings.tuned(trials[name], study, name, pairs, space)
                for name, study in studies.items()
            ],
            "importances": [
                findings.importances(architecture, important) for architecture in trials
            ],
            "expected_best": [
                findings.expected_best(architecture, expected) for architecture in trials
            ],
            **reliability.sentences(runs, buckets, settings),
            "seeds": findings.seeds_in_words(settings["seeds"].values()),
            "seeds_of_runs": findings.seeds_of_runs(settings["seeds"], found),
            "seeds_of_curves": findings.seeds_in_words(sign_accuracy.seeds),
        },
        "tables": {
            "splits": cells.splits(card),
            "counts": cells.counts(card),
            "settings": cells.settings(models, settings["runs"]),
            "layers": cells.layers(models, settings["runs"]),
            "results": cells.results(found, ensembles),
            "other_metrics": cells.other_metrics(found),
            "comparisons": cells.comparisons(pairs),
            "how_sure": reliability.how_sure(pairs, settings),
            "fixed_networks": reliability.fixed_networks(pairs),
            "spread": reliability.spread(runs, found),
            "by_length": reliability.by_length(buckets),
            "fading": cells.fading(fading, length),
            "fading_by_length": cells.fading_by_length(fading, settings["lengths"], reviews),
            "decays": [
                distance_cells.decays(decay, each, textbook) for each in settings["lengths"]
            ],
            "measured": distance_cells.measured(decay, textbook, settings["lengths"]),
            "starts": distance_cells.starts(apart["starts"]),
            "mechanism": distance_cells.mechanism(apart["mechanism"], textbook),
            "reach": distance_cells.reach(apart["reach"], settings["usable"]),
            "deficits": distance_cells.deficits(apart["deficits"]),
            "changed": distance_cells.changed(apart["changed"], length),
            "learned": distance_cells.learned(apart["learned"]),
            "memory_by_length": cells.memory_by_length(remembering),
            "readings": cells.readings(readings),
            "race": cells.race(studies),
            "regret": cells.regret(studies),
            "not_completed": cells.not_completed(searched),
            "trials": [
                cells.trials(*each) for each in searched.groupby("architecture", sort=False)
            ],
        },
        "figures": {
            name: {"files": files.of(name, length, lengths, list(trials)), **figure}
            for name, figure in drawn.items()
        },
        "choices": {
            name: {
                each: {"files": files.of(name, each, lengths, []), **make(each)}
                for each in lengths
                if reviews.get(each)
            }
            for name, make in by_length.items()
            if name in drawn
        },
        "words": cells.words(readings),
        "architectures": [
            [name, {"colour": figures.COLOURS[name], "sign": figures.SIGNS[name]}]
            for name in figures.COLOURS
        ],
    }


def markdown(told: dict) -> str:
    return _rendered("report.md.jinja", told, autoescape=False)


def html(told: dict) -> str:
    return _rendered("report.html.jinja", {**told, "scripts": figures.scripts()}, autoescape=True)


def pictures(told: dict) -> dict[str, str]:
    """{name: SVG} of every figure."""
    return {
        name: figures.svg(figure["panels"], 1 if figure.get("stacked") else 2)
        for name, figure in told["figures"].items()
    }


def _rendered(template: str, context: dict, autoescape: bool) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        autoescape=autoescape,  # noqa: S701 - off for Markdown alone, where `plain` escapes
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": percent,
        "count": count,
        "counts": findings.counts,
        "listed": findings.listed,
    }
    environment.filters |= {"plain": _plain, "page": figures.page, "sections": _sections}
    return environment.get_template(template).render(context)


def _visible(value):
    return tables.visible(value) if type(value) is str else value


def _sections(story: str) -> list[tuple[str, Markup]]:
    """The place and the words of every heading of the second level."""
    headings = re.findall(r'<h2 id="(.*?)">(.*?)</h2>', story)
    return [(place, Markup(words)) for place, words in headings]  # noqa: S704 - escaped


def _plain(text) -> str:
    """A text that Markdown shows as it is, also inside a table."""
    text = " ".join(str(text).split())
    for sign, shown in (
        ("\\", "\\\\"),
        ("&", "&amp;"),
        ("<", "&lt;"),
        *((sign, f"\\{sign}") for sign in "|*`[]"),
    ):
        text = text.replace(sign, shown)
    return text
