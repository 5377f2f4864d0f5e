"""Measure many image files: decode, segment, extract features; in parallel, and never twice the same content."""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed, parallel_config

from wbc_utils import repro
from wbc_utils.data.images import ImageError, open_image
from wbc_utils.images.cytoplasm import TAVAKOLI_FEATURES, extract_tavakoli
from wbc_utils.images.features import FEATURES, FEATURES_VERSION, FeatureError, extract
from wbc_utils.images.measurements import Measurement, read_measurements, write_measurements
from wbc_utils.images.segment import segment

FEATURE_SETS = {"handcrafted": (FEATURES, extract), "tavakoli": (TAVAKOLI_FEATURES, extract_tavakoli)}
"""Features and extractor of each set that `extract_files` measures."""

_BATCH = 64  # images a task


@dataclass(frozen=True, eq=False)
class FeatureFrame:
    """Features of n image files, in the order in which they were asked for.

    Attributes
    ----------
    values
        One row a file, one column a feature. NaN throughout where the file cannot be read or has no nucleus.
    files
        ``path``, ``ok`` (image and segmentation are good), ``reason`` (why not, else empty). A row that is not ok has
        values all the same where the doubtful masks allow it.
    """

    values: pd.DataFrame
    files: pd.DataFrame

    @property
    def measured(self) -> np.ndarray:
        """Which files have values, (n,) bool."""
        return self.values.notna().all(axis=1).to_numpy()


def extract_files(
    paths: Iterable[Path | str],
    cache: Path | None = None,
    workers: int | None = None,
    feature_set: str = "handcrafted",
) -> FeatureFrame:
    """Measure the features of image files.

    A file that cannot be read or measured becomes a row with its reason; the others are not affected. The result does
    not depend on the number of processes.

    Parameters
    ----------
    paths
        Image files, each with one cell in the middle.
    cache
        File (``.npz``) that keeps the measurements by content. Entries are used while the bytes of the image, the code
        in `wbc_utils.images` and the libraries behind it are the same; new ones are added, also when the run is
        interrupted.
    workers
        Number of processes, each with one thread; by default one a core usable by this process.
    feature_set
        A key of `FEATURE_SETS`.

    Raises
    ------
    ValueError
        If the feature set is not known.
    OSError
        If the cache cannot be written.
    """
    if feature_set not in FEATURE_SETS:
        raise ValueError(f"unknown feature set {feature_set!r}; allowed are {', '.join(FEATURE_SETS)}")
    features, _ = FEATURE_SETS[feature_set]
    files = [Path(path) for path in paths]
    contents = [_content(path) for path in files]
    key = _key(feature_set)
    known = read_measurements(cache, key, len(features)) if cache else {}
    missing = {content: path for content, path in zip(contents, files, strict=True) if content not in known}
    if missing:
        try:
            for content, measurement in _measure_all(missing, workers or cpu_count(), feature_set):
                known[content] = measurement
        finally:
            if cache and (kept := {content: row for content, row in known.items() if ":" not in content}):
                write_measurements(cache, key, kept)
    return _frame(files, [known[content] for content in contents], [feature.name for feature in features])


def _content(path: Path) -> str:
    """Return the SHA-256 of a file, or a key that is never cached if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return f"unreadable:{path}"


def _key(feature_set: str) -> str:
    """Return what identifies the code that measures."""
    versions = repro.versions()
    libraries = [f"{name} {versions[name]}" for name in ("numpy", "scipy", "scikit-image", "pillow")]
    source = repro.code_digest(__name__)
    return " · ".join([feature_set, f"version {FEATURES_VERSION}", source, *libraries])


def _measure_all(missing: dict[str, Path], workers: int, feature_set: str):
    """Yield content and measurement of each file, in order, as batches are finished."""
    contents, files = list(missing), list(missing.values())
    batches = [files[start : start + _BATCH] for start in range(0, len(files), _BATCH)]
    done = 0
    with parallel_config("loky", inner_max_num_threads=1):
        pool = Parallel(n_jobs=min(workers, len(batches)), return_as="generator")
        for measured in pool(delayed(_measure_batch)(batch, feature_set) for batch in batches):
            yield from zip(contents[done : done + len(measured)], measured, strict=True)
            done += len(measured)
            repro.progress(f"{feature_set} features: {done} of {len(files)} images")


def _measure_batch(files: list[Path], feature_set: str) -> list[Measurement]:
    return [_measure(path, feature_set) for path in files]


def _measure(path: Path, feature_set: str) -> Measurement:
    features, extractor = FEATURE_SETS[feature_set]
    nothing = np.full(len(features), np.nan)
    try:
        image = open_image(path)
    except ImageError as error:
        return Measurement(nothing, False, error.reason)
    segmentation = segment(image)
    try:
        return Measurement(extractor(image, segmentation), segmentation.ok, segmentation.reason or "")
    except FeatureError as error:
        return Measurement(nothing, False, segmentation.reason or error.reason)


def _frame(files: list[Path], rows: list[Measurement], names: list[str]) -> FeatureFrame:
    values = np.stack([values for values, _, _ in rows]) if rows else np.empty((0, len(names)))
    table = {
        "path": [str(path) for path in files],
        "ok": [row.ok for row in rows],
        "reason": [row.reason for row in rows],
    }
    return FeatureFrame(pd.DataFrame(values, columns=names), pd.DataFrame(table).astype({"ok": bool}))


def images_per_second(paths: Iterable[Path | str]) -> float:
    """Measure how many images a second one core decodes, segments and measures, without a cache."""
    files = [Path(path) for path in paths]
    started = time.perf_counter()
    for path in files:
        _measure(path, "handcrafted")
    return len(files) / (time.perf_counter() - started)
