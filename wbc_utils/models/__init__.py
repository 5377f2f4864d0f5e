"""Models of arrays: classical classifiers on features, how they are validated and what they rest on."""


class ModelError(ValueError):
    """Data that a model cannot be fitted to or validated on."""
