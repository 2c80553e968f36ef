"""Frames of `distance` in, figures with words out, in the form of `captions.captioned`; none where nothing is."""

from pipeline.reporting import distance, distance_figures, distance_findings, figures, tables
from pipeline.reporting.findings import count, half_life, listed, number, percent, share_of

SEEDS = "The band spans the lowest and the highest seed."
CUT = SEEDS + " It may go on beyond the panel."
BARS = "The bar spans the lowest and the highest seed."


def of_gradients(found: dict, length: int, textbook: int) -> dict[str, dict]:
    """`found`: the frames of `document`, by name."""
    states, starts, positions = found["states"], found["starts"], found["positions"]
    drawn = {}
    if len(states):
        drawn["gradients-by-lag"] = gradients_by_lag(states, length)
    if starts["initialiser"].nunique() > 1:
        drawn["gradients-by-start"] = {
            "title": "The start decides",
            "see": "The same networks before any training, with recurrent weights drawn in four ways. A plot of "
            f"vanishing gradients that does not name its initialiser says nothing. {CUT}",
            "alternative": " ".join(distance_findings.starts(starts)),
            "panels": figures.specified(distance_figures.by_start(starts)),
        }
    if len(positions):
        drawn["gradients-by-place"] = {
            "title": f"Which words count, at {count(length, 'token')}",
            "see": "The gradient at each word of trained networks. A network that reads in both directions should "
            "have a U: high at both ends, low in the middle. Each curve is relative to where its reading ends: the "
            "backward half to the first word, all others to the last, so the halves do not add up here, and they have "
            "no band. That of the others spans the lowest and the highest seed, and may go on beyond the panel.",
            "alternative": " ".join(distance_findings.places(positions, length)),
            "panels": figures.specified(distance_figures.by_position(positions)),
        }
    designed = found["designed"]
    known = designed[designed["half_life_tokens"].notna()]
    if len(known):
        drawn["half-life-by-length"] = {
            "title": "Half-life by sequence length",
            "see": "How many tokens halve the gradient of the median seed, where one exponential describes its curve "
            "(R² of at least 0.9). A mark is missing where it does not, or where the half-life is longer than the "
            "fitted lags. The bar is the 95 % interval for other seeds and other reviews; fewer than six seeds have "
            "none. It may go on beyond the panel. Marks of one length stand apart only to be seen.",
            "alternative": "Half-lives in tokens: "
            + "; ".join(
                f"{distance.panel(row)} at {row.sequence_length}, {row.design}, {half_life(row)}"
                for row in known.itertuples()
                if row.architecture == "vanilla"
            )
            + ".",
            "panels": figures.specified(distance_figures.half_lives(designed, textbook)),
        }
    if len(designed):
        # at the textbook's length two designs are one
        curves = designed.drop(columns="design").drop_duplicates()
        censored = curves[f"horizon_{distance.GONE}"].eq(float("inf")).sum()
        nearer, farther = (
            distance_findings.below(name) for name in (distance.FADED, distance.GONE)
        )
        drawn["horizons-by-length"] = {
            "title": "Horizons by sequence length",
            "see": f"The lag from which on the gradient stays below {nearer} or {farther} of lag 0, for the median "
            "seed. A filled mark is a lag that was reached; an open one stands at the last lag there is: the horizon "
            "lies beyond it. The bar is the 95 % interval for other seeds and other reviews, cut at the last lag; "
            "fewer than six seeds have none.",
            "alternative": f"Of {count(len(curves), 'curve')}, {censored} never stay below {farther}.",
            "panels": figures.specified(distance_figures.horizons(designed, textbook)),
        }
    return {name: figure for name, figure in drawn.items() if figure["panels"]}


def of_mechanism(found: dict, length: int) -> dict[str, dict]:
    drawn = {}
    exponents, bounds, norms = found["exponents"], found["bounds"], found["norms"]
    if len(exponents):
        largest = exponents[exponents["number"] == 1]
        drawn["lyapunov"] = {
            "title": f"Lyapunov exponents, at {count(length, 'token')}",
            "see": "By how much, in each token, the recurrence stretches (above 0) or shrinks (below 0) the "
            "directions of its state, the largest first. Dashed is before training, where orthogonal weights keep "
            "lengths and only tanh shrinks them. Look at how far training spreads the exponents, and at whether the "
            f"first stays near 0: what has one near 0 can keep something. {SEEDS}",
            "alternative": "Largest exponent in nats per token: "
            + "; ".join(
                f"{row.panel}, {row.weights}, {number(row.mean, 3)}" for row in largest.itertuples()
            )
            + ".",
            "panels": figures.specified(distance_figures.lyapunov(exponents)),
        }
    if len(bounds):
        drawn["bounds"] = {
            "title": f"Gradient, largest gain and upper bound, at {count(length, 'token')}",
            "see": "Solid: the gradient. Dashed: the spectral norm of the product of Jacobians |P|, what the best "
            "direction keeps. Dotted: the product of the largest singular value of U and the largest slope of tanh "
            "at each token (Pascanu et al. 2013). Where the bound rises it forbids nothing: values above 1 do not "
            f"keep a gradient from fading. {CUT}",
            "alternative": "The same three numbers at the largest lag, log10: "
            + "; ".join(
                f"{row.quantity} {row.weights} {number(row.mean, 1)}"
                for row in bounds[bounds["lag_tokens"] == length - 1].itertuples()
            )
            + ".",
            "panels": figures.specified(distance_figures.bounds(bounds)),
        }
    if len(norms):
        drawn["gradient-norms"] = {
            "title": f"Gradients while training, at {count(int(norms['sequence_length'].iloc[0]), 'token')}",
            "see": "The norm of a batch's gradient over all weights, before any clipping, between one look and the "
            "next; a line is a seed, and it ends where its training stopped. A network whose largest batches lie far "
            "above its median ones is one that explodes now and then.",
            "alternative": " ".join(distance_findings.norms(norms)),
            "panels": figures.specified(distance_figures.norms(norms)),
        }
    return drawn


