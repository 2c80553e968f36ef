"""Data frames in, text and pictures out."""
