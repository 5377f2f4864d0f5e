"""Tables name every model once, pair only what both were asked, and say the numbers of the metrics."""

import numpy as np
import pytest

from wbc_utils import scoreboard
from wbc_utils.metrics import diagnosis
from wbc_utils.nested import Nested

MALIGNANT = np.arange(30) % 3 > 0


def drawn(seed, repeats=3):
    scores = np.clip(0.3 * MALIGNANT + np.random.default_rng(seed).uniform(0, 0.7, (repeats, 30)), 0, 1)
    return Nested({"malignant": scores}, np.full((repeats, 30), 0.5), np.full((repeats, 30), 0.9), MALIGNANT)


def test_standings_have_each_score_with_its_interval():
    found = scoreboard.standings({"one": drawn(0), "other": drawn(1, repeats=1)}, seed=0)
    one = drawn(0).verdicts.interval(diagnosis.auroc, 0)
    assert found["name"].tolist() == ["one", "other"]
    assert found.loc[0, ["AUROC", "AUROC, low", "AUROC, high"]].tolist() == [one.value, one.low, one.high]
    assert found["repeats"].tolist() == [3, 1]
    assert found["± over repeats"].isna().tolist() == [False, True]
    assert found["sensitivity at 90% specificity"].between(0, 1).all()


def test_gains_are_paired_on_the_repeats_that_both_have():
    long, short = drawn(0, repeats=3), drawn(1, repeats=2)
    found = scoreboard.gains({"change": short}, {"change": long}, seed=0).iloc[0]
    expected = short.verdicts.gain_over(long.first(2).verdicts, diagnosis.auroc, 0)
    assert found["repeats"] == 2
    assert found["AUROC, gain"] == pytest.approx(expected.value)
    assert found["AUROC, low"] <= found["AUROC, gain"] <= found["AUROC, high"]


def test_a_worded_table_has_each_score_and_its_interval_in_one_column():
    standings = scoreboard.worded(scoreboard.standings({"one": drawn(0)}, seed=0))
    one = drawn(0).verdicts.interval(diagnosis.auroc, 0)
    assert standings.loc[0, "AUROC"] == f"{one.value:.3f} ({one.low:.3f}–{one.high:.3f})"
    assert not any(name.endswith(("low", "high")) for name in standings)
    gains = scoreboard.worded(scoreboard.gains({"same": drawn(0)}, {"same": drawn(0)}, seed=0))
    assert gains.loc[0, "AUROC, gain"] == "+0.000 (+0.000 to +0.000)"
