"""What a mixture of experts has to beat: logistic regression on some of what is known of a patient."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.linear_model import LogisticRegression

from wbc_utils.models import ModelError
from wbc_utils.models.cohort import Cohort, Scale
from wbc_utils.nested import Says

INPUTS = ("age", "count", "handmade", "images")
"""What a regression may be given: the mean over the cells of handmade features and of embeddings."""


@dataclass(frozen=True)
class LinearLearner:
    """Logistic regression, classes weighted alike; implements `wbc_utils.nested.Learner`.

    Attributes
    ----------
    inputs
        Some of `INPUTS`. Age and logarithm of the count have variance 1 over the training patients; all features of
        another kind together have variance ``weight`` ², so that 89 features do not outweigh two numbers.
    weight
        Of features against age and count.
    components
        Principal components of embeddings and of handmade features.

    Raises
    ------
    ModelError
        If an input is unknown, or there is none.
    """

    inputs: tuple[str, ...]
    weight: float = 2.0
    components: int = 64

    def __post_init__(self) -> None:
        if not self.inputs or set(self.inputs) - set(INPUTS):
            raise ModelError(f"the inputs are {list(self.inputs)}; give some of {', '.join(INPUTS)}")

    def learn(self, learn: Cohort, choose: Cohort, seed: int) -> Says:
        """Learn from some patients; the others choose nothing."""
        scale = Scale.fit(learn, self.components)
        model = LogisticRegression(class_weight="balanced", max_iter=1000)
        with np.errstate(invalid="ignore"):  # BLAS may look at memory beside a matrix; what is kept is checked below
            model.fit(_table(self, scale, learn), learn.malignant)
        if not np.isfinite(model.coef_).all():
            raise ModelError("the coefficients of the logistic regression are not finite; look at the inputs' scale")
        return partial(_say, self, scale, model)


def _table(learner: LinearLearner, scale: Scale, cohort: Cohort) -> np.ndarray:
    """Return one row a patient, the columns of each input side by side."""
    patients = scale.apply(cohort)
    age, count = patients.scalars.numpy().T[..., None]
    means = (bags.mean(bags.instances).numpy() for bags in (patients.handmade, patients.images))
    handmade, images = (learner.weight / block.shape[1] ** 0.5 * block for block in means)
    blocks = dict(zip(INPUTS, (age, count, handmade, images), strict=True))
    return np.hstack([blocks[name] for name in INPUTS if name in learner.inputs])


def _say(learner: LinearLearner, scale: Scale, model: LogisticRegression, cohort: Cohort) -> dict[str, np.ndarray]:
    return {"malignant": model.predict_proba(_table(learner, scale, cohort))[:, 1]}
