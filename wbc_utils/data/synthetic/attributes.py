"""Describe a drawn cell in the eleven attributes of the WBCAtt table, in its vocabulary."""

import numpy as np

from wbc_utils.data.synthetic.morphology import MORPHOLOGIES, Morphology

COLUMNS = (
    "img_name", "label", "cell_size", "cell_shape", "nucleus_shape", "nuclear_cytoplasmic_ratio", "chromatin_density",
    "cytoplasm_vacuole", "cytoplasm_texture", "cytoplasm_colour", "granule_type", "granule_colour", "granularity",
)  # fmt: skip
"""Columns of ``wbcatt_attributes.csv``, in order."""

LABELS = {
    "BNE": "Neutrophil", "SNE": "Neutrophil", "NEUTROPHIL": "Neutrophil", "EO": "Eosinophil", "BA": "Basophil",
    "MO": "Monocyte", "LY": "Lymphocyte",
}  # fmt: skip
"""The prefixes that the table covers and the label each has there."""

_GRANULES = {
    None: ("nil", "nil"), "fine pink": ("small", "pink"), "orange": ("round", "red"),
    "dark purple": ("coarse", "purple"),
}  # fmt: skip
_COLOURS = {"pink": "light blue"}


def _nucleus_shape(cell: Morphology) -> str:
    if cell.granules == "dark purple":
        return "irregular"
    if cell.lobes == 1:
        return "unsegmented-round"
    if cell.granules is None:
        return "unsegmented-indented"
    if cell.waist > 0.6:
        return "unsegmented-band"
    return "segmented-bilobed" if cell.lobes == 2 else "segmented-multilobed"


def describe(name: str, cell: Morphology, nucleus: np.ndarray, whole: np.ndarray) -> tuple[str, ...]:
    """Return one row of the table.

    Parameters
    ----------
    name
        File name of the image.
    cell
        The drawn cell; its code is a key of `LABELS`.
    nucleus, whole
        Boolean masks of nucleus and cell; their area ratio decides the nuclear to cytoplasmic ratio.
    """
    kind, colour = _GRANULES[cell.granules]
    typical = MORPHOLOGIES["SNE"]
    return (
        name,
        LABELS[cell.code],
        "big" if cell.diameter >= typical.diameter else "small",
        "irregular" if cell.irregularity > 0.05 else "round",
        _nucleus_shape(cell),
        "high" if nucleus.sum() > 0.55 * whole.sum() else "low",
        "densely" if cell.density >= 0.85 else "loosely",
        "yes" if cell.vacuolated else "no",
        "frosted" if cell.frosted else "clear",
        _COLOURS.get(cell.cytoplasm, cell.cytoplasm),
        kind,
        colour,
        "yes" if cell.granules else "no",
    )
