import csv
import io
import json
import os
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from defusedxml.ElementTree import parse
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.filters import threshold_otsu

from wbc_utils.data import synthetic
from wbc_utils.data.synthetic import attributes, bcd, cbc, cells, cytologia, looks, lymph, segwbc, tree, wbcbench
from wbc_utils.data.synthetic.morphology import MORPHOLOGIES
from wbc_utils.data.synthetic.writing import TRUTH_COLUMNS, Truth
from wbc_utils.data.tables import DataError
from wbc_utils.labels import CELL_TYPES, CYTOLOGIA_CODES, PBC_PREFIXES, PBC_UNSPECIFIC, WBCBENCH_CODES

CORNERS = ["xmin", "ymin", "xmax", "ymax"]


@pytest.fixture(scope="module")
def planted(synthetic_root):
    return synthetic.planted(synthetic_root)


@pytest.fixture(scope="module")
def boxes(synthetic_root):
    return pd.read_csv(synthetic_root / "truth" / "boxes.csv", keep_default_na=False)


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def voc(root, image):
    """Return (class, xmin, ymin, xmax, ymax) of each object of a cbc image, given its path in the data set."""
    annotation = parse(root / "cbc" / image.replace("Images", "Annotations").replace(".jpg", ".xml")).getroot()
    return [
        (thing.findtext("name"), *(int(thing.findtext(f"bndbox/{corner}")) for corner in CORNERS))
        for thing in annotation.iter("object")
    ]


def voc_images(root, split):
    return [f"{split}/Images/{path.name}" for path in sorted((root / "cbc" / split / "Images").iterdir())]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def header(path):
    return path.read_bytes().splitlines(keepends=True)[0]


# one cell


@pytest.mark.parametrize("code", CELL_TYPES)
def test_every_code_yields_a_centred_cell_that_encloses_its_nucleus(code):
    image, nucleus, cell = synthetic.draw_cell(code, np.random.default_rng(1), size=96)
    assert (image.shape, image.dtype) == ((96, 96, 3), np.uint8)
    assert nucleus.dtype == cell.dtype == bool
    assert cell[40:56, 40:56].any()
    assert not (nucleus & ~cell).any()
    assert nucleus.any() == (code != "PLATELET")


def test_unknown_code_names_the_allowed_ones():
    with pytest.raises(ValueError, match="'XYZ'; allowed are BL, PMY"):
        synthetic.draw_cell("XYZ", np.random.default_rng(0))


def test_otsu_on_saturation_finds_the_nuclei():
    rng, scores = np.random.default_rng(2), []
    for code in [code for code in MORPHOLOGIES if code != "PLATELET"]:
        for _ in range(3):
            image, nucleus, _ = synthetic.draw_cell(code, rng)
            saturation = 1 - image.min(axis=2) / image.max(axis=2)
            scores.append(dice(saturation > threshold_otsu(saturation), nucleus))
    assert np.mean(scores) >= 0.85


def test_nuclear_share_of_the_cell_falls_from_blast_to_segmented_neutrophil():
    rng, shares = np.random.default_rng(3), []
    for code in ("BL", "PMY", "MY", "SNE"):
        drawn = [synthetic.draw_cell(code, rng) for _ in range(6)]
        shares.append(np.mean([nucleus.sum() / cell.sum() for _, nucleus, cell in drawn]))
    assert shares == sorted(shares, reverse=True)


def test_measured_diameter_follows_the_morphology():
    rng, scale = np.random.default_rng(4), 10.0
    cell = synthetic.sample("LY", rng, diameter=1.2)
    area = cells.stained_cell(cell, scale, rng).cell.sum() / scale**2
    assert 2 * np.sqrt(area / np.pi) == pytest.approx(cell.diameter, rel=0.1)


