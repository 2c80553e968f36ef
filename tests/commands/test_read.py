"""`read` on small networks."""

import json
import sys

import numpy as np
import pytest

from pipeline.__main__ import main
from pipeline.science.networks import architectures
from pipeline.storage import artifacts
from tests.support import trained_run
from tests.support.trained_run import SETTINGS, SIZE

HEADING = "word            positive         effect  gradient  hidden state"


@pytest.fixture
def save(tmp_path, monkeypatch):
    """A function that builds a network, saves it as the run `it` in an empty folder and returns it."""
    monkeypatch.chdir(tmp_path)

    def saved(architecture="vanilla", backward=1.0, **changed):
        settings = SETTINGS.model_copy(update=changed)
        model = architectures.build(architecture, settings, SIZE)
        random = np.random.default_rng(0)
        weights = [random.normal(0, 0.5, weight.shape) for weight in model.get_weights()]
        model.set_weights(weights)

        if architecture == "bidirectional":
            backward_layer = model.get_layer("encoder").backward_layer
            backward_layer.set_weights(
                [backward * weight for weight in backward_layer.get_weights()]
            )
        trained_run.write("it", model, settings)
        return model

    return saved


def output_of(capsys, *arguments):
    assert main(["read", *arguments]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def probability_of(model, *ids):
    """The model's own prediction for a text of these word ids."""
    return model(np.array([ids], np.int32)).numpy()[0, 0]


def test_json_has_one_token_per_word_with_its_numbers(save, capsys):
    model = save()
    output = output_of(capsys, "Not a FINE film!", "--run", "it", "--seed", "0", "--json")
    report = json.loads(output, parse_constant=pytest.fail)
    tokens = report["tokens"]
    expected = probability_of(model, 0, 0, 0, 1, 1, 2, 4)

    assert report["run"] == "it"
    assert report["seed"] == 0
    assert report["words"] == 4
    assert report["probability"] == tokens[-1]["probability"]
    assert report["probability"] == pytest.approx(expected, abs=1e-6)
    assert report["verdict"] == ("positive" if expected > 0.5 else "negative")
    assert len(report["readout"]["forward"]) == 5

    words = [(token["token"], token["known"]) for token in tokens]
    assert words == [("not", False), ("a", False), ("fine", True), ("film", True)]
    for token in tokens:
        assert {"probability", "log10_relative_norm", "saliency", "gradient"} <= token.keys()
        assert len(token["state"]) == 5


def test_json_is_valid_where_the_gradient_is_zero(save, capsys):
    model = save("bidirectional")
    model.get_layer("probability").kernel.assign(np.zeros((10, 1)))
    artifacts.write_bytes(artifacts.weights("it", 0), architectures.to_bytes(model))
    trained_run.record("it")

    report = json.loads(output_of(capsys, "fine film", "--json"), parse_constant=pytest.fail)
    for token in report["tokens"]:
        assert token["log10_relative_norm"] is None
        assert token["log10_relative_norm_backward"] is None
    assert "0 %" in output_of(capsys, "fine film")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["fine", "--run", "nobody"],
            "error: --run nobody: not in reports/metrics.json; allowed: it",
        ),
        (["fine", "--seed", "4"], "error: --seed 4: not trained; allowed: 0"),
        ([""], "error: text: '': it contains no word"),
        (["?!"], "error: text: '?!': it contains no word"),
        (
            ["Unheard of"],
            "error: text: 'Unheard of': the vocabulary contains none of its words",
        ),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["terminal", "json"])
