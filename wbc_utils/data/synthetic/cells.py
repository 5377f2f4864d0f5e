"""Draw one cell: its outline, nucleus, chromatin, cytoplasm and granules, as optical densities on a small patch."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from wbc_utils.data.synthetic.morphology import INKS, Morphology

_DENSITY = {name: -np.log(np.array(ink, np.float32)) for name, ink in INKS.items()}


@dataclass(frozen=True)
class Patch:
    """A stained cell on its own patch.

    Attributes
    ----------
    stain
        Optical density per channel, float32, shape (h, w, 3).
    cover
        How far the cell hides what lies under it, 0 to 1, shape (h, w).
    cell, nucleus
        Boolean masks, shape (h, w).
    """

    stain: np.ndarray
    cover: np.ndarray
    cell: np.ndarray
    nucleus: np.ndarray


def texture(shape: tuple[int, int], sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Return smooth noise with mean 0 and standard deviation 1, its grain `sigma` pixels wide."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="wrap", truncate=3)
    return (noise - noise.mean()) / noise.std()


def dots(shape: tuple[int, int], count: float, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Return round dots of height 1, `count` a pixel on average and `radius` pixels wide, shape as asked."""
    seeds = (rng.random(shape, dtype=np.float32) < count).astype(np.float32)
    return np.minimum(ndimage.gaussian_filter(seeds, radius, mode="constant", truncate=3) * 2 * np.pi * radius**2, 1)


def outline(angle: np.ndarray, irregularity: float, rng: np.random.Generator) -> np.ndarray:
    """Return the relative radius of an uneven round outline at each angle (radians): 1 plus harmonics 2 to 6."""
    turns = np.linspace(-np.pi, np.pi, 2048, dtype=np.float32)
    radius = np.ones_like(turns)
    for order in range(2, 7):
        radius += rng.normal(0, irregularity / (order - 1) ** 0.7) * np.cos(order * turns + rng.uniform(0, 2 * np.pi))
    nearest = np.rint((angle + np.float32(np.pi)) * np.float32(2047 / (2 * np.pi))).astype(np.intp)
    return np.clip(radius, 0.6, 1.4)[np.clip(nearest, 0, 2047)]


