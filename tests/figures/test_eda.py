import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from wbc_utils.figures import eda, show
from wbc_utils.labels import cell_color
from wbc_utils.manifest import RECORD_MIME

BOXES = pd.DataFrame(
    [
        ("a", "RBC", 0, 0, 10, 20), ("a", "RBC", 5, 5, 35, 25), ("a", "WBC", 0, 0, 100, 50),
        ("b", "RBC", 1, 1, 21, 11), ("c", "Platelets", 2, 2, 6, 6),
    ],
    columns=["image", "class", "xmin", "ymin", "xmax", "ymax"],
)  # fmt: skip
IMAGES = pd.DataFrame({"image": ["a", "b", "c", "d"]})
PATIENTS = pd.DataFrame(
    {
        "label": pd.array([0, 0, 1, 1, 1, None], dtype="Int64"),
        "age": [30.0, 40.0, 70.0, 71.0, 72.0, 50.0],
        "sex": ["F", "M", "M", "M", None, "F"],
        "lymphocyte_count": [2.0, 3.0, 20.0, 30.0, 40.0, 5.0],
    }
)
PICTURES = [np.full((20, 30, 3), shade, dtype=np.uint8) for shade in (0, 100, 200)]


def words(fig):
    """Return all text of a legend."""
    legends = [axes.get_legend() for axes in fig.axes if axes.get_legend()] + fig.legends
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def test_class_counts_has_one_bar_a_class_with_its_number_and_colour_in_lineage_order():
    axes = eda.class_counts(pd.Series(["LY"] * 30 + ["SNE"] * 400 + ["PMY"] * 2), "pbc").axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["LY", "SNE", "PMY"]
    assert [bar.get_width() for bar in axes.patches] == [30, 400, 2]
    assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == [cell_color(name) for name in ("LY", "SNE", "PMY")]
    assert [text.get_text() for text in axes.texts] == ["30", "400", "2"]
    assert (axes.get_xscale(), axes.get_title(loc="left")) == ("log", "pbc")


@pytest.mark.parametrize("count", [1, 100_000])
def test_the_bar_of_any_count_is_visible_and_inside_the_axis(count):
    axes = eda.class_counts(pd.Series(["LY"] * count), "").axes[0]
    low, high = axes.get_xlim()
    assert low < count < high


def bars(axes):
    return {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in axes.patches}


def test_objects_per_image_counts_images_without_an_object_as_zero():
    fig = eda.objects_per_image(BOXES, IMAGES, "cbc")
    assert [bars(axes) for axes in fig.axes] == [{0: 2, 1: 1, 2: 1}, {0: 3, 1: 1}, {0: 3, 1: 1}]
    titles = [axes.get_title(loc="left") for axes in fig.axes]
    assert titles == ["cbc: RBC, median 0", "cbc: WBC, median 0", "cbc: Platelets, median 0"]


@pytest.mark.parametrize(
    "draw", [lambda boxes: eda.objects_per_image(boxes, IMAGES, ""), lambda boxes: eda.box_sizes(boxes, "")]
)
def test_more_classes_than_can_be_told_apart_are_drawn_as_one(draw):
    many = pd.concat([BOXES.assign(**{"class": f"{name}{row}"}) for row, name in enumerate("abcde")], ignore_index=True)
    fig = draw(many)
    assert len(fig.axes) == 1
    assert any("all classes" in text for text in [fig.axes[0].get_title(loc="left"), *words(fig)])


def test_box_sizes_gives_the_95th_percentile_of_width_and_height_for_each_class():
    sizes = range(1, 102)
    boxes = pd.DataFrame({"class": "RBC", "xmin": 10, "ymin": 20, "xmax": [10 + size for size in sizes],
                          "ymax": [20 + 2 * size for size in sizes]})  # fmt: skip
    fig = eda.box_sizes(boxes, "cbc")
    assert words(fig) == ["RBC, 95 %: 96 × 192"]
    assert fig.axes[0].collections[0].get_offsets().tolist() == [[size, 2 * size] for size in sizes]
    assert fig.axes[0].lines[0].get_xydata().tolist() == [[0, 192], [96, 192], [96, 0]]


def test_classes_of_boxes_differ_in_marker_as_well_as_in_colour():
    axes = eda.box_sizes(BOXES, "").axes[0]
    drawn = [points for points in axes.collections if len(points.get_offsets())]
    assert len({points.get_paths()[0].vertices.tobytes() for points in drawn}) == 3
    assert len({to_hex(points.get_facecolor()[0]) for points in drawn}) == 3


def test_class_share_is_sorted_by_image_and_names_the_published_bound():
    axes = eda.class_share(BOXES, "WBC", "bcd").axes[0]
    outline = axes.collections[0].get_paths()[0].vertices
    raised = outline[outline[:, 1] > 0]
    assert raised[:, 1] == pytest.approx(1 / 3)
    assert (raised[:, 0].min(), raised[:, 0].max()) == (1.5, 2)
    assert axes.get_ylim()[1] > 1 / 3
    assert axes.get_ylabel() == "share of WBC"
    assert [text.get_text() for text in axes.texts] == ["10 %, the published upper bound"]
    assert axes.lines[0].get_ydata()[0] == 0.1