def test_red_cell_is_paler_in_the_middle_than_in_its_body():
    thickness, mask = cells.red_cell(7.5, 10.0, 0.8, 0.0, np.random.default_rng(5))
    middle = thickness[thickness.shape[0] // 2, thickness.shape[1] // 2]
    assert middle < 0.85 * np.percentile(thickness[mask], 80)
    assert not thickness[0].any()


def test_empty_slide_has_the_colour_of_the_look():
    plain = np.zeros((60, 80), np.float32)
    look = synthetic.LOOKS["pbc"]
    image = looks.expose(plain, np.zeros((60, 80, 3), np.float32), look, 5.0, np.random.default_rng(6))
    np.testing.assert_allclose(image.mean(axis=(0, 1)), look.background, atol=12)


def test_stain_darkens_as_beer_and_lambert_say():
    look = synthetic.Look((200, 200, 200), (150, 150, 150), noise=0.0)
    red = np.zeros((41, 41), np.float32)
    red[:, 20:] = 1
    image = looks.expose(red, np.zeros((41, 41, 3), np.float32), look, 5.0, np.random.default_rng(7)).astype(float)
    np.testing.assert_allclose(image[10:30, 35] / image[10:30, 5], 0.75, atol=0.06)


# one field


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), whites=st.integers(0, 3), reds=st.integers(0, 25), platelets=st.integers(0, 4))
def test_boxes_are_tight_and_inside_the_field(seed, whites, reds, platelets):
    field = synthetic.draw_field(
        np.random.default_rng(seed), 200, 150, whites=["SNE"] * whites, reds=reds, platelets=platelets, scale=5.0
    )
    for drawn in field.objects:
        left, top, right, bottom = drawn.box
        assert 0 <= left < right <= 200
        assert 0 <= top < bottom <= 150
        assert drawn.cell.shape == drawn.nucleus.shape == (bottom - top, right - left)
        assert drawn.cell[[0, -1]].any(axis=1).all()
        assert drawn.cell[:, [0, -1]].any(axis=0).all()
    counts = Counter(drawn.kind for drawn in field.objects)
    assert counts["WBC"] == whites
    assert counts["Platelets"] == platelets
    assert counts["RBC"] <= reds


def test_picture_is_darker_inside_the_masks_than_outside():
    field = synthetic.draw_field(np.random.default_rng(8), 200, 150, reds=10, scale=5.0)
    grey = field.image.mean(axis=2)
    everything = field.mask("cell", field.objects)
    assert grey[field.mask("nucleus")].mean() < grey[everything].mean() < grey[~everything].mean() - 20


