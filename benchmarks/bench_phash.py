"""Speed of fingerprinting images: eight-orientation hashes from one transform against eight calls of imagehash.

Usage: python benchmarks/bench_phash.py [FOLDER]

Without a folder of images, 400 JPEG files of 160 × 160 pixels are drawn in a temporary folder. Both sides decode each
file once on one core; ours also takes the exact digest and the thumbnail. The sides take turns, and the ratio is that
of neighbouring runs. Nothing is written into the project.
"""

import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from wbc_utils import repro
from wbc_utils.data.fingerprints import ORIENTATIONS, fingerprint, orient
from wbc_utils.data.images import find_images, open_image
from wbc_utils.data.similarity import near_pairs

DRAWN = 400
SIDE = 160
REPEATS = 7
MOST = 2000  # images taken from a folder
PAIRED = 10_261  # images of the reduced Barcelona data set


def draw_images(folder: Path) -> list[Path]:
    """Draw the synthetic JPEG files."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:03}.jpg" for number in range(DRAWN)]
    for path in paths:
        field = gaussian_filter(rng.normal(size=(SIDE, SIDE, 3)), (3, 3, 0))
        Image.fromarray(np.clip(180 + 300 * field, 0, 255).astype(np.uint8)).save(path, quality=85)
    return paths


def peer(paths: list[Path]) -> None:
    """Hash every orientation with imagehash."""
    for path in paths:
        image = open_image(path)
        for orientation in range(ORIENTATIONS):
            imagehash.phash(Image.fromarray(np.ascontiguousarray(orient(image, orientation))))


def seconds(function, *arguments) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def line(name: str, values: list[float], unit: str) -> None:
    """Print one measurement."""
    print(f"{name:<44} {statistics.median(values):9.2f} {unit}  (range {min(values):.2f}–{max(values):.2f})")


def compare(paths: list[Path]) -> None:
    """Time both sides in turns."""
    fingerprint(paths[:50], threads=1)  # warm file cache and imports
    peer(paths[:50])
    ours, theirs = [], []
    for _ in range(REPEATS):
        ours.append(seconds(fingerprint, paths, 1))
        theirs.append(seconds(peer, paths))
    line("fingerprint, 8 orientations, one core", [len(paths) / value for value in ours], "images/s")
    line("imagehash.phash, 8 calls, one core", [len(paths) / value for value in theirs], "images/s")
    line("ratio", [their / our for our, their in zip(ours, theirs, strict=True)], "×")
    line("fingerprint, all cores", [len(paths) / seconds(fingerprint, paths) for _ in range(REPEATS)], "images/s")


def search() -> None:
    """Time the comparison of all pairs."""
    hashes = np.random.default_rng(0).integers(0, 2**64, (PAIRED, ORIENTATIONS), dtype=np.uint64)
    name = f"near_pairs, {PAIRED} images, all orientations"
    line(name, [seconds(near_pairs, hashes, 12) for _ in range(3)], "s")


def main() -> None:
    """Run the benchmark."""
    machine, versions = repro.hardware(), repro.versions()
    print(f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}")
    print(", ".join(f"{name} {versions[name]}" for name in ("python", "numpy", "scipy", "pillow")), end=", ")
    print(f"imagehash {imagehash.__version__}")
    with tempfile.TemporaryDirectory() as temporary:
        if len(sys.argv) > 1:
            folder = Path(sys.argv[1])
            paths = [folder / name for name in find_images(folder)[:MOST]]
            if not paths:
                sys.exit(f"{folder} holds no images")
        else:
            paths = draw_images(Path(temporary))
        print(f"{len(paths)} images, {REPEATS} repeats; median and range")
        compare(paths)
    search()
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
