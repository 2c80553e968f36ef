"""Method and caveats, and the model card."""

from pipeline.params.subjects import Subject
from pipeline.reporting.inputs import Record
from pipeline.reporting.numbers import in_tokens, listed, percent
from pipeline.reporting.parts import Bullets, Details, Section


def statistics(compared: list[Record]) -> Details:
    texts = [
        "The unit of replication is the seed. Unless we name another kind, an interval is a 95 % t interval over "
        "seeds, and that of a difference is Welch's. Intervals do not cover other data.",
        "The value of a gradient, half-life or horizon is the median seed's. Its interval covers other seeds and other "
        "texts: order statistics for the seeds, and blocks of neighbouring texts for the texts.",
        "The calibration error has an interval over texts. The share of seeds that fail to learn has Clopper and "
        "Pearson's interval. A t interval of a share is cut at 0 and 100 %.",
        "We choose epochs and settings on the validation split. One stage reads the test split, after every choice.",
        "The linear models are one fit each, on the same tokens as the networks. They have no seeds, so they have no "
        "interval over seeds.",
        "The file docs/references.md lists the papers behind these methods, with BibTeX.",
    ]
    if compared:
        texts.append(
            "We report a declared difference if its interval excludes 0 and its p is small after Holm's correction for "
            "the number of comparisons. P(B > A) has Newcombe's score interval."
        )
    return Details("Statistics", [Bullets(texts)])


def gradients(card: Record) -> Details:
    tokens = in_tokens(card["sequence_length"])
    texts = [
        "A gradient is the norm of the derivative of the logit with respect to a hidden state, relative to lag 0. "
        "The gradient of the loss is this times the error p − y, which is small where a network is sure.",
        "Lag counts tokens from the state that is read out. It is the last token forward and the first backward.",
        f"Networks are trained at the length where we measure them or at {tokens}, and the tables say which.",
        "The texts of one length are not those of another: there are fewer long texts, and their contents differ.",
        "A half-life belongs to a line through the middle lags, in log10. A curve that is not exponential has none. "
        "We do not extrapolate it beyond the measured lags. The half-life of the median seed is the median over the "
        "lines of all seeds, also of those whose curve is not exponential; the tables give their share.",
    ]
    return Details("Gradients and lengths", [Bullets(texts)])


def caveats(subject: Subject, source: str) -> Details:
    related, scope = subject.related, subject.scope
    texts = [
        f"The study covers {scope} ({source}) and small networks. It does not show how larger networks or other texts "
        "behave.",
        f"If {related} lie in two splits, every accuracy here can be too high, because they resemble one another.",
        "The thresholds of the claims are ours. They are in params.yaml (claims), each with its reason.",
    ]
    return Details("Limits", [Bullets(texts)])


def model_card(models: Record, card: Record, subject: Subject) -> Details:
    """The purpose of the networks, their limits, and the contents of the texts."""
    test = card["splits"]["test"]
    texts = [
        f"The models are classifiers: {listed(models)}. Each one reads {subject.described} and gives the probability "
        "that it is positive.",
        "They are made for teaching and for measuring recurrent networks. They are not for moderation, for decisions "
        f"about people, or for {subject.others}.",
        f"They see only the end of {percent(test['truncated_share'])} of the test {subject.noun}s, and do not know "
        f"{percent(test['out_of_vocabulary_rate'])} of the words.",
        f"The {subject.noun}s are as their source gives them. They may name people and contain opinions about them.",
    ]
    return Details("Model card", [Bullets(texts)])


SECTION = Section(
    "Method and caveats",
    (statistics, gradients, caveats, model_card),
    in_details=True,
)
