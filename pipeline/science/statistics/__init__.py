"""Scores, comparisons and calibration over seeds and reviews."""