def test_same_state_of_the_generator_draws_the_same_field():
    one, again, other = (synthetic.draw_field(np.random.default_rng(seed), 160, 120, scale=4.0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.image, again.image)
    assert (one.image != other.image).mean() > 0.5


# the tree


def test_tree_is_small_and_marked(synthetic_root):
    assert json.loads((synthetic_root / "SYNTHETIC.json").read_text()) == {"version": synthetic.VERSION, "seed": 0}
    assert sum(path.stat().st_size for path in synthetic_root.rglob("*") if path.is_file()) < 25e6


@pytest.mark.parametrize(("index", "writer"), [(1, bcd), (3, segwbc), (5, wbcbench), (6, cytologia)])
def test_same_seed_gives_the_same_bytes_and_another_seed_others(synthetic_root, tmp_path, index, writer):
    name = writer.__name__.rpartition(".")[2]
    for seed in (0, 1):
        writer.write(tmp_path / str(seed) / name, np.random.default_rng([seed, index]), Truth())
    first, second = contents(tmp_path / "0" / name), contents(tmp_path / "1" / name)
    assert first == contents(synthetic_root / name)
    images = [content for path, content in first.items() if path.suffix != ".csv"]
    assert not set(images) & set(second.values())


def test_ensure_leaves_a_matching_tree_untouched(synthetic_root, monkeypatch):
    monkeypatch.setattr(tree, "_draw_tree", lambda root, seed: pytest.fail("drawn again"))
    assert synthetic.ensure(synthetic_root) == synthetic_root


@pytest.fixture
def quick(monkeypatch):
    """Replace the drawing by a single file; return the seeds drawn."""
    seeds = []

    def draw(root, seed):
        seeds.append(seed)
        (root / "SYNTHETIC.json").write_text(json.dumps({"version": tree.VERSION, "seed": seed}))

    monkeypatch.setattr(tree, "_draw_tree", draw)
    return seeds


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_interrupted_ensure_leaves_nothing_half_made(tmp_path, monkeypatch, error):
    def fail(root, seed):
        (root / "cbc").mkdir()
        raise error

    monkeypatch.setattr(tree, "_draw_tree", fail)
    with pytest.raises(error):
        synthetic.ensure(tmp_path / "tree")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_interrupted_redrawing_keeps_the_earlier_tree(tmp_path, quick, monkeypatch):
    root = synthetic.ensure(tmp_path / "tree", seed=1)

    def fail(root, seed):
        raise KeyboardInterrupt

    monkeypatch.setattr(tree, "_draw_tree", fail)
    with pytest.raises(KeyboardInterrupt):
        synthetic.ensure(root, seed=2)
    assert json.loads((root / "SYNTHETIC.json").read_text())["seed"] == 1


def test_earlier_tree_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, quick, monkeypatch):
    root, replace = synthetic.ensure(tmp_path / "tree", seed=1), os.replace

    def fail_once(source, target):
        if target == root and not source.name.endswith(".old"):
            raise OSError("no space left")
        replace(source, target)

    monkeypatch.setattr(tree.os, "replace", fail_once)
    with pytest.raises(OSError, match="no space left"):
        synthetic.ensure(root, seed=2)
    assert json.loads((root / "SYNTHETIC.json").read_text())["seed"] == 1
    assert {path.name for path in tmp_path.iterdir()} == {"tree", "tree.lock"}