def test_a_mistake_is_one_line_on_stderr_and_exit_code_2(save, capsys, arguments, line, form):
    save()
    assert main(["read", *arguments, *form]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == line + "\n"


def test_without_a_text_the_usage_names_the_missing_argument(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["read"])
    assert ended.value.code == 2
    assert "the following arguments are required: text" in capsys.readouterr().err


def test_a_table_of_words_a_legend_and_the_verdict_are_printed(save, capsys):
    probability = probability_of(save(), 0, 0, 0, 1, 1, 2, 4)
    lines = output_of(capsys, "not a fine film").splitlines()
    assert lines[0] == HEADING
    assert max(map(len, lines)) <= 120

    table = [line.split() for line in lines[1:5]]
    assert [cells[0] for cells in table] == ["(not)", "(a)", "fine", "film"]
    assert float(table[-1][1]) == pytest.approx(probability, abs=6e-4)
    assert "100.0 %" in lines[4]
    assert lines[5] == ""

    legend = [line for line in lines[6:-2] if not line.startswith(" ")]
    names = [line.split()[0] for line in legend]
    assert names == ["positive", "effect", "gradient", "picture", "padding", "(word)"]
    verdict = "positive" if probability > 0.5 else "negative"
    assert (
        lines[-1]
        == f"{verdict}: probability that the text is positive {probability:.4f} (it, seed 0)"
    )


def test_the_legend_explains_padding_and_omitted_words(save, capsys):
    save()
    assert "It reads 5 padding tokens first" in unwrapped(output_of(capsys, "fine film"))
    full = unwrapped(output_of(capsys, "dull " * 2 + "fine " * 7))
    assert "padding" not in full
    assert "(word)" not in full
    assert "the network reads only the last 7 of 9 words" in full
    save(mask=True)
    assert "padding" not in output_of(capsys, "fine film")


def unwrapped(text):
    return " ".join(text.split())


def test_two_directions_have_two_tables_and_one_scale(save, capsys):
    save("bidirectional", backward=1e-4)
    lines = output_of(capsys, "fine dull film").splitlines()
    assert (
        lines[5]
        == f"{'word':14}  gradient  hidden state of the half that reads from the last word to the first"
    )
    forward = "".join(line[-5:] for line in lines[1:4])
    backward = "".join(line[-5:] for line in lines[6:9])
    assert set(backward) == {"="}  # nearly 0, on the scale of the other
    assert set(forward) & set(" @")
    assert lines[6].split()[0] == "fine"


@pytest.mark.parametrize(
    ("readout", "source"),
    [
        ("last", "the state from which z is computed: the state of the last word"),
        ("mean", "z is computed from the mean of all states"),
        ("max", "z is computed from the largest value of each unit in all states"),
    ],
)
def test_the_legend_says_what_the_classifier_reads(save, capsys, readout, source):
    save(readout=readout)
    legend = unwrapped(output_of(capsys, "fine dull film"))
    assert source in legend
    assert ("from which z is computed" in legend) == (readout == "last")


def test_the_legend_says_that_feedforward_averages_words(save, capsys):
    save("feedforward")
    output = output_of(capsys, "fine dull film")
    assert "hidden layer for the words so far" in output
    assert "The network averages the words" in unwrapped(output)


def test_the_legend_says_that_flattened_has_weights_for_each_position(save, capsys):
    save("flattened")
    output = unwrapped(output_of(capsys, "fine dull film"))
    assert "it has weights of its own for each position" in output
    assert "padding tokens first" in output


def test_the_units_with_the_most_extreme_weights_are_pictured(save, capsys):
    model = save(hidden_size=67)
    report = json.loads(output_of(capsys, "fine film", "--json"))
    lines = output_of(capsys, "fine film").splitlines()
    assert "It shows the 64 of 67 units" in unwrapped("\n".join(lines))
    picture = lines[2].split(" %  ", 1)[1]
    assert len(picture) == 64

    readout_H = model.get_layer("probability").kernel.numpy()[:, 0]
    order = np.argsort(readout_H)
    pictured = np.delete(order, [32, 33, 34])
    state_H = np.array(report["tokens"][-1]["state"])
    largest = max(np.abs(token["state"]).max() for token in report["tokens"])
    block_H = [" .:-=+*%@".index(block) - 4 for block in picture]
    np.testing.assert_array_equal(block_H, np.rint(4 * state_H[pictured] / largest))


def test_a_long_word_is_cut_and_columns_stay_aligned(save, capsys):
    save()
    lines = output_of(capsys, "antidisestablishmentarianism fine").splitlines()
    assert lines[1].startswith("(antidisestab…  0.")
    assert lines[2].startswith("fine            0.")
    assert len(lines[1]) == len(lines[2])


@pytest.mark.parametrize(
    ("terminal", "no_colour", "coloured"),
    [(True, None, True), (True, "", True), (True, "1", False), (False, None, False)],
)
def test_only_a_terminal_without_no_color_gets_colours(
    save, capsys, monkeypatch, terminal, no_colour, coloured
):
    save()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_colour is not None:
        monkeypatch.setenv("NO_COLOR", no_colour)

    output = output_of(capsys, "fine film")
    assert ("\x1b[" in output) == coloured
    assert ("white is 0" in unwrapped(output)) == coloured
    for line in output.splitlines()[1:3]:
        assert line.endswith("\x1b[0m") == coloured
    assert "\x1b" not in output_of(capsys, "fine film", "--json")
