"""Draw the complete-blood-count data set: fields of 640×480 pixels with Pascal VOC annotations.

As in the real release every Validation image is a copy of a Training image, and one box a split has no area.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from wbc_utils.data.synthetic.fields import Drawn, draw_field
from wbc_utils.data.synthetic.looks import LOOKS
from wbc_utils.data.synthetic.writing import Truth, jpeg_bytes, put

WIDTH, HEIGHT = 640, 480
TRAINING, VALIDATION, TESTING = 40, 12, 12
FIRST_TESTING = 339
"""Number of the first Testing image, as in the real release."""

_NEAR_DUPLICATES = ((0, False), (3, True))
_DEGENERATE = ("RBC", (504, 337, 504, 337))
_CATEGORIES = {"SNE": "NEUTROPHIL", "EO": "EOSINOPHIL", "LY": "LYMPHOCYTE", "MO": "MONOCYTE", "BA": "BASOPHIL"}
_SHARES = (0.56, 0.25, 0.1, 0.07, 0.02)

_OBJECT = """\t<object>
\t\t<name>{}</name>
\t\t<pose>Unspecified</pose>
\t\t<truncated>0</truncated>
\t\t<difficult>0</difficult>
\t\t<bndbox>
\t\t\t<xmin>{}</xmin>
\t\t\t<ymin>{}</ymin>
\t\t\t<xmax>{}</xmax>
\t\t\t<ymax>{}</ymax>
\t\t</bndbox>
\t</object>
"""

_ANNOTATION = f"""<annotation>
\t<folder>JPEGImages</folder>
\t<filename>{{name}}.jpg</filename>
\t<path>JPEGImages/{{name}}.jpg</path>
\t<source>
\t\t<database>Unknown</database>
\t</source>
\t<size>
\t\t<width>{WIDTH}</width>
\t\t<height>{HEIGHT}</height>
\t\t<depth>3</depth>
\t</size>
\t<segmented>0</segmented>
{{objects}}</annotation>
"""

Label = tuple[str, tuple[int, int, int, int]]


@dataclass
class _Item:
    """One annotated image: its labels are (class, VOC box), VOC corners being 1-based and inclusive."""

    name: str
    jpeg: bytes
    objects: list[Drawn]
    labels: list[Label]


def _voc(drawn: Drawn) -> Label:
    left, top, right, bottom = drawn.box
    return drawn.kind, (left + 1, top + 1, right, bottom)


def _draw(number: int, rng: np.random.Generator, white_count: int, platelets: int) -> _Item:
    whites = [str(code) for code in rng.choice(list(_CATEGORIES), white_count, p=_SHARES)]
    field = draw_field(
        rng, WIDTH, HEIGHT, whites=whites, reds=int(rng.integers(8, 24)), platelets=platelets,
        look=LOOKS["cbc"].varied(rng),
    )  # fmt: skip
    objects = list(field.objects)
    return _Item(f"BloodImage_{number:05d}", jpeg_bytes(field.image, 85), objects, [_voc(one) for one in objects])


def _training(rng: np.random.Generator) -> list[_Item]:
    """Draw the Training images with their odd ones: two white cells, none, many platelets, no labelled red cell."""
    white_counts = dict.fromkeys((2, 8, 16, 27), 2) | {9: 0}
    platelet_counts = {6: 4, 15: 5, 24: 6}
    items = []
    for number in range(TRAINING):
        usual = int(rng.choice([0, 1, 2, 3], p=[0.42, 0.3, 0.2, 0.08]))
        items.append(_draw(number, rng, white_counts.get(number, 1), platelet_counts.get(number, usual)))
    items[12].labels = [label for label in items[12].labels if label[0] != "RBC"]
    return items


def _flipped(drawn: Drawn) -> Drawn:
    left, top, right, bottom = drawn.box
    return replace(
        drawn, box=(WIDTH - right, top, WIDTH - left, bottom), cell=drawn.cell[:, ::-1], nucleus=drawn.nucleus[:, ::-1]
    )


def _near_duplicate(item: _Item, number: int, flip: bool, folder: Path) -> _Item:
    """Return an image again as a lossier JPEG, mirrored if asked."""
    with Image.open(folder / "Training" / "Images" / f"{item.name}.jpg") as opened:
        pixels = np.asarray(opened)
    objects = [_flipped(one) for one in item.objects] if flip else item.objects
    pixels = pixels[:, ::-1] if flip else pixels
    labels = [_voc(one) for one in objects]
    return _Item(f"BloodImage_{number:05d}", jpeg_bytes(np.ascontiguousarray(pixels), 60), list(objects), labels)


def _push_past_border(items: list[_Item]) -> dict:
    """Move the right edge of a red cell's box that ends at the border 6 pixels further."""
    for item in items:
        for index, (name, (left, top, right, bottom)) in enumerate(item.labels):
            if name == "RBC" and right == WIDTH:
                item.labels[index] = (name, (left, top, right + 6, bottom))
                return {"image": f"Training/Images/{item.name}.jpg", "object": index, "pixels": 6}
    raise RuntimeError("no red cell touches the right border of any image; draw more images")