def _grid(radius: float, scale: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates in micrometres on a patch around the origin, which lies anywhere in the middle pixel."""
    half = int(np.ceil(radius * scale)) + 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    shift_y, shift_x = rng.uniform(-0.5, 0.5, 2).astype(np.float32)
    return (y + shift_y) / np.float32(scale), (x + shift_x) / np.float32(scale)


def red_cell(diameter: float, scale: float, pallor: float, rim: float, rng: np.random.Generator):
    """Draw the thickness of one red cell.

    Parameters
    ----------
    diameter, scale
        Micrometres, and pixels per micrometre.
    pallor, rim
        See `wbc_utils.data.synthetic.looks.Look`.

    Returns
    -------
    thickness, mask
        float32 (about 1 in the thick part) and bool, both (h, w).
    """
    radius = diameter / 2
    y, x = _grid(1.45 * radius, scale, rng)
    turn, stretch = rng.uniform(0, np.pi), rng.normal(1, 0.07)
    cos, sin = math.cos(turn), math.sin(turn)
    along, across = (cos * x + sin * y) * stretch, (cos * y - sin * x) / stretch
    r = np.hypot(along, across) / (radius * outline(np.arctan2(across, along), 0.022, rng))
    centre = pallor * rng.uniform(0.3, 1.2) / (1 + np.exp((r - rng.uniform(0.38, 0.56)) / 0.08))
    profile = 1 - np.clip(centre, 0, 0.95) + rim * np.exp(-(((r - 0.90) / 0.07) ** 2))
    thickness = profile * np.clip((1 - r) * radius * scale + 0.5, 0, 1) * rng.uniform(0.88, 1.12)
    return thickness.astype(np.float32), r < 1


def _chain(cell: Morphology, rng: np.random.Generator) -> np.ndarray:
    """Return the discs of the nucleus, one (x, y, radius) in fractions of the cell's radius a row."""
    if cell.lobes == 1:
        bend = cell.span * np.array([-1, 0, 1]) / 2
        along = cell.spread * np.array([-1, 0, 1])
        nodes = np.stack([along, along * np.sin(bend), np.full(3, cell.lobe)], axis=1)
    else:
        at = np.linspace(-0.5, 0.5, 2 * cell.lobes - 1) * cell.span
        at[::2] += rng.normal(0, 0.05, cell.lobes) * cell.span / cell.lobes
        reach = cell.spread * rng.normal(1, 0.07, len(at))
        radius = cell.lobe * rng.normal(1, 0.08, len(at))
        radius[1::2] *= cell.waist
        nodes = np.stack([reach * np.cos(at), reach * np.sin(at), radius], axis=1)
        nodes[:, 0] -= nodes[:, 0].mean()
    turn = rng.uniform(0, 2 * np.pi)
    nodes[:, :2] = nodes[:, :2] @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    away = rng.uniform(0, 2 * np.pi)
    nodes[:, :2] += cell.offset * np.array([np.cos(away), np.sin(away)])
    return nodes


def _depth(nodes: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return how deep each point lies inside a chain of discs joined by cones; negative outside."""
    nodes = nodes.astype(np.float32)
    start, step = nodes[:-1, None, None], np.diff(nodes, axis=0)[:, None, None]
    dx, dy = x - start[..., 0], y - start[..., 1]
    length = np.maximum(step[..., 0] ** 2 + step[..., 1] ** 2, 1e-6)
    along = np.clip((dx * step[..., 0] + dy * step[..., 1]) / length, 0, 1)
    distance = np.hypot(dx - along * step[..., 0], dy - along * step[..., 1])
    return (start[..., 2] + along * step[..., 2] - distance).max(axis=0)


def _nucleus_density(cell: Morphology, depth: np.ndarray, middle, y, x, scale: float, rng) -> np.ndarray:
    """Return the relative density of chromatin: clumps, a darker membrane, paler nucleoli."""
    chromatin = 1 + cell.contrast * texture(depth.shape, max(cell.clump * scale / 2, 0.6), rng)
    chromatin += 0.15 * np.exp(-np.maximum(depth, 0) / 0.25)
    for _ in range(cell.nucleoli):
        at_x, at_y = middle + rng.normal(0, 0.18 * cell.diameter / 2, 2).astype(np.float32)
        chromatin -= 0.32 * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * 0.75**2))
    return cell.density * np.clip(chromatin, 0.35, 1.6)


def _cytoplasm_density(cell: Morphology, depth: np.ndarray, middle, y, x, scale: float, rng) -> np.ndarray:
    """Return the relative density of the cytoplasm: frosting, vacuoles, the darker edge, the pale hof."""
    cytoplasm = 1 + (0.22 if cell.frosted else 0.07) * texture(depth.shape, max(0.3 * scale, 0.6), rng)
    cytoplasm += cell.edge * np.exp(-np.maximum(depth, 0) / 0.6)
    if cell.vacuolated:
        cytoplasm *= 1 - 0.85 * dots(depth.shape, 0.10 / scale**2, 0.55 * scale, rng)
    if cell.hof:
        beside = middle * 0.25
        cytoplasm *= 1 - cell.hof * np.exp(-((x - beside[0]) ** 2 + (y - beside[1]) ** 2) / (2 * 1.5**2))
    return np.clip(cytoplasm, 0.05, 2.5)


def stained_cell(cell: Morphology, scale: float, rng: np.random.Generator) -> Patch:
    """Draw one white cell, erythroblast or platelet.

    Parameters
    ----------
    cell
        What to draw, from `wbc_utils.data.synthetic.morphology.sample`.
    scale
        Pixels per micrometre.
    """
    radius = cell.diameter / 2
    y, x = _grid(1.42 * radius, scale, rng)
    depth = radius * outline(np.arctan2(y, x), cell.irregularity, rng) - np.hypot(x, y)
    cover = np.clip(depth * scale + 0.5, 0, 1)
    if cell.lobes:
        nodes = radius * _chain(cell, rng)
        inner = ndimage.gaussian_filter(_depth(nodes, y, x), 0.28 * scale, truncate=3)
        inner += 0.13 * texture(depth.shape, 0.7 * scale, rng)
        inner = np.minimum(inner, depth - 0.18)
        middle = nodes[:, :2].mean(axis=0).astype(np.float32)
    else:
        inner, middle = np.full_like(depth, -1), np.zeros(2, np.float32)
    nucleus = np.clip(inner * scale + 0.5, 0, 1)
    plasma = _cytoplasm_density(cell, depth, middle, y, x, scale, rng) * cover * (1 - nucleus)
    stain = plasma[..., None] * _DENSITY[cell.cytoplasm]
    if cell.lobes:
        chromatin = _nucleus_density(cell, inner, middle, y, x, scale, rng) * nucleus
        stain += chromatin[..., None] * _DENSITY["nucleus"]
    if cell.granules:
        grains = dots(depth.shape, cell.granule_count / scale**2, cell.granule_size * scale, rng)
        grains *= cover * np.where(nucleus > 0.5, cell.over_nucleus, 1) * np.clip(depth / 0.4, 0.2, 1)
        ink = _DENSITY[cell.granules] * (1.0 if cell.lobes else 0.8)
        stain = np.maximum(stain, 0) + grains[..., None] * np.maximum(ink - 0.6 * stain, 0)
    return Patch(stain.astype(np.float32), cover.astype(np.float32), depth > 0, inner > 0)
