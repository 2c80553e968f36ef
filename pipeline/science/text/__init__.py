"""Reviews as tokens, split and described."""