@pytest.mark.parametrize("mark", [None, "{broken"])
def test_folder_of_somebody_else_is_refused_and_kept(tmp_path, quick, mark):
    (tmp_path / "mine.txt").write_text("precious")
    if mark:
        (tmp_path / "SYNTHETIC.json").write_text(mark)
    with pytest.raises(DataError, match="needs a new or empty folder"):
        synthetic.ensure(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "precious"
    assert quick == []


def test_empty_folder_is_filled(tmp_path, quick):
    (tmp_path / "tree").mkdir()
    assert (synthetic.ensure(tmp_path / "tree") / "SYNTHETIC.json").is_file()


@pytest.mark.parametrize("changed", [{"seed": 3}, {"version": tree.VERSION - 1}])
def test_tree_of_another_seed_or_version_is_replaced_whole(tmp_path, quick, changed):
    root = synthetic.ensure(tmp_path / "tree")
    (root / "SYNTHETIC.json").write_text(json.dumps({"version": tree.VERSION, "seed": 0} | changed))
    (root / "left_over.txt").touch()
    synthetic.ensure(root)
    assert quick == [0, 0]
    assert [path.name for path in root.iterdir()] == ["SYNTHETIC.json"]
    assert {path.name for path in tmp_path.iterdir()} == {"tree", "tree.lock"}


def test_two_callers_at_once_draw_once(tmp_path, quick):
    callers = [threading.Thread(target=synthetic.ensure, args=(tmp_path / "tree",)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert quick == [0]


# formats


@pytest.mark.parametrize(
    ("pattern", "count", "kind", "mode", "size"),
    [
        ("cbc/Training/Images/BloodImage_?????.jpg", 40, "JPEG", "RGB", (640, 480)),
        ("cbc/Validation/Images/BloodImage_?????.jpg", 12, "JPEG", "RGB", (640, 480)),
        ("cbc/Testing/Images/BloodImage_?????.jpg", 12, "JPEG", "RGB", (640, 480)),
        ("bcd/images/image-*.png", 30, "PNG", "RGBA", (256, 256)),
        ("pbc/PBC_dataset_normal_DIB/*/*_*.jpg", 330, "JPEG", "RGB", (160, 160)),
        ("segwbc/Dataset 1/???.bmp", 36, "BMP", "RGB", (120, 120)),
        ("segwbc/Dataset 1/???.png", 36, "PNG", "L", (120, 120)),
        ("lymph/*set/P*/??????.jpg", None, "JPEG", "RGB", (128, 128)),
        ("wbcbench/images/*.jpg", 220, "JPEG", "RGB", (96, 96)),
        ("cytologia/images/*.jpg", 30, "JPEG", "RGB", (360, 360)),
        ("truth/pbc/*/*.png", 330, "PNG", "L", (160, 160)),
    ],
)
def test_images_have_the_format_of_the_data_set(synthetic_root, pattern, count, kind, mode, size):
    found = sorted(synthetic_root.glob(pattern))
    assert len(found) == (count or len(found)) > 0
    for path in found:
        with Image.open(path) as image:
            image.load()
            assert (image.format, image.mode, image.size) == (kind, mode, size)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("bcd/annotations.csv", b'"image","xmin","ymin","xmax","ymax","label"\n'),
        ("bcd/annotations_ratio.csv", b"image_id,image,xmin,ymin,xmax,ymax,label\n"),
        ("segwbc/Class Labels of Dataset 1.csv", b"image ID,class label\r\n"),
        ("lymph/clinical_annotation.csv", b",ID,LABEL,GENDER,DOB,LYMPH_COUNT\r\n"),
        ("wbcbench/train.csv", b"ID,labels,split,,\n"),
        ("cytologia/train.csv", b"NAME,x1,y1,x2,y2,class\n"),
        ("cbc/wbc_types.csv", b",Image,Category\r\n"),
        ("pbc/wbcatt_attributes.csv", ",".join(attributes.COLUMNS).encode() + b"\r\n"),
        ("truth/boxes.csv", ",".join(TRUTH_COLUMNS).encode() + b"\n"),
    ],
)
def test_tables_open_with_the_documented_header(synthetic_root, path, line):
    assert header(synthetic_root / path) == line


def test_voc_file_has_the_fields_of_the_real_release(synthetic_root):
    root = parse(synthetic_root / "cbc/Training/Annotations/BloodImage_00000.xml").getroot()
    assert [child.tag for child in root][:6] == ["folder", "filename", "path", "source", "size", "segmented"]
    assert root.findtext("filename") == "BloodImage_00000.jpg"
    assert [root.findtext(f"size/{side}") for side in ("width", "height", "depth")] == ["640", "480", "3"]
    assert [child.tag for child in root.find("object")] == ["name", "pose", "truncated", "difficult", "bndbox"]


@pytest.mark.parametrize("split", ["Training", "Validation", "Testing"])
def test_every_cbc_image_has_an_annotation_and_the_reverse(synthetic_root, split):
    folder = synthetic_root / "cbc" / split
    assert [p.stem for p in sorted((folder / "Images").iterdir())] == [
        p.stem for p in sorted((folder / "Annotations").iterdir())
    ]


def test_voc_boxes_are_the_drawn_boxes_counted_from_one(synthetic_root, planted, boxes):
    odd = {planted["cbc"]["past_border"][0]["image"], *planted["cbc"]["no_labelled_rbc"]}
    odd |= {entry["image"] for entry in planted["cbc"]["degenerate_boxes"]}
    for image, drawn in boxes[boxes["dataset"] == "cbc"].groupby("image"):
        if image not in odd:
            expected = [(r[2], r[4] + 1, r[5] + 1, r[6], r[7]) for r in drawn.itertuples(index=False)]
            assert voc(synthetic_root, image) == expected


def test_bcd_boxes_lie_within_a_pixel_of_the_drawn_ones(synthetic_root, planted, boxes):
    table = pd.read_csv(synthetic_root / "bcd" / "annotations.csv")
    table = table.drop(index=[entry["rows"][1] for entry in planted["bcd"]["annotated_twice"]])
    drawn = boxes[(boxes["dataset"] == "bcd") & (boxes["class"] != "Platelets")]
    np.testing.assert_allclose(table[CORNERS], drawn[CORNERS], atol=1)
    assert (table["label"].str.upper().to_numpy() == drawn["class"].to_numpy()).all()
    assert table[CORNERS].to_numpy().min() >= 0
    assert table[CORNERS].to_numpy().max() <= 256


def test_bcd_ratios_are_the_pixels_without_the_second_label_of_image_1(synthetic_root, planted):
    table = pd.read_csv(synthetic_root / "bcd" / "annotations.csv")
    ratio = pd.read_csv(synthetic_root / "bcd" / "annotations_ratio.csv")
    corrected = [e["rows"][1] for e in planted["bcd"]["annotated_twice"] if e["image"] == "images/image-1.png"]
    kept = table.drop(index=corrected)
    np.testing.assert_allclose(ratio[CORNERS] * 256, kept[CORNERS], atol=1e-9)
    assert ratio["image"].tolist() == [f"image-{number}.png" for number in ratio["image_id"]] == kept["image"].tolist()


def test_bcd_numbering_has_gaps(synthetic_root):
    numbers = sorted(int(path.stem.removeprefix("image-")) for path in (synthetic_root / "bcd" / "images").iterdir())
    assert numbers[-1] - numbers[0] >= len(numbers)


def test_pbc_has_thirteen_prefixes_in_eight_folders_and_twelve_images_of_each_specific_one(synthetic_root):
    files = list((synthetic_root / "pbc" / "PBC_dataset_normal_DIB").glob("*/*.jpg"))
    counts = Counter(path.name.partition("_")[0] for path in files)
    assert set(counts) == set(PBC_PREFIXES)
    assert len({path.parent.name for path in files}) == 8
    assert min(count for prefix, count in counts.items() if prefix not in PBC_UNSPECIFIC) >= 12
    assert max(counts, key=counts.get) == "EO"


def test_attributes_speak_of_images_that_exist_in_the_known_vocabulary(synthetic_root):
    table = pd.read_csv(synthetic_root / "pbc" / "wbcatt_attributes.csv")
    names = {path.name: path.parent.name for path in (synthetic_root / "pbc").rglob("*.jpg")}
    assert table["img_name"].is_unique
    assert [names[name] for name in table["img_name"]] == table["label"].str.lower().tolist()
    vocabulary = {
        "cell_size": {"big", "small"},
        "cell_shape": {"irregular", "round"},
        "nucleus_shape": {
            "irregular", "segmented-bilobed", "segmented-multilobed", "unsegmented-band", "unsegmented-indented",
            "unsegmented-round",
        },
        "nuclear_cytoplasmic_ratio": {"high", "low"},
        "chromatin_density": {"densely", "loosely"},
        "cytoplasm_vacuole": {"yes", "no"},
        "cytoplasm_texture": {"clear", "frosted"},
        "cytoplasm_colour": {"blue", "light blue", "purple blue"},
        "granule_type": {"coarse", "nil", "round", "small"},
        "granule_colour": {"nil", "pink", "purple", "red"},
        "granularity": {"yes", "no"},
    }  # fmt: skip
    assert {column: set(table[column]) <= words for column, words in vocabulary.items()} == dict.fromkeys(
        vocabulary, True
    )


def test_attributed_ratio_agrees_with_the_masks(synthetic_root):
    table = pd.read_csv(synthetic_root / "pbc" / "wbcatt_attributes.csv").set_index("img_name")
    shares = {}
    for path in (synthetic_root / "truth" / "pbc").rglob("*.png"):
        mask = pixels(path)
        shares[path.with_suffix(".jpg").name] = (mask == 255).sum() / (mask > 0).sum()
    share = table.index.map(shares)
    assert ((share > 0.55) == (table["nuclear_cytoplasmic_ratio"] == "high")).all()


def test_masks_hold_nucleus_cytoplasm_and_background_of_the_dark_cell(synthetic_root):
    for image in sorted((synthetic_root / "segwbc" / "Dataset 1").glob("*.bmp"))[:12]:
        mask, grey = pixels(image.with_suffix(".png")), pixels(image).mean(axis=2)
        assert set(np.unique(mask)) == {0, 128, 255}
        assert grey[mask == 255].mean() < grey[mask == 128].mean() < grey[mask == 0].mean()


def test_pbc_masks_lie_on_the_cell_in_the_middle(synthetic_root):
    for path in sorted((synthetic_root / "truth" / "pbc" / "lymphocyte").glob("*.png")):
        mask = pixels(path)
        image = pixels(synthetic_root / "pbc/PBC_dataset_normal_DIB/lymphocyte" / f"{path.stem}.jpg").mean(axis=2)
        assert mask[80, 80] == 255
        assert image[mask == 255].mean() < image[mask == 0].mean() - 60


def test_clinical_table_mixes_dates_sexes_and_unlabelled_test_patients(synthetic_root):
    folder = synthetic_root / "lymph"
    table = pd.read_csv(folder / "clinical_annotation.csv", index_col=0)
    labels = table.set_index("ID")["LABEL"]
    assert {p.name for p in (folder / "testset").iterdir()} == set(labels[labels == -1].index)
    assert {p.name for p in (folder / "trainset").iterdir()} == set(labels[labels >= 0].index)
    assert labels.value_counts().to_dict() == {1: lymph.MALIGNANT, 0: lymph.LABELLED - lymph.MALIGNANT, -1: lymph.TEST}
    assert table["DOB"].str.contains("/").any()
    assert table["DOB"].str.contains("-").any()
    assert {"M", "F"} <= set(table["GENDER"]) <= {"M", "F", "m", "f"}
    assert table["GENDER"].str.islower().any()


def test_malignant_patients_are_older_with_higher_counts_but_overlap(synthetic_root):
    table = pd.read_csv(synthetic_root / "lymph" / "clinical_annotation.csv")
    reactive, malignant = (table[table["LABEL"] == label] for label in (0, 1))
    assert malignant["LYMPH_COUNT"].median() > reactive["LYMPH_COUNT"].median()
    assert malignant["LYMPH_COUNT"].min() < reactive["LYMPH_COUNT"].max()
    born = [part["DOB"].str[-4:].astype(int) for part in (reactive, malignant)]
    assert born[0].mean() > born[1].mean()
    assert born[0].min() < born[1].max()


def test_wbcbench_lists_every_image_once_with_an_extreme_imbalance(synthetic_root):
    folder = synthetic_root / "wbcbench"
    table = pd.concat([pd.read_csv(path) for path in sorted(folder.glob("*.csv"))])
    assert sorted(table["ID"]) == sorted(path.name for path in (folder / "images").iterdir())
    assert table.iloc[:, 3:].isna().all(axis=None)
    assert set(table["split"]) == {"train", "val", "test"}
    counts = table["labels"].value_counts()
    assert set(counts.index) == set(WBCBENCH_CODES)
    assert counts.max() >= 60 * counts.min()


def test_cytologia_boxes_are_the_drawn_white_cells(synthetic_root, planted, boxes):
    table = pd.read_csv(synthetic_root / "cytologia" / "train.csv")
    drawn = boxes[(boxes["dataset"] == "cytologia") & (boxes["class"] == "WBC")]
    np.testing.assert_array_equal(table[["x1", "y1", "x2", "y2"]], drawn[CORNERS])
    assert set(table["class"]) <= set(CYTOLOGIA_CODES)
    assert table["class"].nunique() >= 6
    several = table["NAME"].value_counts().loc[lambda count: count > 1].index
    assert sorted(f"images/{name}" for name in several) == sorted(planted["cytologia"]["several_white_cells"])


# what was planted


def test_every_validation_image_is_a_copy_of_a_training_image(synthetic_root, planted):
    pairs = planted["cbc"]["validation_copies"]
    assert [copy for copy, _ in pairs] == voc_images(synthetic_root, "Validation")
    for copy, original in pairs:
        assert (synthetic_root / "cbc" / copy).read_bytes() == (synthetic_root / "cbc" / original).read_bytes()
        assert voc(synthetic_root, copy) == voc(synthetic_root, original)


def test_near_duplicates_of_training_are_in_testing_with_their_boxes(synthetic_root, planted):
    entries = planted["cbc"]["near_duplicates"]
    assert [entry["flipped"] for entry in entries] == [False, True]
    for entry in entries:
        one, other = (pixels(synthetic_root / "cbc" / entry[key]).astype(int) for key in ("original", "copy"))
        aligned = other[:, ::-1] if entry["flipped"] else other
        assert (one != other).any()
        assert np.abs(one - aligned).mean() < 4
        expected = voc(synthetic_root, entry["original"])
        if entry["flipped"]:
            expected = [(name, 641 - right, top, 641 - left, bottom) for name, left, top, right, bottom in expected]
        assert voc(synthetic_root, entry["copy"]) == expected


def test_training_and_testing_have_exactly_the_planted_box_without_area(synthetic_root, planted):
    found = [
        {"image": image, "object": index}
        for split in ("Training", "Validation", "Testing")
        for image in voc_images(synthetic_root, split)
        for index, (_, left, top, right, bottom) in enumerate(voc(synthetic_root, image))
        if right <= left or bottom <= top
    ]
    assert found == planted["cbc"]["degenerate_boxes"]
    assert [entry["image"].partition("/")[0] for entry in found] == ["Training", "Testing"]


def test_exactly_one_box_ends_six_pixels_past_the_border(synthetic_root, planted):
    found = [
        {"image": image, "object": index, "pixels": right - 640}
        for split in ("Training", "Validation", "Testing")
        for image in voc_images(synthetic_root, split)
        for index, (_, left, top, right, bottom) in enumerate(voc(synthetic_root, image))
        if left < 1 or top < 1 or right > 640 or bottom > 480
    ]
    assert found == planted["cbc"]["past_border"]
    assert found[0]["pixels"] == 6


@pytest.mark.parametrize(
    ("key", "name", "wanted", "at_least"),
    [
        ("two_wbc", "WBC", {2}, 3),
        ("no_wbc", "WBC", {0}, 1),
        ("no_labelled_rbc", "RBC", {0}, 1),
        ("more_than_3_platelets", "Platelets", {4, 5, 6}, 3),
    ],
)
def test_images_with_odd_counts_are_the_planted_ones(synthetic_root, planted, key, name, wanted, at_least):
    found = [
        image
        for split in ("Training", "Validation", "Testing")
        for image in voc_images(synthetic_root, split)
        if sum(row[0] == name for row in voc(synthetic_root, image)) in wanted
    ]
    assert found == planted["cbc"][key]
    assert len(found) >= at_least


def test_image_without_labelled_red_cells_shows_some(planted, boxes):
    image = planted["cbc"]["no_labelled_rbc"][0]
    assert (boxes[boxes["image"] == image]["class"] == "RBC").any()


def test_white_cell_types_name_as_many_cells_as_are_boxed(synthetic_root):
    rows = list(csv.DictReader(io.StringIO((synthetic_root / "cbc" / "wbc_types.csv").read_text())))
    types = {int(row["Image"]): [kind for kind in row["Category"].split(", ") if kind] for row in rows}
    for split in ("Training", "Testing"):
        for image in voc_images(synthetic_root, split):
            whites = sum(row[0] == "WBC" for row in voc(synthetic_root, image))
            assert len(types[int(Path(image).stem[-5:])]) == whites


def test_four_bcd_boxes_are_annotated_twice_with_different_labels(synthetic_root, planted):
    table = pd.read_csv(synthetic_root / "bcd" / "annotations.csv")
    twice = table[table.duplicated(["image", *CORNERS], keep=False)]
    entries = planted["bcd"]["annotated_twice"]
    assert sorted(twice.index) == sorted(row for entry in entries for row in entry["rows"])
    for entry in entries:
        rows = table.loc[entry["rows"]]
        assert [f"images/{name}" for name in rows["image"]] == [entry["image"]] * 2
        assert rows["label"].tolist() == entry["labels"]
    labels = {entry["image"]: entry["labels"] for entry in entries}
    assert labels["images/image-1.png"] == ["wbc", "rbc"]
    assert labels["images/image-100.png"] == ["rbc", "wbc"]
    assert len(labels) == 4


def test_pbc_holds_exactly_the_planted_exact_duplicates(synthetic_root, planted):
    by_content = {}
    for path in (synthetic_root / "pbc").rglob("*.jpg"):
        name = path.relative_to(synthetic_root / "pbc").as_posix()
        by_content.setdefault(pixels(path).tobytes(), set()).add(name)
    groups = [group for group in by_content.values() if len(group) > 1]
    pairs = planted["pbc"]["exact_duplicates"] + planted["pbc"]["conflicting_duplicates"]
    assert sorted(map(sorted, groups)) == sorted(map(sorted, pairs))
    labels = [{Path(name).name.partition("_")[0] for name in pair} for pair in pairs]
    assert [len(label) for label in labels] == [1, 1, 1, 2]
    assert labels[-1] == {"MY", "MMY"}


def test_pbc_near_duplicates_are_turned_copies_with_turned_masks(synthetic_root, planted):
    undo = {"rotated by 90 degrees": lambda x: np.rot90(x, -1), "mirrored": np.fliplr, "turned upside down": np.flipud}
    entries = planted["pbc"]["near_duplicates"]
    assert {entry["change"] for entry in entries} == set(undo)
    for entry in entries:
        one, other = (pixels(synthetic_root / "pbc" / entry[key]).astype(int) for key in ("original", "copy"))
        back = undo[entry["change"]](other)
        assert 0 < np.abs(one - back).mean() < 4
        names = [entry[key].replace("PBC_dataset_normal_DIB", "pbc") for key in ("original", "copy")]
        masks = [pixels((synthetic_root / "truth" / name).with_suffix(".png")) for name in names]
        np.testing.assert_array_equal(masks[0], undo[entry["change"]](masks[1]))


def test_one_image_is_in_the_bags_of_two_patients(synthetic_root, planted):
    by_content = {}
    for path in sorted((synthetic_root / "lymph").rglob("*.jpg")):
        by_content.setdefault(path.read_bytes(), []).append(path.relative_to(synthetic_root / "lymph").as_posix())
    shared = [group for group in by_content.values() if len(group) > 1]
    assert sorted(map(sorted, shared)) == sorted(map(sorted, planted["lymph"]["exact_duplicates"]))
    assert len({Path(name).parent for name in shared[0]}) == 2
    assert len(shared) == 1


def test_hidden_labels_cover_the_test_patients(synthetic_root, planted):
    hidden = planted["lymph"]["test_labels"]
    assert set(hidden) == {path.name for path in (synthetic_root / "lymph" / "testset").iterdir()}
    assert set(hidden.values()) == {0, 1}


def test_training_numbers_do_not_overlap_testing_numbers(synthetic_root):
    training, testing = (
        {int(Path(i).stem[-5:]) for i in voc_images(synthetic_root, s)} for s in ("Training", "Testing")
    )
    assert max(training) < min(testing) == cbc.FIRST_TESTING
