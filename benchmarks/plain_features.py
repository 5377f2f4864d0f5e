"""The 89 features, cell by cell, in plain scikit-image: what one would write first.

The benchmark measures against it and the tests compare every number with it. It works on the bounding box of the cell.
Co-occurrence is restricted to the cell by an extra grey level for the outside. Local binary patterns compare a pixel
with its eight neighbours: ``local_binary_pattern`` interpolates the diagonal ones, so rounding decides in flat areas.
"""

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2hsv
from skimage.feature import graycomatrix, graycoprops
from skimage.measure import label, regionprops
from skimage.util import view_as_windows

LEVELS = 32
ANGLES = (0, 3 * np.pi / 4, np.pi / 2, np.pi / 4)  # 0°, 45°, 90°, 135°; scikit-image turns clockwise
PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")


def plain_features(image: np.ndarray, nucleus: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Return the 89 features in the order of ``wbc_utils.images.catalogue.FEATURES``."""
    area = cell.size
    region = regionprops(cell.astype(np.uint8))[0]
    inner = regionprops(nucleus.astype(np.uint8))[0]
    crop = image[region.slice]
    return np.concatenate(
        [
            outline(region, area),
            outline(inner, area),
            [np.sign(h) * np.log10(1 + abs(h) / 1e-12) for h in inner.moments_hu],
            nucleus_features(inner, region),
            colors(crop, nucleus[region.slice], region.image),
            textures(crop, region.image, max(1, int(area**0.5 / 160 + 0.5))),
        ]
    )


def outline(region, image_area: int) -> list[float]:
    """Area, perimeter, circularity, eccentricity, solidity, extent."""
    perimeter = region.perimeter_crofton
    return [
        region.area / image_area,
        perimeter / image_area**0.5,
        4 * np.pi * region.area / perimeter**2,
        region.eccentricity,
        region.solidity,
        region.extent,
    ]


def nucleus_features(inner, region) -> list[float]:
    """Thickness, lobes, N:C ratio, offset."""
    depth = ndimage.distance_transform_edt(np.pad(inner.image, 1))
    thickest = depth.max()
    lobes = 0
    for k in range(1, 7):
        pieces = label(depth >= thickest * 0.75**k, connectivity=2)
        lasting = pieces[depth >= thickest * 0.75 ** (k - 1)]
        lobes = max(lobes, len(np.unique(lasting)))
    away = np.hypot(*np.subtract(inner.centroid, region.centroid))
    return [
        2 * thickest / inner.equivalent_diameter_area,
        lobes,
        inner.area / region.area,
        away / region.equivalent_diameter_area,
    ]


def colors(crop: np.ndarray, nucleus: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of RGB and HSV in cell, nucleus and cytoplasm."""
    hsv = rgb2hsv(crop)
    hsv[..., 0] = (hsv[..., 0] - 1 / 3) % 1
    channels = np.concatenate([crop / 255, hsv], axis=2)
    cytoplasm = cell & ~nucleus
    found = []
    for mask in (cell, nucleus, cytoplasm):
        if mask.any():
            found += [channels[mask].mean(axis=0), channels[mask].std(axis=0)]
        else:
            found += [channels[nucleus].mean(axis=0), np.zeros(6)]
    return np.concatenate(found)


def textures(crop: np.ndarray, cell: np.ndarray, step: int) -> np.ndarray:
    """Properties of the co-occurrence matrices, histogram of the local binary patterns."""
    grey = np.array(Image.fromarray(crop).convert("L"))
    levels = np.where(cell, grey // (256 // LEVELS), LEVELS)
    shift = [step if angle in (0, np.pi / 2) else step * 2**0.5 for angle in ANGLES]
    matrices = [
        graycomatrix(levels, [distance], [angle], LEVELS + 1, symmetric=True)[:LEVELS, :LEVELS]
        for distance, angle in zip(shift, ANGLES, strict=True)
    ]
    matrix = np.concatenate(matrices, axis=3)
    glcm = np.concatenate([graycoprops(matrix, name)[0] for name in PROPERTIES])
    return np.concatenate([glcm, binary_patterns(grey, cell, step)])


def binary_patterns(grey: np.ndarray, cell: np.ndarray, step: int) -> np.ndarray:
    """Histogram of the uniform patterns of pixels whose neighbours all lie in the cell."""
    side = 2 * step + 1
    around = view_as_windows(grey, (side, side))[..., ::step, ::step].reshape(-1, 9)
    inside = view_as_windows(cell, (side, side))[..., ::step, ::step].all(axis=(2, 3)).ravel()
    around = around[inside]
    ring = around[:, [5, 2, 1, 0, 3, 6, 7, 8]] >= around[:, [4]]
    changes = (ring != np.roll(ring, 1, axis=1)).sum(axis=1)
    bins = np.where(changes <= 2, ring.sum(axis=1), 9)
    return np.bincount(bins, minlength=10) / len(bins)
