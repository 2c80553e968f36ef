"""The page with live networks, in Chromium without a network, against Keras and science/gradients."""

import json
import random
import re
from importlib.util import find_spec

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from pipeline import params
from pipeline.params import SPECIAL_TOKENS
from pipeline.reporting.playground import page
from pipeline.science import rounded_networks
from pipeline.science.gradients import adjoint, reading
from pipeline.science.networks import architectures, sequences
from pipeline.science.text import tokenizer
from tests.science.text.test_tokenizer import PIECES
from tests.support import page_browser

in_chromium = pytest.mark.skipif(
    page_browser.CHROMIUM is None, reason="chromium is not installed here"
)
TEXTS = 50
CLOSE = 1e-5
WORDS = [f"word{number}" for number in range(200)]
VOCABULARY = [*SPECIAL_TOKENS, *WORDS]
VOCABULARY_SIZE = len(VOCABULARY)
RUNS = {
    "feedforward-textbook": False,
    "vanilla-textbook": False,
    "bidirectional-textbook": False,
    "lstm-textbook": False,
    "vanilla-tuned": True,
}
USUAL_WORDS = 5
LENGTHS = {"splits": {"train": {"length_tokens": {"p5": USUAL_WORDS}}}}
FILMS = {"source": "imdb", **LENGTHS}
OWN_DATA = {
    **LENGTHS,
    "source": "csv",
    "subject": "product opinions",
    "labels": {"positive": "good", "negative": "bad"},
}


def settings_of(run, **changes):
    small = {"sequence_length": 30, "embedding_dimension": 6, "hidden_size": 10, "mask": RUNS[run]}
    return params.read().settings["textbook"].model_copy(update=small | changes)


def network(run, vocabulary_size=VOCABULARY_SIZE, **changes):
    """A network with rounded random weights that are strong enough to matter, and its settings."""
    settings = settings_of(run, **changes)
    architecture = run.partition("-")[0]
    model = architectures.initial_model(architecture, settings, vocabulary_size, seed=1)
    strong = [weight * 1.2 for weight in model.get_weights()]
    strong[0] = strong[0] * 20
    model.set_weights(rounded_networks.rounded(strong))
    return model, settings


def content(networks, vocabulary=VOCABULARY):
    """The card and the weights that `examples` would write for these networks."""
    cards = {}
    tables = [pd.DataFrame({"run": [], "weight": [], "value": []})]
    for run, (model, settings) in networks.items():
        description, table = rounded_networks.packed(model, settings, [np.array([5, 6, 7])])
        cards[run] = {"seed": 3, "accuracy": 0.8, **description}
        tables.append(table.assign(run=run))

    rows = []
    for length, count in (("short", 12), ("long", 60)):
        for label in (0, 1):
            words = [*vocabulary[2 + label : count + label], "<unknown>"]
            rows.append({"length": length, "review": label, "label": label, "words": words})
    strong_words = {"positive": ["word1"], "negative": ["word2"]}
    return {"networks": cards, "texts": rows, "strong_words": strong_words}, pd.concat(tables)


@pytest.fixture(scope="module")
def networks():
    return {run: network(run) for run in RUNS}


