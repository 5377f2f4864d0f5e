"""Maps of embeddings in two dimensions by t-SNE, and new points laid onto them."""

import numpy as np
from openTSNE import TSNE, TSNEEmbedding

from wbc_utils.models import ModelError


def tsne(embeddings: np.ndarray, perplexity: float, seed: int, jobs: int = 1) -> TSNEEmbedding:
    """Return a map that is the same in every run: PCA start, fixed seed (Kobak & Berens 2019).

    Parameters
    ----------
    embeddings
        One row an item, (n, d).
    perplexity
        About the number of neighbours that count; under a third of n.
    seed
        Of the search for neighbours and of the start.
    jobs
        Threads; the map does not depend on them.

    Returns
    -------
    openTSNE.TSNEEmbedding
        An array (n, 2) that `add` can lay new points onto.

    Raises
    ------
    ModelError
        If there are too few items for the perplexity, or a value is not finite.

    References
    ----------
    L. van der Maaten, G. Hinton (2008), *Visualizing Data using t-SNE*. D. Kobak, P. Berens (2019), *The art of using
    t-SNE for single-cell transcriptomics*. P. Poličar et al. (2024), *openTSNE*.
    """
    embeddings = np.asarray(embeddings, dtype=float)
    if not np.isfinite(embeddings).all():
        raise ModelError(f"{(~np.isfinite(embeddings)).any(axis=1).sum()} of {len(embeddings)} rows are not finite")
    if not 0 < 3 * perplexity < len(embeddings):
        raise ModelError(f"a perplexity of {perplexity} for {len(embeddings)} items; give less than a third of them")
    search = "exact" if len(embeddings) < 20_000 else "approx"
    return TSNE(perplexity=perplexity, initialization="pca", neighbors=search, random_state=seed, n_jobs=jobs).fit(
        embeddings
    )


def add(drawn: TSNEEmbedding, embeddings: np.ndarray) -> np.ndarray:
    """Return the places of new items on a finished map, which does not move, (m, 2).

    Raises
    ------
    ModelError
        If the new items have another number of dimensions than those of the map.
    """
    embeddings = np.asarray(embeddings, dtype=float)
    known = drawn.affinities.knn_index.data.shape[1]
    if embeddings.ndim != 2 or embeddings.shape[1] != known:
        raise ModelError(f"new items of shape {embeddings.shape} do not fit a map of items with {known} numbers each")
    before = np.asarray(drawn).copy()
    placed = np.asarray(drawn.transform(embeddings))
    shift = (np.asarray(drawn) - before).mean(axis=0)  # openTSNE 1.0 centres map and new items anew, in place
    drawn[:] = before
    return placed - shift
