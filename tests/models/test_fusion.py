"""Boxes of several networks fused and probabilities blended: by hand, against one call an image, bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wbc_utils.models import ModelError
from wbc_utils.models.fusion import Found, blend, fuse

NOTHING = Found(np.empty(0, int), np.empty((0, 4)), np.empty(0))


def found(*rows):
    """Return boxes from rows of group, four coordinates and score."""
    table = np.array(rows, dtype=float).reshape(-1, 6)
    return Found(table[:, 0].astype(int), table[:, 1:5], table[:, 5])


def drawn(seed, images=6, models=3):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 300, (images, 2, 2))
    true = np.concatenate([low, low + rng.uniform(40, 90, (images, 2, 2))], axis=2)
    several = []
    for _ in range(models):
        seen = rng.random((images, 2)) < 0.8
        boxes = (true + rng.normal(0, 3, true.shape))[seen]
        several.append(Found(np.nonzero(seen)[0], boxes, rng.uniform(0.2, 1, len(boxes))))
    return several


def test_two_overlapping_boxes_become_their_mean_by_score():
    both = fuse([found((0, 0, 0, 10, 10, 0.9)), found((0, 2, 0, 12, 10, 0.3))])
    assert both.boxes.tolist() == [pytest.approx([0.5, 0, 10.5, 10], abs=1e-4)]
    assert both.scores.tolist() == pytest.approx([0.6])


def test_a_box_that_one_of_four_saw_keeps_a_quarter_of_its_score():
    assert fuse([found((0, 0, 0, 10, 10, 0.8)), NOTHING, NOTHING, NOTHING]).scores.tolist() == pytest.approx([0.2])


def test_boxes_of_different_groups_never_meet():
    both = fuse([found((0, 0, 0, 10, 10, 0.9)), found((1, 0, 0, 10, 10, 0.5))])
    assert both.group.tolist() == [0, 1]
    assert both.scores.tolist() == pytest.approx([0.45, 0.25])


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000))
def test_one_call_for_all_images_gives_what_a_call_an_image_gives(seed):
    several = drawn(seed)
    together = fuse(several)
    for group in np.unique(together.group):
        own = [Found(*(part[one.group == group] for part in one)) for one in several]
        alone = fuse(own)
        chosen = together.group == group
        assert together.boxes[chosen] == pytest.approx(alone.boxes, abs=0.01)
        assert together.scores[chosen] == pytest.approx(alone.scores)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.floats(-500, 500), st.floats(0.1, 20))
def test_the_fusion_moves_and_grows_with_the_boxes(seed, shift, scale):
    several = drawn(seed)
    first = fuse(several)
    other = fuse([Found(one.group, one.boxes * scale + shift, one.scores) for one in several])
    assert other.boxes == pytest.approx(first.boxes * scale + shift, abs=0.01 * scale + 0.01)
    assert other.scores == pytest.approx(first.scores)


def test_within_a_group_scores_fall():
    fused = fuse(drawn(5))
    assert (np.diff(fused.group) >= 0).all()
    assert (np.diff(fused.scores)[np.diff(fused.group) == 0] <= 0).all()


def test_nothing_found_is_nothing_fused():
    fused = fuse([NOTHING, NOTHING])
    assert [len(part) for part in fused] == [0, 0, 0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (found((0, 0, 0, 10, 0, 0.5)), "no area"),
        (found((0, 0, 0, np.nan, 10, 0.5)), "not a finite number"),
        (found((0, 0, 0, 10, 10, 0)), "not above 0 and up to 1"),
        (found((-1, 0, 0, 10, 10, 0.5)), "groups from -1"),
        (Found(np.array([0]), np.empty((0, 4)), np.empty(0)), "1 groups, 0 boxes"),
    ],
)
def test_boxes_that_are_none_are_refused(wrong, said):
    with pytest.raises(ModelError, match=said):
        fuse([wrong])


def test_the_ends_of_a_blend_are_its_parts_normalised():
    first, second = np.array([[2.0, 2]]), np.array([[0.1, 0.3]])
    assert blend(first, second, 0).tolist() == [[0.5, 0.5]]
    assert blend(first, second, 1).tolist() == [pytest.approx([0.25, 0.75])]
    assert blend(first, second, 0.6).tolist() == [pytest.approx([0.35, 0.65])]


@pytest.mark.parametrize(
    ("second", "share", "said"),
    [
        (np.ones((1, 3)), 0.5, "equal shapes"),
        (np.zeros((1, 2)), 0.5, "sums to nothing"),
        (np.ones((1, 2)), 1.5, "share of the blend is 1.5"),
    ],
)
def test_probabilities_that_cannot_be_blended_are_refused(second, share, said):
    with pytest.raises(ModelError, match=said):
        blend(np.ones((1, 2)), second, share)
