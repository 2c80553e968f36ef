"""The names of the linear baselines, in plain Python, because `track` and `predict` start without NumPy."""

WORDS = "tfidf"  # without word order
PAIRS = "tfidf-bigrams"  # with pairs of words
BASELINES = (WORDS, PAIRS)
