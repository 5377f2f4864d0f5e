"""How a laboratory's pictures look: slide colour, stain, lens and camera.

Light is absorbed as Beer and Lambert say: a pixel is ``background · exp(-optical density)``, and what lies on top of
something else adds its density.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Look:
    """One laboratory's slide, stain, lens and camera.

    Attributes
    ----------
    background, red_cell
        RGB (0 to 255) of the empty slide and of the thick part of a red cell.
    stain
        Factor on the optical density of the white-cell stain, per channel.
    pallor
        Depth of the pale centre of red cells: 0 none, 1 as light as the slide.
    rim
        Extra density of the edge of red cells.
    blur
        Standard deviation of the lens blur in micrometres.
    noise
        Standard deviation of the sensor noise in grey levels.
    """

    background: tuple[float, float, float]
    red_cell: tuple[float, float, float]
    stain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    pallor: float = 0.7
    rim: float = 0.0
    blur: float = 0.1
    noise: float = 2.0

    @property
    def red_density(self) -> np.ndarray:
        """Optical density per channel of the thick part of a red cell, shape (3,)."""
        return np.log(np.asarray(self.background, np.float32) / np.asarray(self.red_cell, np.float32))

    def varied(self, rng: np.random.Generator, strength: float = 1.0) -> "Look":
        """Return this look as the next slide would have it: lamp, staining time and thickness differ a little."""
        lamp = rng.normal(1, 0.025 * strength) * rng.normal(1, 0.007 * strength, 3)
        background = np.minimum(np.array(self.background) * lamp, 255)
        thickness = np.exp(-self.red_density * np.clip(rng.normal(1, 0.15 * strength), 0.5, 1.5))
        stain = np.array(self.stain) * rng.normal(1, 0.06 * strength) * rng.normal(1, 0.05 * strength, 3)
        pallor = float(np.clip(self.pallor * rng.normal(1, 0.2 * strength), 0, 1))
        return replace(
            self,
            background=tuple(background),
            red_cell=tuple(background * thickness),
            stain=tuple(stain),
            pallor=pallor,
        )


LOOKS: dict[str, Look] = {
    "pbc": Look((253, 231, 206), (198, 168, 160), pallor=0.9, blur=0.08),
    "lymph": Look((250, 231, 210), (184, 162, 160), (0.84, 0.95, 0.92), pallor=0.75, blur=0.08, noise=2.5),
    "cbc": Look((204, 212, 204), (178, 140, 130), (0.62, 0.60, 0.12), pallor=0.7, rim=0.45, blur=0.17, noise=1.5),
    "bcd": Look((196, 236, 218), (190, 92, 120), (0.95, 0.85, 0.75), pallor=0.35, blur=0.16, noise=2.0),
    "segwbc-white": Look((255, 252, 252), (250, 232, 226), (1.05, 1.15, 0.75), pallor=0.9, blur=0.2, noise=1.0),
    "segwbc-yellow": Look((248, 238, 120), (240, 220, 108), (0.5, 1.0, 0.5), pallor=0.9, blur=0.2, noise=2.0),
    "wbcbench": Look((235, 222, 226), (205, 158, 160), (0.95, 1.0, 0.9), pallor=0.65, blur=0.12, noise=3.0),
    "cytologia": Look((242, 232, 226), (212, 166, 156), (1.0, 0.95, 0.85), pallor=0.6, blur=0.12, noise=2.5),
}
"""The looks that the miniature data sets imitate."""


@lru_cache(maxsize=16)
def _axes(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and column of each pixel scaled to -1 … 1, shapes (H, 1) and (1, W)."""
    height, width = shape
    return np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]


def _illumination(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return the light that reaches each pixel: a slight gradient and a vignette, about 1, shape (H, W)."""
    y, x = _axes(shape)
    slope_y, slope_x = rng.normal(0, 0.012, 2).astype(np.float32)
    return 1 + slope_y * y + slope_x * x - rng.uniform(0.0, 0.035) * (x * x + y * y)


def expose(red: np.ndarray, stain: np.ndarray, look: Look, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Turn densities into a picture.

    Parameters
    ----------
    red
        Thickness of red cells, 1 where they are thick, shape (H, W).
    stain
        Optical density of stained cells per channel before the look's own factors, shape (H, W, 3).
    look, scale
        The laboratory, and pixels per micrometre.

    Returns
    -------
    numpy.ndarray
        RGB picture, uint8, shape (H, W, 3).
    """
    density = red[..., None] * look.red_density + stain * np.asarray(look.stain, np.float32)
    density = ndimage.gaussian_filter(density, (look.blur * scale, look.blur * scale, 0), truncate=3)
    picture = np.asarray(look.background, np.float32) * np.exp(-density)
    picture *= _illumination(red.shape, rng)[..., None]
    picture += look.noise * rng.standard_normal(picture.shape, dtype=np.float32)
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)
