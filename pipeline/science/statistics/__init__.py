"""Scores, intervals, comparisons and calibration over seeds and reviews."""
