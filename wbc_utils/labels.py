"""The taxonomy of blood cells: codes, full names, lineage order, colours, and how each data set spells them.

The thirteen codes are those of WBCBench 2026; four more occur in the Barcelona data set (PBC). Lineage order
puts neighbours of the granulocytic maturation sequence next to each other, so that a confusion matrix drawn
in this order has its expected confusions beside the diagonal.
"""

from typing import NamedTuple


class CellType(NamedTuple):
    """One cell type: its code, its English name and the colour it has in every figure."""

    code: str
    name: str
    color: str


CELL_TYPES: dict[str, CellType] = {
    cell.code: cell
    for cell in (
        # granulocytic maturation, from blast to segmented: a light-to-dark blue ramp
        CellType("BL", "blast", "#332288"),
        CellType("PMY", "promyelocyte", "#a6cee3"),
        CellType("MY", "myelocyte", "#6baed6"),
        CellType("MMY", "metamyelocyte", "#4292c6"),
        CellType("BNE", "band neutrophil", "#2171b5"),
        CellType("SNE", "segmented neutrophil", "#08306b"),
        CellType("EO", "eosinophil", "#cc6677"),
        CellType("BA", "basophil", "#882255"),
        CellType("MO", "monocyte", "#117733"),
        # lymphoid: an ochre ramp
        CellType("LY", "lymphocyte", "#ddaa33"),
        CellType("VLY", "variant (reactive) lymphocyte", "#b8860b"),
        CellType("PLY", "prolymphocyte", "#8c6d1f"),
        CellType("PC", "plasma cell", "#5c4a1a"),
        # not white blood cells, or not specific
        CellType("ERB", "erythroblast", "#aa4499"),
        CellType("PLATELET", "platelet", "#999933"),
        CellType("IG", "immature granulocyte, unspecified", "#9e9e9e"),
        CellType("NEUTROPHIL", "neutrophil, unspecified", "#616161"),
    )
}

LINEAGE_ORDER: tuple[str, ...] = tuple(CELL_TYPES)
"""Codes in lineage order: granulocytes by maturation, then monocyte, lymphoid cells, others."""

WBCBENCH_CODES: tuple[str, ...] = LINEAGE_ORDER[:13]
"""The thirteen classes of WBCBench 2026 (report 001), in lineage order."""

PBC_PREFIXES: tuple[str, ...] = (
    "PMY", "MY", "MMY", "BNE", "SNE", "EO", "BA", "MO", "LY", "ERB", "PLATELET", "IG", "NEUTROPHIL",
)  # fmt: skip
"""File-name prefixes of the Barcelona data set, in lineage order."""

PBC_UNSPECIFIC: frozenset[str] = frozenset({"IG", "NEUTROPHIL"})
"""Prefixes that name a parent of other prefixes; they are no class of their own."""

CONFUSABLE_PAIRS: tuple[tuple[str, str], ...] = (
    ("BNE", "SNE"), ("MMY", "MY"), ("MY", "PMY"), ("MMY", "PMY"), ("PLY", "LY"),
)  # fmt: skip
"""Pairs that report 001 names as systematically confused (BNE/SNE, MMY/MY/PMY, PLY/LY)."""

DETECTION_COLORS: dict[str, str] = {"RBC": "#d55e00", "WBC": "#0072b2", "Platelets": "#009e73"}
"""Colours of the three detection classes (Okabe and Ito's colour-blind-safe set)."""

SEGWBC_CODES: dict[int, str] = {1: "NEUTROPHIL", 2: "LY", 3: "MO", 4: "EO", 5: "BA"}
"""Class numbers of the segmentation data set."""

CYTOLOGIA_CODES: dict[str, str | None] = {
    "PNN": "SNE", "EO": "EO", "BA": "BA", "MO": "MO", "LY": "LY",
    "PM": "PMY", "M": "MY", "MM": "MMY", "B": "BL", "MBL": "BL", "MoB": "BL", "LAM3": "PMY",
    "LH_lyAct": "VLY", "LGL": "LY", "LyB": None, "LLC": None, "LF": None, "LM": None, "LZMG": None,
    "SS": None, "Er": "ERB", "Thromb": "PLATELET", "Lysee": None,
}  # fmt: skip
"""The 23 CytologIA classes and the code each maps to; None where no code of ours fits (lymphomas, lysed cells)."""


DIAGNOSES: dict[int, str] = {0: "reactive", 1: "malignant"}
"""Labels of the lymphocytosis challenge."""

_OTHER_COLORS = {**DETECTION_COLORS, "reactive": "#117733", "malignant": "#882255"}


def cell_color(code: str) -> str:
    """Return the hex colour of a cell type, CytologIA class, detection class or diagnosis; grey for an unknown one."""
    if code in _OTHER_COLORS:
        return _OTHER_COLORS[code]
    known = code if code in CELL_TYPES else CYTOLOGIA_CODES.get(code)
    return CELL_TYPES[known].color if known else "#777777"


def cell_name(code: str) -> str:
    """Return the full name of a code, or the code itself where it has none."""
    return CELL_TYPES[code].name if code in CELL_TYPES else code


def in_lineage_order(codes) -> list[str]:
    """Sort codes by lineage, CytologIA's beside their equivalents; unknown codes follow in alphabetical order."""
    known = {code: position for position, code in enumerate((*LINEAGE_ORDER, *_OTHER_COLORS))}

    def place(code: str) -> tuple[int, str]:
        return known.get(code, known.get(CYTOLOGIA_CODES.get(code), len(known))), str(code)

    return sorted(set(codes), key=place)