@pytest.fixture(scope="module")
def opened(networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("playground")
    file = folder / "playground.html"
    file.write_text(page.html(*content(networks), VOCABULARY, FILMS), encoding="utf-8")
    with page_browser.browser(folder / "profile") as browser:
        browser.open(file, 390)
        browser.run(
            "finished = (generator) => {"
            "let next; do next = generator.next(); while (!next.done); return next.value; }; null"
        )
        yield browser


def random_ids(count=TEXTS):
    """Texts of 1 to 50 words, some of them unknown."""
    generator = np.random.default_rng(0)
    lengths = [1, 2, 30, 50, *generator.integers(1, 50, count - 4)]
    return [generator.integers(1, len(VOCABULARY), length) for length in lengths]


def read_in_browser(opened, run, ids):
    """The `read` of one text in the browser, and the probability after each token."""
    return opened.run(
        f"""(() => {{
        const network = networks.find((network) => network.name === {json.dumps(run)});
        const ids = {json.dumps(ids)};
        const plain = (vector) => Array.from(vector);
        return ids.map((text) => {{
            const {{ logit, wordGradients, directions }} = network.read(text);
            const prefixes = finished(network.prefixLogits(text));
            return {{ probability: sigmoid(logit), wordGradients: wordGradients.map(plain),
                prefixes: plain(prefixes).map(sigmoid),
                norms: directions.map(({{ steps }}) => steps.map((step) => norm(step.gradient))) }};
        }});
        }})()"""
    )


def keras_results(model, tokens_NT):
    """The probabilities that Keras predicts, and dz/dx_NTD by automatic differentiation."""
    encoder = keras.Model(model.input, model.get_layer("probability").input)
    embedding = model.get_layer("embedding")
    kernel, bias = model.get_layer("probability").weights
    with tf.GradientTape() as tape:
        logit_N1 = encoder(tokens_NT) @ kernel + bias
    slices = tape.gradient(logit_N1, embedding.embeddings.value)
    gradient_NTD = slices.values.numpy().reshape(*tokens_NT.shape, -1)
    return tf.sigmoid(logit_N1)[:, 0].numpy(), gradient_NTD


@in_chromium
@pytest.mark.parametrize("run", RUNS)
def test_probabilities_and_gradients_equal_those_of_keras_and_science(opened, networks, run):
    model, settings = networks[run]
    masked = settings.mask or model.name == "feedforward"
    texts = random_ids()
    tokens_NT = sequences.rectangle(texts, settings.sequence_length)
    inputs = [[int(token) for token in row if token or not masked] for row in tokens_NT]
    results = read_in_browser(opened, run, inputs)

    probability_N, gradient_NTD = keras_results(model, tokens_NT)
    for result, probability, gradient_TD in zip(results, probability_N, gradient_NTD, strict=True):
        assert result["probability"] == pytest.approx(probability, abs=CLOSE)
        word_gradients = np.array(result["wordGradients"])
        assert np.abs(word_gradients - gradient_TD[-len(word_gradients) :]).max() < CLOSE

    for ids, tokens, result in zip(texts, inputs, results, strict=True):
        expected = reading.read(model, settings, ids)
        words = len(expected.tokens_T)
        assert result["prefixes"][-words:] == pytest.approx(expected.probability_T, abs=CLOSE)
        norms_T = np.linalg.norm(result["wordGradients"], axis=1)
        assert norms_T[-words:] == pytest.approx(expected.gradient_T, rel=CLOSE)

        curves = [
            curve
            for curve in adjoint.curves(model, np.array([tokens]))
            if curve.quantity != "dz/dc"
        ]
        for curve, norms in zip(curves, result["norms"], strict=True):
            lags = norms if curve.direction == "backward" else norms[::-1]
            assert lags == pytest.approx(10 ** curve.log10_norm_NL[0], rel=CLOSE)


@in_chromium
@pytest.mark.parametrize("run", RUNS)
def test_a_swapped_word_changes_the_logit_as_in_a_changed_text(opened, run):
    ids = random_ids(5)[-1].tolist()
    differences = opened.run(
        f"""(() => {{
        const network = networks.find((network) => network.name === {json.dumps(run)});
        const ids = {json.dumps(ids)};
        const effects = finished(network.swapEffects(ids, 9, 1.3));
        const logit = network.read(ids, 1.3).logit;
        return ids.map((_, t) => effects[t] - (network.read(ids.with(t, 9), 1.3).logit - logit));
        }})()"""
    )
    assert np.abs(differences).max() < 1e-12


@in_chromium
@pytest.mark.parametrize("run", ["vanilla-textbook", "bidirectional-textbook", "lstm-textbook"])
def test_a_gain_scales_the_recurrent_weights(opened, networks, run):
    model, settings = networks[run]
    ids = random_ids()[2]
    weights = model.get_weights()
    for recurrent in range(2, len(weights) - 2, 3):
        weights[recurrent] = weights[recurrent] * 0.5
    scaled = keras.models.clone_model(model)
    scaled.set_weights(weights)

    expected = reading.read(scaled, settings, ids)
    result = opened.run(
        f"""(() => {{
        const network = networks.find((network) => network.name === {json.dumps(run)});
        const {{ logit, wordGradients }} = network.read({ids.tolist()}, 0.5);
        return [sigmoid(logit), wordGradients.map(norm)];
        }})()"""
    )
    assert result[0] == pytest.approx(expected.probability_T[-1], abs=CLOSE)
    assert result[1] == pytest.approx(expected.gradient_T, rel=CLOSE)


@in_chromium
def test_theory_equals_the_gradient_of_a_network_with_one_unit(opened):
    pairs = opened.run(
        """(() => {
        const one = (value) => Float64Array.of(value);
        const cell = new TanhCell("forward", [one(0.7), one(-0.8), one(0.1)], one(-1.3));
        const states = cell.states([0.5, -2, 1, 3].map((x) => cell.drive(one(x))), 1.2);
        return cell.backward(states, 1.2).map((step) => [norm(step.gradient) / 1.3, step.expected]);
        })()"""
    )
    measured, expected = zip(*pairs, strict=True)
    assert measured == pytest.approx(expected, rel=1e-12)
    assert measured[0] < 0.9


@in_chromium
def test_theory_of_an_lstm_equals_the_gradient_of_its_cell_state_alone(opened, networks):
    model, _ = networks["lstm-textbook"]
    ids = random_ids()[2]
    weights = model.get_weights()
    weights[2] = weights[2] * 0
    unconnected = keras.models.clone_model(model)
    unconnected.set_weights(weights)

    *_, of_cell_state = adjoint.curves(unconnected, ids[None])
    assert of_cell_state.quantity == "dz/dc"
    expected = opened.run(
        "networks.find((network) => network.name === 'lstm-textbook')"
        f".read({ids.tolist()}, 0).directions[0].steps.map((step) => step.expected)"
    )
    assert expected[::-1] == pytest.approx(10 ** of_cell_state.log10_relative_NL[0], rel=1e-9)


ODD_TEXTS = [
    "",
    "...",
    "<br />",
    "Don’t <b>miss</b> it!<br />10/10",
    "AT&amp;T &Eacute;t&#201; e&#769; a&NBSP;b &#10;x&#1;y &#128; &#xfdd0; &notit;",
    "İstanbul ΟΔΟΣ STRAẞE hi❤️yo 9️⃣ film-noir_snake d'-'e",
    "half \ud83d a sign a\x00b\u2028c\x85d",
    "<ſ a=b> <K> <a\x0bb> <img alt='>'/>",
]


@in_chromium
def test_the_browser_splits_texts_into_the_words_of_the_pipeline(opened):
    generator = random.Random(0)
    signs = [*PIECES, "<a href='b c'>", "ΟΔΟΣ", "don't", "\x0b", "\x1c", "&#x1;", "&AMP;", "´"]
    texts = [*ODD_TEXTS]
    texts += ["".join(generator.choices(signs, k=generator.randint(1, 25))) for _ in range(2000)]
    in_browser = opened.run(f"{json.dumps(texts)}.map(tokenise)")
    valid_texts = [text.encode(errors="replace").decode() for text in texts]
    expected = tokenizer.token_lists(valid_texts).to_pylist()
    assert dict(zip(texts, in_browser, strict=True)) == dict(zip(texts, expected, strict=True))


def typed(opened, text):
    """Types a text with nothing but the study's padding in front, and waits for the charts."""
    opened.run(
        f"find('front').value = 'study'; find('text').value = {json.dumps(text)};"
        "find('text').dispatchEvent(new Event('input'))"
    )
    opened.until("Number(document.documentElement.dataset.drawn) === version")


@in_chromium
def test_words_outside_the_vocabulary_are_marked_and_listed(opened):
    typed(opened, "word1 nonsense word2 Nonsense word3")
    marked = "[...document.querySelector('.strip').querySelectorAll('.unknown')]"
    assert opened.run(f"{marked}.map((span) => span.textContent)") == ["nonsense", "nonsense"]
    assert "read them all alike (dotted line): nonsense" in opened.run("find('notes').textContent")
    typed(opened, "only nonsense")
    assert "the verdicts mean nothing" in opened.run("find('notes').textContent")


@in_chromium
@pytest.mark.parametrize(("count", "warns"), [(0, False), (1, True), (4, True), (5, False)])
def test_a_text_shorter_than_nearly_all_training_texts_has_a_warning(opened, count, warns):
    typed(opened, " ".join(WORDS[:count]))
    warning = f"95 % of the training texts have {USUAL_WORDS} words or more"
    assert (warning in opened.run("find('notes').textContent")) == warns


@in_chromium
@pytest.mark.parametrize("text", ["", "  ", "...!", "<br>"])
def test_a_text_without_words_has_no_verdict_and_no_error(opened, text):
    typed(opened, text)
    assert opened.run("find('status').textContent") == "Type a text first."
    assert opened.run("document.querySelector('.verdict').textContent") == "Nothing to read yet."
    assert opened.errors == []


@in_chromium
def test_the_study_reads_the_last_words_and_nothing_reads_all(opened):
    typed(opened, " ".join(WORDS[:50] * 16))
    assert "only the last 30 of 800 words" in opened.run("find('notes').textContent")
    assert opened.run("panes[0].input.ids.length") == 30

    opened.run("find('front').value = 'nothing'; find('front').dispatchEvent(new Event('input'))")
    opened.until("Number(document.documentElement.dataset.drawn) === version")
    assert opened.run("panes[0].input.ids.length") == 800
    assert opened.run("panes[0].reading.directions[0].steps.length") == 800
    opened.run("find('front').value = 'study'")
    assert opened.errors == []


@in_chromium
def test_the_page_shows_what_each_network_reads_in_the_study(opened):
    for run, skips in [("vanilla-textbook", False), ("vanilla-tuned", True)]:
        typed(opened, "word1 word2 word3")
        index = list(RUNS).index(run)
        opened.run(f"panes[0].choice.value = {index}; changed()")
        assert opened.run("panes[0].input.front") == (0 if skips else 27)


@in_chromium
@pytest.mark.parametrize(
    ("entered", "tokens"), [("-5", 0), ("", 0), ("1.5", 1), ("40", 40), ("100000", 1000)]
)
def test_the_padding_field_shows_the_tokens_that_are_read(opened, entered, tokens):
    typed(opened, "word1 word2")
    opened.run("panes[0].choice.value = 1; find('front').value = 'padding'")
    opened.run(
        f"find('padding').value = '{entered}'; "
        "for (const type of ['input', 'change']) find('padding').dispatchEvent(new Event(type))"
    )
    assert opened.run("Number(find('padding').value)") == tokens
    assert opened.run("panes[0].input.front") == tokens
    opened.run("find('front').value = 'study'")


@in_chromium
def test_the_example_about_an_lstm_compares_gradients_at_words(opened):
    for title, target in [("LSTM memory", "word"), ("Forgetting", "state")]:
        opened.run(f"show(data.examples.find((one) => one.title === '{title}'))")
        assert opened.run("find('target').value") == target


KEYS = {"Tab": 9, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Home": 36, " ": 32}


def press(opened, key, times=1):
    for _ in range(times):
        text = {"text": "\r"} if key == "Enter" else {"text": " "} if key == " " else {}
        for kind in ("keyDown", "keyUp"):
            opened.ask(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code="Space" if key == " " else key,
                windowsVirtualKeyCode=KEYS[key],
                **(text if kind == "keyDown" else {}),
            )


def tab_to(opened, selector):
    for _ in range(60):
        if opened.run(f"document.activeElement.matches({json.dumps(selector)})"):
            return
        press(opened, "Tab")
    pytest.fail(f"Tab does not reach {selector}")


@in_chromium
def test_the_keyboard_alone_chooses_an_example_steps_and_plays(opened):
    opened.run("document.activeElement.blur(); null")
    tab_to(opened, "#examples button:nth-child(2)")
    press(opened, "Enter")
    opened.until("Number(document.documentElement.dataset.drawn) === version")
    assert "of the gradient at the last word is left" in opened.run("find('answer').textContent")

    tab_to(opened, "#read")
    press(opened, "Home")
    press(opened, "ArrowRight", 2)
    words = opened.run("words.length")
    first_read = words - settings_of("vanilla-textbook").sequence_length + 1
    assert opened.run("wordsRead") == first_read + 2
    opened.until(
        f"find('status').textContent.startsWith('After word {first_read + 2} of {words}:')"
    )

    opened.run("find('play').focus()")
    press(opened, " ")
    opened.until(f"wordsRead > {first_read + 4}")
    assert opened.run("find('status').textContent") == "Reading …"
    press(opened, " ")
    assert opened.run("player") is None


@in_chromium
def test_every_control_has_a_name_and_results_are_announced(opened):
    unnamed = (
        "[...document.querySelectorAll('button, select, input, textarea')]"
        ".filter((control) => !(control.labels?.length || control.ariaLabel || control.textContent.trim()))"
    )
    assert opened.run(f"{unnamed}.length") == 0
    assert opened.run("find('status').getAttribute('aria-live')") == "polite"


@in_chromium
def test_each_chart_has_a_sentence_and_a_table_of_its_numbers(opened):
    typed(opened, "word1 word2 word3")
    opened.run("document.querySelectorAll('figure details').forEach((d) => (d.open = true))")
    shown = "[...document.querySelectorAll('.pane figure')].filter((figure) => !figure.hidden)"
    opened.until(f"{shown}.every((figure) => figure.querySelector('tbody tr'))")
    assert opened.run(f"{shown}.length") == 10
    labels = opened.run(
        f"{shown}.map((figure) => figure.querySelector('[role=img]').getAttribute('aria-label'))"
    )
    assert all(len(label) > 30 for label in labels)
    assert not re.search("NaN|undefined|Infinity", opened.run("document.body.innerText"))


@in_chromium
def test_the_page_requests_nothing_and_fits_a_narrow_window(opened):
    assert opened.requests == []
    assert opened.errors == []
    assert opened.run("document.documentElement.scrollWidth <= innerWidth")

    refusal = """new Promise((resolve) => {
        document.addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective));
        fetch('https://example.org').catch(() => null);
    })"""
    assert opened.run(refusal) == "connect-src"
    opened.errors.clear()


@in_chromium
@pytest.mark.skipif(
    find_spec("axe_core_python") is None, reason="axe-core-python is not installed here"
)
def test_axe_finds_nothing_serious_on_the_playground(opened):
    assert opened.accessibility_errors() == []


@in_chromium
@pytest.mark.exhaustive
def test_an_update_of_100_words_takes_less_than_50_milliseconds(tmp_path):
    sizes = {"sequence_length": 100, "embedding_dimension": 32, "hidden_size": 64}
    networks = {run: network(run, **sizes) for run in RUNS}
    file = tmp_path / "playground.html"
    file.write_text(page.html(*content(networks), VOCABULARY, FILMS), encoding="utf-8")

    with page_browser.browser(tmp_path / "profile") as browser:
        browser.open(file, 1280)
        typed(browser, " ".join(WORDS[:100]))
        for run in range(len(RUNS)):
            browser.run(f"panes.forEach((pane) => (pane.choice.value = {run}))")
            update = "changed(), Number(document.documentElement.dataset.milliseconds)"
            durations = [browser.run(update) for _ in range(20)]
            assert min(durations) < 50, run


def test_the_page_has_the_same_bytes_twice(networks):
    card, weights = content(networks)
    pages = {page.html(card, weights, VOCABULARY, FILMS) for _ in range(2)}
    assert len(pages) == 1


def test_rare_words_are_left_out_of_a_page_that_would_be_too_large(monkeypatch):
    monkeypatch.setattr(page, "MOST_BYTES", 150_000)
    vocabulary = [*SPECIAL_TOKENS, *(f"w{number}" for number in range(20_000))]
    model, settings = network("vanilla-textbook", len(vocabulary))
    text = page.html(
        *content({"vanilla-textbook": (model, settings)}, vocabulary), vocabulary, FILMS
    )
    assert 100_000 < len(text.encode()) <= 150_000
    assert "rarer ones did not fit" in text


def test_a_study_has_the_examples_of_its_networks(networks):
    titles = {}
    for run in networks:
        chosen = {name: networks[name] for name in {"vanilla-textbook", run}}
        text = page.html(*content(chosen), VOCABULARY, FILMS)
        titles[run] = re.findall(r'"title": "([A-Z][^"]*)"', text)
    assert titles == {
        "feedforward-textbook": ["Word order"],
        "vanilla-textbook": [],
        "bidirectional-textbook": ["Both directions"],
        "lstm-textbook": ["Forgetting", "LSTM memory"],
        "vanilla-tuned": ["Vanishing gradient"],
    }


def test_a_page_without_networks_says_so_and_has_no_script():
    text = page.html(*content({}), VOCABULARY, FILMS)
    assert "This study has none of the networks" in text
    assert "<script" not in text


def test_a_page_about_other_texts_names_them_and_no_films(networks):
    text = page.html(*content(networks), VOCABULARY, OWN_DATA)
    visible = re.sub(r"<script.*?</script>|<style.*?</style>", "", text, flags=re.DOTALL)
    assert "Positive is the label &#39;good&#39;" in visible
    assert not re.search(r"film|imdb|review|english", visible, re.IGNORECASE)


def test_no_word_can_end_the_script_of_the_page(networks):
    hostile = "</script><script>alert(1)</script>"
    vocabulary = [*SPECIAL_TOKENS, hostile, *WORDS[1:]]
    text = page.html(*content(networks, vocabulary), vocabulary, FILMS)
    assert hostile not in text


def test_rounding_changes_are_measured_and_small(networks):
    model, settings = network("bidirectional-textbook")
    weights = model.get_weights()
    weights[0] = weights[0] * 1.0001
    model.set_weights(weights)
    error = rounded_networks.rounding_error(model, settings, random_ids(6))
    assert 0 < error["probability"] < 1e-3
    assert 0 < error["gradient"] < 1e-2
    assert error["reviews"] == 6
