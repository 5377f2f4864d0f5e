"""What a mixture of experts has to beat: logistic regression on some of what is known of a patient."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

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
        Principal components of the embeddings.

    Raises
    ------
    ModelError
        If an input is unknown, or there is none.
    """

    inputs: tuple[str, ...]
    weight: float = 3.0
    components: int = 16

    def __post_init__(self) -> None:
        if not self.inputs or set(self.inputs) - set(INPUTS):
            raise ModelError(f"the inputs are {list(self.inputs)}; give some of {', '.join(INPUTS)}")

    def learn(self, learn: Cohort, choose: Cohort, seed: int) -> Says:
        """Learn from some patients; the others choose nothing."""
        scale = Scale.fit(learn, self.components)
        blocks = [block for name, block in _blocks(scale, learn).items() if name in self.inputs]
        weights = np.concatenate([_weights(block, self.weight) for block in blocks])
        model = make_pipeline(
            StandardScaler(),
            FunctionTransformer(partial(np.multiply, weights)),
            LogisticRegression(class_weight="balanced", max_iter=1000),
        )
        return partial(_say, self.inputs, scale, model.fit(np.hstack(blocks), learn.malignant))


def _blocks(scale: Scale, cohort: Cohort) -> dict[str, np.ndarray]:
    """Return one block of columns an input, one row a patient."""
    patients = scale.apply(cohort)
    age, count = patients.scalars.numpy().T[..., None]
    handmade, images = (bags.mean(bags.instances).numpy() for bags in (patients.handmade, patients.images))
    return dict(zip(INPUTS, (age, count, handmade, images), strict=True))


def _weights(block: np.ndarray, weight: float) -> np.ndarray:
    columns = block.shape[1]
    return np.full(columns, 1.0 if columns == 1 else weight / columns**0.5)


def _say(inputs: tuple[str, ...], scale: Scale, model: Pipeline, cohort: Cohort) -> dict[str, np.ndarray]:
    table = np.hstack([block for name, block in _blocks(scale, cohort).items() if name in inputs])
    return {"malignant": model.predict_proba(table)[:, 1]}
