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
<<<<<<< HEAD
    "tfidf-bigrams": "linear model with word pairs (TF-IDF)",
=======
    "tfidf-bigrams": "linear model of words and word pairs (TF-IDF)",
>>>>>>> w/r4
}


def network(architecture: str) -> str:
    return NETWORKS.get(architecture, architecture)


def run(name: str) -> str:
    """
    >>> run("vanilla-tuned"), run("tfidf")
<<<<<<< HEAD
    ('vanilla RNN with tuned settings', 'linear model of words (TF-IDF)')
=======
    ('tuned vanilla RNN', 'linear model of words (TF-IDF)')
>>>>>>> w/r4
    """
    if name in LINEAR:
        return LINEAR[name]
    architecture, _, settings = name.partition("-")
<<<<<<< HEAD
    return f"{network(architecture)} with {settings} settings"
=======
    return f"{settings} {network(architecture)}"
>>>>>>> w/r4


def capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
