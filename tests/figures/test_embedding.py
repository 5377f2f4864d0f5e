import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch
from scipy.spatial.distance import cdist

from wbc_utils.figures import embedding, show
from wbc_utils.labels import cell_color
from wbc_utils.manifest import RECORD_MIME

POINTS = np.array([[0, 0], [1, 0], [5, 4], [9, 8], [9, 9], [9, 10]], dtype=float)
LABELS = ["MY", "MY", "MY", "EO", "EO", "EO"]
ORDER = ["MY", "EO"]
MATURATION = [("PMY", "MY"), ("MY", "MMY"), ("BL", "PMY")]


def distances(places, order):
    return pd.DataFrame(cdist(places, places), index=order, columns=order)


def drawn_codes(axes):
    return {text.get_text(): text for text in axes.texts}


def in_data(axes, text):
    return axes.transData.inverted().transform(axes.transAxes.transform(text.get_position()))


def test_each_class_has_its_points_its_colour_and_its_code_at_the_median():
    axes = embedding.scatter(POINTS, LABELS, ORDER, "t-SNE").axes[0]
    my, eo = axes.collections
    assert (my.get_offsets().tolist(), eo.get_offsets().tolist()) == (POINTS[:3].tolist(), POINTS[3:].tolist())
    assert to_hex(my.get_facecolor()[0]) == cell_color("MY")
    codes = drawn_codes(axes)
    assert in_data(axes, codes["MY"]) == pytest.approx([1, 0])
    assert in_data(axes, codes["EO"]) == pytest.approx([9, 9])


@pytest.mark.parametrize("highlight", [(), {"EO"}])
def test_all_points_and_codes_lie_inside_the_axes_also_those_drawn_last(highlight):
    far = POINTS + np.array([[0, 0]] * 3 + [[0, 50]] * 3)
    fig = embedding.scatter(far, LABELS, ORDER, "", highlight)
    fig.canvas.draw()
    axes = fig.axes[0]
    inside = axes.transAxes.inverted().transform(axes.transData.transform(far))
    assert ((inside >= 0) & (inside <= 1)).all()
    assert all(0 <= part <= 1 for text in axes.texts for part in text.get_position())
    assert in_data(axes, drawn_codes(axes)["EO"]) == pytest.approx([9, 59])


def test_codes_at_one_place_are_moved_apart_with_lines_back():
    axes = embedding.scatter(np.zeros((4, 2)), ["MY", "MMY", "MY", "MMY"], ["MY", "MMY"], "").axes[0]
    heights = sorted(text.get_position()[1] for text in axes.texts)
    assert heights[1] - heights[0] == pytest.approx(0.045, abs=1e-6)
    assert [tuple(line.get_xydata()[0]) for line in axes.lines] == [pytest.approx((0.5, 0.5))] * 2
    assert [tuple(line.get_xydata()[1]) for line in axes.lines] == [text.get_position() for text in axes.texts]


def test_highlighted_classes_are_large_named_with_their_number_and_bold():
    fig = embedding.scatter(POINTS, LABELS, ORDER, "", highlight={"MY"})
    eo, my = fig.axes[0].collections
    assert my.get_sizes() > eo.get_sizes()
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["MY (3)"]
    codes = drawn_codes(fig.axes[0])
    assert (codes["MY"].get_fontweight(), codes["EO"].get_fontweight()) == ("bold", "normal")


def test_two_highlighted_classes_differ_by_their_mark():
    one, other = embedding.scatter(POINTS, LABELS, ORDER, "", highlight=ORDER).axes[0].collections
    assert one.get_paths()[0].vertices.shape != other.get_paths()[0].vertices.shape


def test_a_class_without_points_has_no_code():
    axes = embedding.scatter(POINTS, LABELS, [*ORDER, "BA"], "").axes[0]
    assert list(drawn_codes(axes)) == ORDER


def arrows(axes):
    """Return the codes that each arrow leads from and to, and its colour."""
    at = {text.get_position(): text.get_text() for text in axes.texts}
    return [
        (at[tuple(patch._posA_posB[0])], at[tuple(patch._posA_posB[1])], to_hex(patch.get_edgecolor()))
        for patch in axes.patches
        if isinstance(patch, FancyArrowPatch)
    ]


