import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wbc_utils.figures.placement import apart

places = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=13)


def test_labels_at_one_place_are_stacked_around_it():
    found = apart(np.full((3, 2), 0.5), width=0.2, height=0.1)
    assert (found[:, 0] == 0.5).all()
    np.testing.assert_allclose(np.sort(found[:, 1]), [0.4, 0.5, 0.6])


def test_labels_that_do_not_overlap_stay():
    wanted = np.array([[0, 0], [1, 0], [0, 1]])
    assert apart(wanted, width=0.9, height=0.9).tolist() == wanted.tolist()


@settings(max_examples=50, deadline=None)
@given(places)
def test_no_two_labels_overlap_and_none_moves_sideways(wanted):
    wanted = np.array(wanted)
    found = apart(wanted, width=0.1, height=0.05)
    assert found[:, 0].tolist() == wanted[:, 0].tolist()
    first, second = np.triu_indices(len(found), 1)
    gap = np.abs(found[first] - found[second])
    assert ((gap[:, 0] >= 0.1) | (gap[:, 1] >= 0.0499)).all()