def _write(folder: Path, split: str, items: list[_Item], truth: Truth) -> None:
    for item in items:
        image = f"{split}/Images/{item.name}.jpg"
        put(folder / image, item.jpeg)
        objects = "".join(_OBJECT.format(name, *box) for name, box in item.labels)
        put(folder / split / "Annotations" / f"{item.name}.xml", _ANNOTATION.format(name=item.name, objects=objects))
        truth.add_boxes("cbc", image, item.objects)


def _write_types(folder: Path, items: list[_Item]) -> None:
    """Write which white cells each image shows, in the layout of ``wbc_types.csv``."""
    lines = [",Image,Category"]
    for item in items:
        codes = [one.morphology.code for one in item.objects if one.kind == "WBC"]
        kinds = ", ".join(_CATEGORIES[code] for code in codes)
        lines.append(f",{int(item.name[-5:])}," + (f'"{kinds}"' if "," in kinds else kinds))
    put(folder / "wbc_types.csv", "\r\n".join(lines) + "\r\n")


def _where(splits: dict[str, list[_Item]], name: str, wanted) -> list[str]:
    """Return the images whose number of labels of one class is as wanted."""
    return [
        f"{split}/Images/{item.name}.jpg"
        for split, items in splits.items()
        for item in items
        if wanted(sum(label[0] == name for label in item.labels))
    ]


def write(folder: Path, rng: np.random.Generator, truth: Truth) -> None:
    """Write the data set into a folder and note what was planted."""
    training = _training(rng)
    validation = training[1::3][:VALIDATION]
    plain = [item for number, item in enumerate(training) if number % 3 != 1 and number > 16]
    border = _push_past_border(plain)
    training[-1].labels.append(_DEGENERATE)
    _write(folder, "Training", training, truth)
    _write(folder, "Validation", validation, truth)

    fresh = TESTING - len(_NEAR_DUPLICATES)
    testing = [_draw(FIRST_TESTING + k, rng, 1, int(rng.integers(0, 4))) for k in range(fresh)]
    testing[4].labels.append(_DEGENERATE)
    copies = []
    for number, (source, flip) in enumerate(_NEAR_DUPLICATES, start=FIRST_TESTING + fresh):
        testing.append(_near_duplicate(training[source], number, flip, folder))
        copies.append(
            {
                "original": f"Training/Images/{training[source].name}.jpg",
                "copy": f"Testing/Images/{testing[-1].name}.jpg",
                "flipped": flip,
            }
        )
    _write(folder, "Testing", testing, truth)
    _write_types(folder, training + testing)

    splits = {"Training": training, "Validation": validation, "Testing": testing}
    truth.planted["cbc"] = {
        "validation_copies": [[f"Validation/Images/{i.name}.jpg", f"Training/Images/{i.name}.jpg"] for i in validation],
        "near_duplicates": copies,
        "degenerate_boxes": [
            {"image": f"{split}/Images/{item.name}.jpg", "object": len(item.labels) - 1}
            for split, item in (("Training", training[-1]), ("Testing", testing[4]))
        ],
        "past_border": [border],
        "two_wbc": _where(splits, "WBC", lambda count: count == 2),
        "no_wbc": _where(splits, "WBC", lambda count: count == 0),
        "no_labelled_rbc": _where(splits, "RBC", lambda count: count == 0),
        "more_than_3_platelets": _where(splits, "Platelets", lambda count: count > 3),
    }