def test_an_arrow_leads_from_each_class_to_its_nearest_and_its_colour_tells_whether_that_is_expected():
    places = [[0, 0], [1, 0], [5, 0], [5, 1]]
    fig = embedding.lineage_graph(distances(places, ["PMY", "MY", "MMY", "EO"]), MATURATION, "centroids")
    assert arrows(fig.axes[0]) == [
        ("PMY", "MY", embedding.EXPECTED_COLOR), ("MY", "PMY", embedding.EXPECTED_COLOR),
        ("MMY", "EO", embedding.OTHER_COLOR), ("EO", "MMY", embedding.OTHER_COLOR),
    ]  # fmt: skip
    styles = {patch.get_linestyle() for patch in fig.axes[0].patches if isinstance(patch, FancyArrowPatch)}
    assert len(styles) == 2
    assert len(fig.axes[0].lines) == 2  # BL is not there


def test_distances_in_the_graph_are_in_proportion_to_those_of_the_centroids():
    places = np.array([[0, 0], [4, 0], [9, 0], [5, 7]], dtype=float)
    axes = embedding.lineage_graph(distances(places, ["PMY", "MY", "MMY", "EO"]), [], "").axes[0]
    found = np.array([text.get_position() for text in axes.texts])
    ratio = cdist(found, found)[np.triu_indices(4, 1)] / cdist(places, places)[np.triu_indices(4, 1)]
    assert ratio == pytest.approx(np.full(6, ratio[0]))
    assert found[2, 0] > found[0, 0]  # the order runs from left to right


def test_centroids_on_one_line_or_in_one_place_can_be_drawn():
    for places in ([[0, 0], [1, 1], [2, 2]], [[1, 1], [1, 1], [5, 5]]):
        fig = embedding.lineage_graph(distances(places, ["PMY", "MY", "MMY"]), MATURATION, "")
        fig.draw_without_rendering()
        spots = np.array([text.get_position() for text in fig.axes[0].texts])
        assert np.isfinite(spots).all()
        assert cdist(spots, spots)[np.triu_indices(3, 1)].min() > 0.5


def montage():
    pictures = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((6, 4, 4, 3), dtype=np.uint8)
    near = [[pictures[2], pictures[3]], [pictures[4], pictures[5]]]
    return embedding.neighbours(pictures[:2], ["MY → EO", "EO"], ["MY", "EO"], near, [["MY", "EO"], ["EO", "EO"]])


def test_each_row_is_a_query_and_its_neighbours_with_their_codes():
    fig = montage()
    assert [axes.get_title(loc="left") for axes in fig.axes] == ["MY → EO", "MY", "✗ EO", "EO", "EO", "EO"]
    assert [axes.images[0].get_array()[0, 0, 0] for axes in fig.axes] == [0, 2, 3, 1, 4, 5]


def test_a_neighbour_with_another_label_differs_by_mark_colour_and_frame():
    _, same, other, *_ = montage().axes
    assert same.spines["top"].get_edgecolor() != other.spines["top"].get_edgecolor()
    assert same.spines["top"].get_linestyle() != other.spines["top"].get_linestyle()


def test_gallery_has_a_panel_a_picture_and_leaves_the_rest_of_the_last_row_empty():
    pictures = np.zeros((5, 8, 8, 3), dtype=np.uint8)
    fig = embedding.gallery(pictures, [f"cell {number}" for number in range(5)])
    assert [axes.get_title(loc="left") for axes in fig.axes][:5] == [f"cell {number}" for number in range(5)]
    assert [axes.axison for axes in fig.axes] == [True] * 5 + [False] * 3


@pytest.mark.parametrize(
    ("draw", "kind"),
    [
        (lambda: embedding.scatter(POINTS, LABELS, ORDER, "", highlight=ORDER), "image/svg+xml"),
        (lambda: embedding.lineage_graph(distances(POINTS[:2], ORDER), [("MY", "EO")], ""), "image/svg+xml"),
        (montage, "image/jpeg"),
    ],
)
def test_every_figure_can_be_shown_and_fits_a_page(published, draw, kind):
    show(draw(), caption="What.", alt="Instead.")
    assert kind in published[0]
    assert published[0][RECORD_MIME]["width_px"] <= 640
