"""What a cell of each type looks like, in numbers: size, nucleus, chromatin, cytoplasm, granules.

Sizes and shapes follow the usual haematology atlases; neighbours in maturation differ little, as they do in blood.
Lengths are micrometres, or fractions of the cell's radius where said so.
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Morphology:
    """One cell, or the typical cell of a type.

    Attributes
    ----------
    code
        Code of `wbc_utils.labels.CELL_TYPES`.
    diameter
        Micrometres.
    lobes, lobe, spread, span, waist, offset
        The nucleus is a chain of `lobes` discs of radius `lobe` on an arc of radius `spread` and angle `span`
        (radians), joined by necks `waist` times as thick as the lobes, shifted by `offset` from the centre; `lobe`,
        `spread` and `offset` are fractions of the cell's radius.
    irregularity
        Relative unevenness of the cell's outline.
    density, clump, contrast
        Darkness of the nucleus, size of its chromatin clumps in micrometres, strength of their pattern.
    nucleoli
        Number of nucleoli.
    cytoplasm, edge, hof, frosted, vacuolated
        Ink of the cytoplasm, extra density towards the cell's edge, depth of the pale zone beside the nucleus, and
        the share of such cells with frosted or vacuolated cytoplasm (in a drawn cell 0 or 1).
    granules, granule_size, granule_count, over_nucleus
        Ink of the granules, their radius in micrometres, their number per square micrometre, and how much they cover
        the nucleus (0 to 1).
    """

    code: str
    diameter: float
    lobes: int
    lobe: float
    spread: float = 0.0
    span: float = 0.0
    waist: float = 1.0
    offset: float = 0.06
    irregularity: float = 0.035
    density: float = 1.0
    clump: float = 0.5
    contrast: float = 0.14
    nucleoli: int = 0
    cytoplasm: str = "light blue"
    edge: float = 0.0
    hof: float = 0.0
    frosted: float = 0.0
    vacuolated: float = 0.0
    granules: str | None = None
    granule_size: float = 0.15
    granule_count: float = 0.0
    over_nucleus: float = 0.0


INKS: dict[str, tuple[float, float, float]] = {
    "nucleus": (0.27, 0.15, 0.48),
    "pink": (0.82, 0.70, 0.77),
    "light blue": (0.72, 0.69, 0.83),
    "blue": (0.60, 0.57, 0.77),
    "purple blue": (0.66, 0.61, 0.77),
    "deep blue": (0.43, 0.42, 0.66),
    "grey pink": (0.70, 0.61, 0.72),
    "fine pink": (0.72, 0.48, 0.62),
    "orange": (0.80, 0.51, 0.55),
    "dark purple": (0.27, 0.11, 0.42),
    "azurophil": (0.42, 0.18, 0.48),
    "platelet": (0.66, 0.53, 0.76),
}
"""Transmittance of each stained thing, red, green and blue."""

_NEUTROPHIL = {
    "cytoplasm": "pink", "granules": "fine pink", "granule_size": 0.14, "granule_count": 1.3, "vacuolated": 0.04,
    "clump": 0.6, "contrast": 0.16,
}  # fmt: skip

MORPHOLOGIES: dict[str, Morphology] = {
    cell.code: cell
    for cell in (
        Morphology("BL", 15.0, 1, 0.84, spread=0.10, offset=0.05, density=0.72, clump=0.22, contrast=0.10, nucleoli=2,
                   cytoplasm="blue", edge=0.25),
        Morphology("PMY", 17.0, 1, 0.70, spread=0.14, offset=0.14, density=0.80, clump=0.32, contrast=0.13, nucleoli=1,
                   cytoplasm="blue", granules="azurophil", granule_size=0.17, granule_count=1.1, over_nucleus=0.55),
        Morphology("MY", 15.2, 1, 0.60, spread=0.20, span=1.2, offset=0.22, density=0.90, clump=0.45, contrast=0.15,
                   cytoplasm="light blue", granules="azurophil", granule_size=0.15, granule_count=0.6,
                   over_nucleus=0.2),
        Morphology("MMY", 14.4, 2, 0.42, spread=0.36, span=1.9, waist=0.95, offset=0.10, density=0.97, clump=0.55,
                   contrast=0.16, cytoplasm="pink", granules="fine pink", granule_size=0.15, granule_count=1.0),
        Morphology("BNE", 13.2, 4, 0.245, spread=0.50, span=3.7, waist=0.86, density=1.0, **_NEUTROPHIL),
        Morphology("SNE", 13.0, 4, 0.285, spread=0.50, span=4.3, waist=0.30, density=1.05, **_NEUTROPHIL),
        Morphology("EO", 13.4, 2, 0.37, spread=0.44, span=2.1, waist=0.40, offset=0.14, density=0.98, clump=0.6,
                   cytoplasm="pink", granules="orange", granule_size=0.26, granule_count=2.2, over_nucleus=0.05),
        Morphology("BA", 12.2, 3, 0.43, spread=0.33, span=3.2, waist=0.90, density=0.95, clump=0.6, irregularity=0.05,
                   cytoplasm="light blue", granules="dark purple", granule_size=0.36, granule_count=0.75,
                   over_nucleus=0.8),
        Morphology("MO", 16.6, 3, 0.44, spread=0.36, span=2.5, waist=1.0, irregularity=0.06, density=0.80, clump=0.42,
                   contrast=0.19, cytoplasm="purple blue", frosted=0.85, vacuolated=0.45),
        Morphology("LY", 9.8, 1, 0.80, spread=0.12, offset=0.06, density=1.06, clump=0.7, contrast=0.10,
                   cytoplasm="blue", frosted=0.6),
        Morphology("VLY", 15.5, 1, 0.56, spread=0.16, offset=0.14, irregularity=0.10, density=0.88, clump=0.5,
                   contrast=0.14, cytoplasm="light blue", edge=0.8, frosted=0.5),
        Morphology("PLY", 12.2, 1, 0.76, spread=0.12, offset=0.06, density=0.93, clump=0.5, contrast=0.13, nucleoli=1,
                   cytoplasm="blue", frosted=0.3),
        Morphology("PC", 14.0, 1, 0.48, spread=0.08, offset=0.40, irregularity=0.05, density=1.05, clump=0.95,
                   contrast=0.22, cytoplasm="deep blue", hof=0.65),
        Morphology("ERB", 10.2, 1, 0.54, spread=0.05, offset=0.10, density=1.15, clump=0.7, contrast=0.10,
                   cytoplasm="grey pink"),
        Morphology("PLATELET", 4.0, 0, 0.0, irregularity=0.09, cytoplasm="platelet", granules="azurophil",
                   granule_size=0.27, granule_count=1.0),
    )
}  # fmt: skip
"""The typical cell of each specific code."""

PARENTS: dict[str, tuple[str, ...]] = {"IG": ("PMY", "MY", "MMY"), "NEUTROPHIL": ("BNE", "SNE")}
"""Codes that name several types, and those types."""

_SPREADS = {
    "diameter": 0.07, "lobe": 0.07, "spread": 0.10, "span": 0.13, "waist": 0.13, "offset": 0.35, "irregularity": 0.30,
    "density": 0.05, "clump": 0.10, "contrast": 0.15, "edge": 0.2, "granule_size": 0.08, "granule_count": 0.2,
}  # fmt: skip


def sample(code: str, rng: np.random.Generator, **factors: float) -> Morphology:
    """Draw the morphology of one cell of a type.

    Parameters
    ----------
    code
        Any of the seventeen codes; a parent code (`PARENTS`) yields one of its types under the parent's code.
    factors
        Factor on a numeric attribute of `Morphology`, for cells that differ from the type: ``diameter=1.1``.

    Raises
    ------
    ValueError
        If the code is not known.
    """
    if code not in MORPHOLOGIES and code not in PARENTS:
        raise ValueError(f"unknown cell type {code!r}; allowed are {', '.join([*MORPHOLOGIES, *PARENTS])}")
    typical = MORPHOLOGIES[str(rng.choice(PARENTS[code])) if code in PARENTS else code]
    drawn = {
        name: getattr(typical, name) * float(np.clip(rng.normal(1, spread), 0.4, 1.6)) * factors.get(name, 1.0)
        for name, spread in _SPREADS.items()
    }
    drawn["waist"] = min(drawn["waist"], 1.0)
    if typical.spread and typical.lobes > 1:
        drawn["lobes"] = _lobes(typical.code, rng)
        drawn["lobe"] *= (typical.lobes / drawn["lobes"]) ** 0.35
    for share in ("frosted", "vacuolated"):
        drawn[share] = float(rng.random() < getattr(typical, share))
    return replace(typical, code=code, **drawn)


def _lobes(code: str, rng: np.random.Generator) -> int:
    typical = MORPHOLOGIES[code].lobes
    shares = {"SNE": {2: 0.10, 3: 0.45, 4: 0.33, 5: 0.12}, "EO": {2: 0.8, 3: 0.2}, "BA": {2: 0.4, 3: 0.6}}
    table = shares.get(code, {typical: 1.0})
    return int(rng.choice(list(table), p=list(table.values())))
