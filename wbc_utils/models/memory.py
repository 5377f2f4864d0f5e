"""Fits remembered on disk: the same cells, settings and code are not fitted twice."""

from pathlib import Path

from joblib import Memory

from wbc_utils import repro

FITTING = tuple(f"wbc_utils.models.{name}" for name in ("validation", "attribution", "leakage"))
"""Modules whose functions are worth remembering."""


def memory(folder: Path) -> Memory:
    """Return a store of results under a folder.

    ``memory(folder).cache(function, ignore=["jobs"])`` is the function with its results remembered by the content of
    all other arguments. Results of another version of the modules of `FITTING` and all that they import, or of
    other libraries, are never used: each combination has a sub-folder of its own. Seconds in a remembered result are
    those of its first fit.

    Parameters
    ----------
    folder
        Made if missing; may be deleted at any time.
    """
    versions = repro.versions()
    libraries = [versions[name] for name in ("python", "numpy", "scikit-learn", "imbalanced-learn")]
    key = repro.digest_bytes(repro.code_digest(*FITTING).encode(), *(text.encode() for text in libraries))
    return Memory(folder / key[:16], verbose=0)