def test_every_labelled_patient_is_drawn_and_counted_by_label_and_sex():
    fig = eda.patients_by_label(PATIENTS, "lymph")
    drawn = {points.get_label(): points.get_offsets().tolist() for points in fig.axes[0].collections}
    assert drawn == {
        "reactive, F (1)": [[30, 2]],
        "reactive, M (1)": [[40, 3]],
        "malignant, F (0)": [],
        "malignant, M (2)": [[70, 20], [71, 30]],
        "malignant, sex unknown (1)": [[72, 40]],
    }
    assert words(fig) == list(drawn)


def test_color_statistics_has_one_mark_an_image_and_one_style_a_data_set():
    images = pd.DataFrame(
        {"dataset": ["pbc", "cbc", "pbc"], "brightness": [0.1, 0.2, 0.3], "saturation": [0.4, 0.5, 0.6]}
    )
    fig = eda.color_statistics(images, "colour")
    assert words(fig) == ["cbc (1)", "pbc (2)"]
    drawn = [points.get_offsets().tolist() for points in fig.axes[0].collections if len(points.get_offsets())]
    assert drawn == [[[0.2, 0.5]], [[0.1, 0.4], [0.3, 0.6]]]


def shown(fig):
    """Return the title of every panel that has a picture."""
    return [axes.get_title(loc="left") for axes in fig.axes if axes.images]


def test_a_grid_has_every_picture_with_its_title_and_leaves_the_rest_empty():
    fig = eda.image_grid(PICTURES, ["x", "y", "z"], columns=2)
    assert (len(fig.axes), shown(fig)) == (4, ["x", "y", "z"])
    assert [axes.images[0].get_array()[0, 0, 0] for axes in fig.axes[:3]] == [0, 100, 200]
    assert not any(axes.axison for axes in fig.axes)


def test_pairs_stand_side_by_side_under_one_title():
    fig = eda.pair_grid([(PICTURES[0], PICTURES[1]), (PICTURES[2], PICTURES[2])], ["copy", "turned"])
    assert shown(fig) == ["copy", "", "turned", ""]


def test_boxes_are_drawn_where_they_are_with_a_line_style_for_each_class():
    tables = [BOXES[BOXES["image"] == name] for name in ("a", "c", "d")]
    fig = eda.boxes_on_images(PICTURES, tables)
    drawn = [[(*box.get_bbox().bounds, to_hex(box.get_edgecolor())) for box in axes.patches] for axes in fig.axes]
    red, blue, green = (cell_color(name) for name in ("RBC", "WBC", "Platelets"))
    assert drawn == [
        [(0, 0, 10, 20, red), (5, 5, 30, 20, red), (0, 0, 100, 50, blue)], [(2, 2, 4, 4, green)], [], [],
    ]  # fmt: skip
    assert words(fig) == ["RBC", "WBC", "Platelets"]
    assert len({line.get_linestyle() for line in fig.legends[0].get_lines()}) == 3


def test_hash_distances_are_shares_of_each_kind_with_the_threshold_between():
    distances = pd.DataFrame({"kind": ["altered copy"] * 4 + ["other image"] * 2, "distance": [0, 1, 2, 6, 30, 40]})
    fig = eda.hash_distances(distances, 8, "pbc")
    axes = fig.axes[0]
    heights = [[bar.get_height() for bar in group] for group in axes.containers]
    assert heights[0][:4] == [0.5, 0.25, 0, 0.25]
    assert [sum(group) for group in heights] == [1, 1]
    assert words(fig) == ["altered copy (n = 4)", "other image (n = 2)"]
    assert axes.lines[0].get_xdata()[0] == 8.5
    assert [text.get_text() for text in axes.texts] == ["threshold 8"]


@pytest.mark.parametrize(
    ("draw", "kind"),
    [
        (lambda: eda.class_counts(BOXES["class"], ""), "image/svg+xml"),
        (lambda: eda.objects_per_image(BOXES, IMAGES, ""), "image/svg+xml"),
        (lambda: eda.box_sizes(BOXES, ""), "image/svg+xml"),
        (lambda: eda.class_share(BOXES, "WBC", ""), "image/svg+xml"),
        (lambda: eda.patients_by_label(PATIENTS, ""), "image/svg+xml"),
        (lambda: eda.image_grid(PICTURES, ["", "", ""]), "image/jpeg"),
        (lambda: eda.boxes_on_images(PICTURES[:1], [BOXES]), "image/jpeg"),
    ],
)
def test_every_figure_can_be_shown_and_fits_a_page(published, draw, kind):
    fig = draw()
    show(fig, caption="What.", alt="Instead.")
    assert kind in published[0]
    assert published[0][RECORD_MIME]["width_px"] <= 640
