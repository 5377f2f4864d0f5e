"""The names of all features with their formula, unit and source: the table that code, notebooks and pages share.

Lengths and areas are relative to the image (its side is the square root of height times width), so that they do not
change when the image is resized; they do depend on the field of view. M is a mask, A its area, P its perimeter.
"""

from dataclasses import asdict, dataclass
from typing import NamedTuple

import pandas as pd

from wbc_utils.images.texture import ANGLES, LBP_BINS


@dataclass(frozen=True)
class Feature:
    """One number measured on one cell.

    Attributes
    ----------
    name
        Stable identifier, part of the programming interface.
    family
        ``morphological``, ``colorimetric`` or ``textural``.
    region
        ``cell``, ``nucleus`` or ``cytoplasm``; several are joined by ``/``.
    formula, unit, source
        How it is computed, in what unit, and who defined it.
    """

    name: str
    family: str
    region: str
    formula: str
    unit: str
    source: str


_CROFTON = "Lehmann and Legland 2012 (Crofton, 4 directions)"
_HARALICK = "Haralick et al. 1973"
_SMITH = "Smith 1978"
_STEP = "side/160 px apart (at least 1), inside the cell"
_TAVAKOLI = "Tavakoli et al. 2021; report 004, §2.2"

_OUTLINE = (
    ("area", "A / (height · width)", "share of the image", "pixel count"),
    ("perimeter", "P / √(height · width)", "image sides", _CROFTON),
    ("circularity", "4π A / P²", "1 (disc: 1)", "Cox 1927"),
    ("eccentricity", "√(1 − λ₂/λ₁), λ eigenvalues of the second moments", "1 (disc: 0)", "regionprops"),
    ("solidity", "A / A(convex hull)", "1 (convex: 1)", "regionprops"),
    ("extent", "A / A(upright bounding box)", "1", "regionprops"),
)
_HU = (
    "η₂₀ + η₀₂",
    "(η₂₀ − η₀₂)² + 4η₁₁²",
    "(η₃₀ − 3η₁₂)² + (3η₂₁ − η₀₃)²",
    "c² + d² with c = η₃₀ + η₁₂, d = η₂₁ + η₀₃",
    "(η₃₀ − 3η₁₂) c (c² − 3d²) + (3η₂₁ − η₀₃) d (3c² − d²)",
    "(η₂₀ − η₀₂)(c² − d²) + 4η₁₁ c d",
    "(3η₂₁ − η₀₃) c (c² − 3d²) − (η₃₀ − 3η₁₂) d (3c² − d²)",
)
_NUCLEUS = (
    ("nucleus_thickness", "nucleus", "diameter of the largest inscribed circle / √(4A/π)", "equivalent diameters",
     "Euclidean distance transform"),
    ("nucleus_lobes", "nucleus", "most pieces the nucleus falls into when eroded to 0.75ᵏ of its largest depth, "
     "k = 1 … 6, each outlasting a further step", "count", "this project"),
    ("nucleus_cell_ratio", "nucleus/cell", "A(nucleus) / A(cell)", "1", "N:C ratio by area"),
    ("nucleus_offset", "nucleus/cell", "|centroid(nucleus) − centroid(cell)| / √(4A(cell)/π)",
     "equivalent diameters of the cell", "this project"),
)  # fmt: skip
_CHANNELS = (
    ("r", "red / 255", "1", "sRGB as stored"),
    ("g", "green / 255", "1", "sRGB as stored"),
    ("b", "blue / 255", "1", "sRGB as stored"),
    ("h", "hue − 1/3 (mod 1)", "turns from green", _SMITH),
    ("s", "saturation", "1", _SMITH),
    ("v", "value", "1", _SMITH),
)
_GLCM = {
    "contrast": ("Σ p (i − j)²", "levels² (of 32)"),
    "dissimilarity": ("Σ p |i − j|", "levels (of 32)"),
    "homogeneity": ("Σ p / (1 + (i − j)²)", "1"),
    "energy": ("√(Σ p²)", "1"),
    "correlation": ("Σ p (i − μ)(j − μ) / σ²; 1 where σ = 0", "1"),
}
_SPACES = {
    "rgb": (("r", "g", "b"), "sRGB as stored, 0–255"),
    "hsv": (("h", "s", "v"), "hue in turns from green, saturation, value"),
    "lab": (("l", "a", "b"), "CIELab (D65): 2.55 L*, a* + 128, b* + 128"),
    "ycrcb": (("y", "cr", "cb"), "ITU-R BT.601, full range, differences + 128"),
}


