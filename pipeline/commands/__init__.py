"""The commands that are not stages: `doctor`, `predict`, `read` and `replicate`."""
