"""From the files of patients to a cohort: every cell decoded, measured and embedded once, what cannot be is counted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from wbc_utils import predict, repro
from wbc_utils.data.pixels import Pixels, load_pixels
from wbc_utils.images.extraction import FeatureFrame, extract_files
from wbc_utils.models import ModelError
from wbc_utils.models.backbones import CellClassifier
from wbc_utils.models.cohort import Cohort


@dataclass(frozen=True, eq=False)
class Intake:
    """The cells of n patients, one row an image in the order of the patients' ``paths``.

    Attributes
    ----------
    table
        Patients, as `wbc_utils.data.patients.read_lymph` returns them.
    pixels
        Every image as a network sees it.
    features
        The 89 handmade features of every image.
    """

    table: pd.DataFrame
    pixels: Pixels
    features: FeatureFrame

    @classmethod
    def of(cls, table: pd.DataFrame, folder: Path, image_px: int, field_px: float, work: Path) -> "Intake":
        """Decode and measure the images of patients.

        Parameters
        ----------
        folder
            Of the data set.
        image_px, field_px
            Side of what a network sees, and of the field that it shows in pixels of the files.
        work
            Where arrays and features are kept; may be deleted.
        """
        files = [folder / path for paths in table["paths"] for path in paths]
        pixels = load_pixels(files, image_px, field_px, work / "pixels")
        return cls(table, pixels, extract_files(files, cache=work / "features.npz"))

    @property
    def owner(self) -> np.ndarray:
        """Row of the patient of each image, (m,)."""
        return np.repeat(np.arange(len(self.table)), self.table["paths"].map(len))

    @property
    def handmade(self) -> np.ndarray:
        """Features of each image, (m, 89); NaN where the outline of the cell cannot be trusted."""
        trusted = self.features.files["ok"].to_numpy() & self.pixels.readable
        return np.where(trusted[:, None], self.features.values.to_numpy(), np.nan)

    @property
    def unreadable(self) -> int:
        """Number of images that could not be decoded; they are in no bag."""
        return int((~self.pixels.readable).sum())

    def complete(self) -> "Intake":
        """Return the patients that have a readable cell and one whose outline can be trusted."""
        whole = np.unique(self.owner[~np.isnan(self.handmade).any(axis=1)])
        if len(whole) == len(self.table):
            return self
        rows = np.flatnonzero(np.isin(self.owner, whole))
        pixels = Pixels(self.pixels.images[rows], self.pixels.reasons[rows], f"{self.pixels.digest} {whole.tolist()}")
        features = FeatureFrame(
            self.features.values.iloc[rows].reset_index(drop=True),
            self.features.files.iloc[rows].reset_index(drop=True),
        )
        return Intake(self.table.iloc[whole].reset_index(drop=True), pixels, features)

    def cohort(self, images: np.ndarray) -> Cohort:
        """Return the patients with images or embeddings, (m, …).

        Raises
        ------
        wbc_utils.models.ModelError
            As `wbc_utils.models.cohort.Cohort.of`.
        """
        return Cohort.of(self.table, images, self.handmade, self.pixels.readable)


def embed(model: CellClassifier, pixels: Pixels, device: str, folder: Path) -> np.ndarray:
    """Return what a frozen network sees in each image, or saw before, float32 (m, d).

    Parameters
    ----------
    folder
        Where embeddings are kept by images, weights and code; may be deleted.

    Raises
    ------
    wbc_utils.models.ModelError
        As `wbc_utils.predict.embeddings`, or if an embedding is not finite.
    """
    weights = [value.detach().cpu().numpy().tobytes() for value in model.state_dict().values()]
    head = f"{pixels.digest} {model.architecture} {repro.code_digest(__name__)} {repro.versions()['torch']} {device}"
    kept = folder / f"{repro.digest_bytes(head.encode(), *weights)[:16]}.npy"
    if not kept.is_file():
        found = predict.embeddings(model, pixels.images, device=device)
        if broken := int((~np.isfinite(found)).any(axis=1).sum()):
            raise ModelError(f"{broken} of {len(found)} embeddings are not finite: the network's weights are damaged")
        folder.mkdir(parents=True, exist_ok=True)
        np.save(kept, found)
    return np.load(kept)