def gradients_by_lag(states, length: int) -> dict:
    """The curves of the states at a length."""
    ends = states[(states["lag_tokens"] == length - 1) & (states["weights"] == "trained")]
    return {
        "title": f"How gradients fade with distance, at {count(length, 'token')}",
        "see": "The lower a curve, the less a state that far back counts: "
        f"{listed(f'{number(at, 0)} is {share_of(at)}' for at in tables.HORIZONS.values())} of lag 0. "
        f"Dashed is before training, solid after it; each line is the median seed. {CUT} "
        "Feed-forward networks have no state, so their curves "
        "are those of the words. The flat line of the averaging one is the control.",
        "alternative": "Trained networks, gradient at the largest lag as a share of lag 0: "
        + (
            "; ".join(f"{row.panel} {share_of(row.mean)}" for row in ends.itertuples())
            or "none was measured"
        )
        + ".",
        "panels": figures.specified(distance_figures.by_lag(states)),
    }


def of_memory(found: dict, length: int, solved: float) -> dict[str, dict]:
    drawn = {}
    beside, deficits, changed = found["beside"], found["deficits"], found["changed"]
    if (beside["what"] == "effect of a strong word").any():
        drawn["memory-beside-gradient"] = {
            "title": f"Gradient and memory, at {count(length, 'token')}",
            "see": "Both as a share of what they are at the last word: the gradient of the word (solid, the median "
            "seed), and what a "
            "strong positive word does instead of a strong negative one (dashed). Where only the dashed line is at "
            "0, the network is still moved by that place and no longer knows what stood there. A dotted line is the "
            "last lag up to which the word surely moves reviews the right way; without one, that is every measured "
            f"lag. {SEEDS}",
            "alternative": "At the largest lag: "
            + "; ".join(
                f"{row.architecture}, {row.what} {percent(row.mean)}"
                for row in beside[beside["lag_tokens"] == length - 1].itertuples()
            )
            + ".",
            "panels": figures.specified(distance_figures.beside(beside, found["reach_here"])),
        }
    if len(changed):
        drawn["changed-reviews"] = {
            "title": f"Reviews with other words, at {count(length, 'token')}",
            "see": "What is left of the accuracy where words are shuffled, or where the first or last ones are "
            "another review's. The averaging network has no order: it shows what the words of each end are worth. "
            "One that loses less than it for the first words, and more for the last, forgets. The dashed lines are "
            "guessing and a bag of words on unchanged reviews. Right: of two halves of reviews of unlike labels, how "
            f"often the answer is that of the second. {BARS}",
            "alternative": " ".join(distance_findings.changed(changed, length)),
            "panels": figures.specified(distance_figures.changed(changed)),
        }
        window = distance.truncated(changed)
        drawn["truncation"] = {
            "title": f"How much of the end is enough, at {count(length, 'token')}",
            "see": "Accuracy of the same trained networks where only the last tokens are read, with padding before "
            "them as in training, which networks without a mask take for words: a curve shows the loss of words and "
            "what that padding does, together. Where it is flat, earlier words change nothing. Fewer words also say "
            f"less: the averaging network, which skips padding, shows how much. {BARS}",
            "alternative": " ".join(distance_findings.truncated(window, length)),
            "panels": figures.specified(distance_figures.truncation(window)),
        }
    if len(deficits):
        drawn["memory-deficit"] = {
            "title": "The memory deficit by length",
            "see": "Left: networks trained at each length, and TF-IDF with logistic regression on the very same "
            "words (grey, dashed). Right: by how much it is ahead. More words help the bag. A network that gains "
            "less may not remember them, or may have been trained worse: each length has its own few networks, and one "
            f"that failed to learn counts. {BARS}",
            "alternative": " ".join(distance_findings.deficits(deficits)),
            "panels": figures.specified(distance_figures.deficits(deficits)),
        }
    if len(found["learned"]):
        drawn["retention"] = {
            "title": "One token to keep",
            "see": "A synthetic task with a known answer: one token tells the label, all others are noise. The "
            f"dashed lines are guessing and the {percent(solved)} above which a lag counts as learned. It shows what "
            "a network can learn to keep, apart from what reviews ask of it. Where the signal stands in the middle "
            f"the state is full of noise before it comes: the two tasks do not compare. {BARS}",
            "alternative": " ".join(distance_findings.learned(found["learned"])),
            "panels": figures.specified(distance_figures.retention(found["learned"], solved)),
        }
    return drawn
