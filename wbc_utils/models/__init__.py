"""Models: classical classifiers of features, networks of images, how they are validated and what they rest on."""


class ModelError(ValueError):
    """Data that a model cannot be fitted to or validated on."""
