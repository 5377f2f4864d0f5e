"""The procedure of one split reports the part that it chose by, which promises more than other patients keep."""

import numpy as np
from cohorts import draw_cohort

from wbc_utils.baselines import LinearLearner
from wbc_utils.one_split import draw_splits


class Guess:
    """Guesses, differently in every training."""

    def __init__(self, number):
        self.number = number

    def learn(self, learn, choose, seed):
        rng = np.random.default_rng((self.number, seed))
        return lambda cohort: {"malignant": rng.uniform(size=len(cohort))}


def test_the_best_of_many_guesses_promises_what_other_patients_do_not_keep():
    cohort = draw_cohort(60)
    learners = {f"guess {number}": Guess(number) for number in range(10)}
    found = draw_splits(learners, cohort, np.arange(60), draws=12, seed=0)
    chosen = found[found["chosen"]]
    assert len(found) == 120
    assert len(chosen) == chosen["draw"].nunique() == 12
    assert chosen["reported"].mean() > 0.65
    assert abs(chosen["test"].mean() - 0.5) < 0.12


def test_a_learner_of_signal_scores_on_both_parts():
    found = draw_splits({"one": LinearLearner(("handmade",))}, draw_cohort(60), np.arange(60), draws=3, seed=0)
    assert found["chosen"].all()
    assert (found[["reported", "test"]] > 0.7).all(axis=None)
