"""Scores with intervals: of classification, segmentation and association; NumPy, SciPy and scikit-learn only."""


class MetricError(ValueError):
    """A score that was asked for and cannot be computed."""
