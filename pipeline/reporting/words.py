"""Names of networks and runs, as sentences use them."""

NETWORKS = {
    "feedforward": "feed-forward network",
    "flattened": "feed-forward network that sees positions",
    "vanilla": "vanilla RNN",
    "bidirectional": "bidirectional RNN",
    "lstm": "LSTM",
}
LINEAR = {
    "tfidf": "linear model of words (TF-IDF)",
    "tfidf-bigrams": "linear model with word pairs (TF-IDF)",
}


def network(architecture: str) -> str:
    return NETWORKS.get(architecture, architecture)


def run(name: str) -> str:
    """
    >>> run("vanilla-tuned"), run("tfidf")
    ('vanilla RNN with tuned settings', 'linear model of words (TF-IDF)')
    """
    if name in LINEAR:
        return LINEAR[name]
    architecture, _, settings = name.partition("-")
    return f"{network(architecture)} with {settings} settings"


def capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
