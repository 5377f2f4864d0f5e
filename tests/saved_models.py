"""A saved pipeline and a saved panel with random weights, and the patients that a panel can be asked about."""

import numpy as np
import pandas as pd
import torch
from detector_models import ABOUT, tiny

from wbc_utils import panel, pipeline_files
from wbc_utils.data.synthetic.fields import draw_field
from wbc_utils.data.synthetic.writing import put, put_jpeg
from wbc_utils.images.features import FEATURES
from wbc_utils.lymphocytosis import Diagnoser, MixtureRecipe, untrained
from wbc_utils.manifest import Metric
from wbc_utils.models.backbones import build
from wbc_utils.models.cohort import Scale
from wbc_utils.sightings import Settings
from wbc_utils.two_stage import TwoStage

TYPES = ("EO", "LY")
COMPONENTS = 3


def save_pipeline(folder):
    """Save a pipeline that finds something, whatever it is, and return the folder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = build("test_convnext", TYPES)
    pipeline = TwoStage([tiny(("WBC",))], [classifier], crop_px=32, settings=Settings(0.0, 0.0))
    pipeline_files.save(folder, pipeline, ABOUT, crop_cells=1.2, whole_cells=3.0)
    return folder


def save_panel(path):
    """Save a panel of one member and return the path."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder, recipe = build("test_resnet", ["a", "b"]).eval(), MixtureRecipe(hidden=4, components=COMPONENTS)
        widths = [len(FEATURES), encoder.backbone.num_features]
        moments = [torch.stack([torch.zeros(width), torch.ones(width)]) for width in (2, *widths)]
        axes = [torch.randn(width, COMPONENTS) for width in widths]
        scale = Scale(moments[0], moments[1], axes[0], moments[2], axes[1])
        member = Diagnoser(untrained(recipe, scale).eval(), scale, pd.DataFrame())
    metric = Metric(value=0.8, ci=(0.7, 0.9), n=24, split="out-of-fold")
    about = ABOUT | {"metrics": {"lymph.balanced_accuracy": metric}}
    panel.save(path, panel.Panel([member], encoder), recipe, threshold=0.5, image_px=32, field_px=100.0, **about)
    return path


def save_patients(folder):
    """Save two patients without a label and one with a label, in the format of the challenge; return the folder."""
    rows = [
        ",ID,LABEL,GENDER,DOB,LYMPH_COUNT",
        "0,P1,-1,M,1/2/1950,12.5",
        "1,P2,1,F,1/2/1960,30",
        "2,P3,-1,F,3/4/1990,5",
    ]
    put(folder / "clinical_annotation.csv", "\n".join(rows))
    rng = np.random.default_rng(0)
    for patient in ("P1", "P3"):
        for number in range(2):
            field = draw_field(rng, 128, 128, whites=["LY"], reds=3, platelets=0, scale=6.5, look="lymph", centred=True)
            put_jpeg(folder / "testset" / patient / f"{number}.jpg", field.image)
    return folder
