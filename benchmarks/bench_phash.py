"""Speed of fingerprinting images: eight-orientation hashes from one transform against eight calls of imagehash.

Usage: python benchmarks/bench_phash.py [FOLDER]

Without a folder of images, 400 JPEG files of 160 × 160 pixels are drawn in a temporary folder. Both sides decode each
file once on one core; ours also takes the exact digest and the thumbnail. Nothing is written into the project.
"""

import sys
import tempfile
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from sheet import Sheet, take_turns

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


def compare(sheet: Sheet, paths: list[Path]) -> None:
    """Time both sides on one core, and ours on all."""
    ours, theirs, all_cores = take_turns(
        lambda: fingerprint(paths, threads=1), lambda: peer(paths), lambda: fingerprint(paths), repeats=REPEATS
    )
    sheet.ratio("fingerprint, 8 orientations, one core", ours, theirs, peer="imagehash.phash, 8 calls")
    sheet.line("fingerprint, 8 orientations, one core", [len(paths) / value for value in ours], "images/s", "≥ 400")
    sheet.line("imagehash.phash, 8 calls, one core", [len(paths) / value for value in theirs], "images/s")
    sheet.line("fingerprint, all cores", [len(paths) / value for value in all_cores], "images/s")


def search(sheet: Sheet) -> None:
    """Time the comparison of all pairs."""
    hashes = np.random.default_rng(0).integers(0, 2**64, (PAIRED, ORIENTATIONS), dtype=np.uint64)
    [times] = take_turns(lambda: near_pairs(hashes, 12), repeats=3)
    sheet.line(f"near_pairs, {PAIRED} images, all orientations", times, "s")


def main() -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as temporary:
        if len(sys.argv) > 1:
            folder = Path(sys.argv[1])
            paths = [folder / name for name in find_images(folder)[:MOST]]
            if not paths:
                sys.exit(f"{folder} holds no images")
        else:
            paths = draw_images(Path(temporary))
        packages = ("numpy", "scipy", "pillow", "imagehash")
        with Sheet("phash", "fingerprints of images and the search for near duplicates", packages) as sheet:
            sheet.note(f"{len(paths)} images, {REPEATS} repeats")
            compare(sheet, paths)
            search(sheet)


if __name__ == "__main__":
    main()
