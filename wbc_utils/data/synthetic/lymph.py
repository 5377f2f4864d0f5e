"""Draw the lymphocytosis challenge: a bag of lymphocyte images a patient and one clinical table.

Malignant patients are older, count more lymphocytes and show slightly different nuclei; every one of these
distributions overlaps with the reactive patients'.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wbc_utils.data.synthetic.fields import draw_field
from wbc_utils.data.synthetic.looks import LOOKS
from wbc_utils.data.synthetic.morphology import sample
from wbc_utils.data.synthetic.writing import Truth, jpeg_bytes, put

SIZE, SCALE = 128, 6.5
LABELLED, MALIGNANT, TEST = 24, 16, 6
"""Patients with a label, how many of them are malignant, and patients of the test set, whose label reads -1."""

_YEAR = 2018
_DATES = ("{month}/{day}/{year}", "{day:02d}-{month:02d}-{year}", "{day:02d}/{month:02d}/{year}")
_CODES = ("LY", "VLY", "PLY")
_MIXTURES = ((0.60, 0.30, 0.10), (0.58, 0.12, 0.30))
"""Expected shares of lymphocytes, variant lymphocytes and prolymphocytes: reactive, malignant."""


@dataclass(frozen=True)
class _Patient:
    name: str
    label: int
    folder: str

    @property
    def shown(self) -> int:
        return self.label if self.folder == "trainset" else -1


def _patients(rng: np.random.Generator) -> list[_Patient]:
    numbers = rng.choice(np.arange(1, 206), LABELLED + TEST, replace=False).tolist()
    labels = np.concatenate([rng.permutation(np.arange(LABELLED) < MALIGNANT), np.arange(TEST) % 2]).astype(int)
    folders = ["trainset"] * LABELLED + ["testset"] * TEST
    people = [_Patient(f"P{n}", int(label), f) for n, label, f in zip(numbers, labels, folders, strict=True)]
    return [people[index] for index in rng.permutation(len(people))]


def _clinical_row(index: int, patient: _Patient, rng: np.random.Generator) -> str:
    """Return a row of the table; dates in several spellings, days up to 12 so that each can be read either way."""
    age = rng.normal(72, 12) if patient.label else rng.normal(51, 19)
    count = rng.lognormal(2.5, 0.95) if patient.label else rng.lognormal(1.62, 0.25)
    sex = str(rng.choice(["M", "F", "m", "f"], p=[0.45, 0.42, 0.06, 0.07]))
    day, month = rng.integers(1, 13, 2)
    born = _DATES[rng.choice(3, p=[0.7, 0.2, 0.1])].format(
        day=int(day), month=int(month), year=_YEAR - int(np.clip(age, 18, 97))
    )
    return f"{index},{patient.name},{patient.shown},{sex},{born},{np.clip(count, 2.3, 300):.2f}".rstrip("0").rstrip(".")


def _bag(patient: _Patient, rng: np.random.Generator) -> list[bytes]:
    """Draw the images of one patient: the slide, the mixture of cells and their nuclei are the patient's own."""
    look = LOOKS["lymph"].varied(rng)
    mixture = rng.dirichlet(12 * np.array(_MIXTURES[patient.label]))
    shift = patient.label - 0.5
    own = {
        "lobe": rng.normal(1 + 0.05 * shift, 0.025),
        "clump": rng.normal(1 + 0.25 * shift, 0.12),
        "contrast": rng.normal(1 + 0.30 * shift, 0.15),
        "diameter": rng.normal(1 - 0.03 * shift, 0.03),
    }
    images = []
    for code in rng.choice(_CODES, int(rng.integers(4, 11)), p=mixture):
        field = draw_field(
            rng, SIZE, SIZE, whites=[sample(str(code), rng, **own)], reds=int(rng.integers(3, 12)), platelets=0,
            scale=SCALE, look=look.varied(rng, 0.3), centred=True,
        )  # fmt: skip
        images.append(jpeg_bytes(field.image, 88))
    return images


def write(folder: Path, rng: np.random.Generator, truth: Truth) -> None:
    """Write the data set into a folder and note what was planted, the hidden labels of the test set included."""
    patients = _patients(rng)
    bags = {patient: _bag(patient, rng) for patient in patients}
    giver, taker = [patient for patient in patients if patient.folder == "trainset"][:2]
    bags[taker].append(bags[giver][1])
    lines, paths = [",ID,LABEL,GENDER,DOB,LYMPH_COUNT"], {}
    for index, patient in enumerate(patients):
        lines.append(_clinical_row(index, patient, rng))
        numbers = np.sort(rng.choice(120, len(bags[patient]), replace=False))
        paths[patient] = [f"{patient.folder}/{patient.name}/{number:06d}.jpg" for number in numbers]
        for path, content in zip(paths[patient], bags[patient], strict=True):
            put(folder / path, content)
    put(folder / "clinical_annotation.csv", "\r\n".join(lines) + "\r\n")
    truth.planted["lymph"] = {
        "exact_duplicates": [[paths[giver][1], paths[taker][-1]]],
        "test_labels": {patient.name: patient.label for patient in patients if patient.folder == "testset"},
    }