def _morphological() -> list[Feature]:
    features = [
        Feature(f"{region}_{name}", "morphological", region, formula, unit, source)
        for region in ("cell", "nucleus")
        for name, formula, unit, source in _OUTLINE
    ]
    features += [
        Feature(f"nucleus_hu_{number}", "morphological", "nucleus", f"sgn(h) log₁₀(1 + |h|/10⁻¹²), h = {formula}",
                "1", "Hu 1962")
        for number, formula in enumerate(_HU, start=1)
    ]  # fmt: skip
    return features + [Feature(name, "morphological", *rest) for name, *rest in _NUCLEUS]


def _colorimetric() -> list[Feature]:
    statistics = (("mean", "mean of {}"), ("std", "standard deviation of {}"))
    return [
        Feature(f"{region}_{channel}_{short}", "colorimetric", region, words.format(formula), unit, source)
        for region in ("cell", "nucleus", "cytoplasm")
        for short, words in statistics
        for channel, formula, unit, source in _CHANNELS
    ]


def _textural() -> list[Feature]:
    glcm = []
    for name, (formula, unit) in _GLCM.items():
        for angle in ANGLES:
            words = f"{formula}, p of pairs at {angle}° {_STEP}"
            glcm.append(Feature(f"cell_glcm_{name}_{angle}", "textural", "cell", words, unit, _HARALICK))
    patterns = [f"with {bit} of 8 neighbours not darker, adjacent" for bit in range(LBP_BINS - 1)] + ["not uniform"]
    lbp = [
        Feature(
            f"cell_lbp_{number}",
            "textural",
            "cell",
            f"share of pixels {pattern}, neighbours {_STEP}",
            "1",
            "Ojala et al. 2002 (riu2)",
        )
        for number, pattern in enumerate(patterns)
    ]
    return glcm + lbp


def _tavakoli() -> tuple[Feature, ...]:
    shape = [
        Feature("tavakoli_solidity", "morphological", "nucleus", "A(N) / A(hull)", "1 (convex: 1)", _TAVAKOLI),
        Feature("tavakoli_convexity", "morphological", "nucleus", "P(hull) / P(N)", "1 (convex: 1)", _TAVAKOLI),
        Feature("tavakoli_circularity", "morphological", "nucleus", "P(N)² / (4π A(N))", "1 (disc: 1)", _TAVAKOLI),
    ]
    parts = (("nucleus", "N", "nucleus"), ("roc", "ROC", "cytoplasm"))
    color = [
        Feature(f"tavakoli_{space}_{channel}_{part}_{short}", "colorimetric", f"{region}/nucleus",
                f"{symbol}({letters}) / {symbol}(hull), {scale}", "1", _TAVAKOLI)
        for space, (channels, scale) in _SPACES.items()
        for part, letters, region in parts
        for short, symbol in (("mean", "μ"), ("std", "σ"))
        for channel in channels
    ]  # fmt: skip
    return (*shape, *color)


FEATURES: tuple[Feature, ...] = (*_morphological(), *_colorimetric(), *_textural())
"""The 89 handcrafted features (report 001), in the order of the columns: 23 of shape, 36 of colour, 30 of texture."""

TAVAKOLI_FEATURES: tuple[Feature, ...] = _tavakoli()
"""The 51 features of report 004 (§2.2): 3 shapes, and 4 ratios on each of the 12 channels of four colour spaces."""


def feature_table(features: tuple[Feature, ...] = FEATURES) -> pd.DataFrame:
    """Return one row a feature: name, family, region, formula, unit, source."""
    return pd.DataFrame([asdict(feature) for feature in features])


class Counterpart(NamedTuple):
    """A feature and the human attribute it should follow; values of the attribute from low to high."""

    feature: str
    attribute: str
    order: tuple[str, ...]


_NUCLEUS_SHAPES = (
    "unsegmented-round", "unsegmented-indented", "unsegmented-band", "segmented-bilobed", "segmented-multilobed",
)  # fmt: skip

COUNTERPARTS: tuple[Counterpart, ...] = (
    Counterpart("cell_area", "cell_size", ("small", "big")),
    Counterpart("cell_circularity", "cell_shape", ("irregular", "round")),
    Counterpart("nucleus_cell_ratio", "nuclear_cytoplasmic_ratio", ("low", "high")),
    Counterpart("cell_glcm_contrast_0", "granularity", ("no", "yes")),
    Counterpart("nucleus_lobes", "nucleus_shape", _NUCLEUS_SHAPES),
    Counterpart("nucleus_solidity", "nucleus_shape", _NUCLEUS_SHAPES[::-1]),
)
"""Features and the words of ``wbcatt_attributes.csv`` that should say the same, paired by the meaning of the words."""
