"""Parameters: one model a notebook, checked before a kernel starts and again inside the notebook.

The order of trust is: defaults of the model (the demo profile) < ``params/<profile>/NN.yaml`` < ``--set name=value``.
"""

import ast
import difflib
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wbc_utils import paths, plain_yaml

PROFILES = ("demo", "cpu", "gpu")


class ParameterError(ValueError):
    """A parameter, profile or notebook that does not exist or does not fit."""


class Parameters(BaseModel):
    """What every notebook takes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    needs: ClassVar[tuple[str, ...]] = ()
    """Notebooks whose tables or manifests this one reads."""
    headline: ClassVar[str | None] = None
    """Name of the metric that the index shows."""

    profile: Literal["demo", "cpu", "gpu"] = Field("demo", description="profile whose upstream results are read")
    seed: int = Field(0, description="seed of every random draw", ge=0)


class DataParameters(Parameters):
    """What every notebook takes that opens data."""

    data_source: Literal["synthetic", "real"] = Field(
        "synthetic", description="synthetic miniatures drawn on the spot, or the real data under WBC_DATA"
    )


class EdaAndDuplicates(DataParameters):
    """Notebook 01."""

    headline = "cbc.exact_duplicates_across_splits"

    datasets: list[str] = Field(
        ["cbc", "bcd", "pbc", "segwbc", "lymph", "wbcbench", "cytologia"],
        description="data sets to open if there",
    )
    folds: int = Field(5, description="cross-validation folds written for later notebooks", ge=2)
    calibration_pairs: int = Field(
        200, description="altered copies made: half calibrate the near-duplicate thresholds, half test them", ge=50
    )
    show_images: int = Field(4, description="fields shown of each detection data set", ge=1)


class HandcraftedFeatures(DataParameters):
    """Notebook 02."""

    needs = ("01",)
    headline = "pbc.macro_f1"

    trees: int = Field(30, description="boosting rounds of gradient boosting", ge=1)
    grid_depths: list[int] = Field([2, 3], description="tree depths that the inner folds choose from")
    grid_rates: list[float] = Field([0.1, 0.2], description="learning rates that the inner folds choose from")
    tail_minimum: int = Field(3, description="fewest training cells of a class in the long-tailed draw", ge=2)
    shuffles: int = Field(2, description="shuffles of each feature for its permutation importance", ge=1)
    shown: int = Field(10, description="segmentations shown in each montage", ge=1)


class EfficientNetToConvNeXt(DataParameters):
    """Notebook 03."""

    needs = ("01",)
    headline = "pbc.macro_f1_network"

    first_architecture: str = Field("test_efficientnet", description="timm network of rung (a)")
    architecture: str = Field("test_convnext", description="timm network of rungs (b) to (d)")
    control_architecture: str = Field("test_resnet", description="timm network of rung (e)")
    init: Literal["random", "imagenet"] = Field("random", description="first weights: random or imagenet")
    image_px: int = Field(32, description="side of the networks' input, px", ge=16)
    field_cells: float = Field(1.5, description="side of the input in median cell diameters", gt=0)
    stem_stride: int | None = Field(None, description="stride of the first convolution of (b) to (d), if not timm's")
    epochs: int = Field(4, description="epochs of the rungs (a) to (d)", ge=1)
    control_epochs: int = Field(4, description="epochs of rung (e)", ge=1)
    batch_size: int = Field(32, description="cells a step", ge=2)
    augmentation: Literal["none", "dihedral", "standard", "challenge"] = Field(
        "standard", description="preset of random changes: none, dihedral, standard, challenge"
    )
    learning_rate: float = Field(2e-3, description="after the warm-up of one epoch", gt=0)
    restart_epochs: int = Field(2, description="period of the warm restarts of (b) to (d), epochs (T_0)", ge=1)
    freeze_epochs: int = Field(
        1, description="epochs of (d) in which only the head learns, if init is not random", ge=0
    )
    ema: float | None = Field(None, description="decay of the moving average of the weights of (e), a step")
    head_epochs: int = Field(2, description="epochs of the new head on balanced draws", ge=1)
    portable_epochs: int = Field(3, description="epochs of the rungs (g) to (i)", ge=1)
    tail_epochs: int = Field(2, description="epochs on the long-tailed draw", ge=1)
    tail_minimum: int = Field(3, description="fewest training cells of a class in the long-tailed draw", ge=2)
    repeats: int = Field(2, description="seeds that rung (b) is trained with", ge=1)
    amp: Literal["off", "fp16", "bf16"] = Field("off", description="mixed precision of the training")
    control_amp: Literal["off", "fp16", "bf16"] = Field("off", description="mixed precision of (e), (g) and (h)")
    measured_cells: int = Field(100, description="training cells whose diameter is measured for the scale", ge=20)


class TsneDiagnostics(DataParameters):
    """Notebook 04."""

    needs = ("01", "03")
    headline = "pbc.knn_purity"

    neighbours: int = Field(5, description="neighbours of a cell whose labels are looked at", ge=1)
    folds: int = Field(3, description="folds of the linear probe", ge=2)
    perplexity: float = Field(15.0, description="of t-SNE, about the number of neighbours that count", gt=0)
    oof_architecture: str = Field("test_convnext", description="timm network of the out-of-fold probabilities")
    oof_folds: int = Field(2, description="networks that give out-of-fold probabilities", ge=2)
    oof_epochs: int = Field(4, description="epochs of each of them", ge=1)
    batch_size: int = Field(32, description="cells a step", ge=2)
    learning_rate: float = Field(2e-3, description="after the warm-up of one epoch", gt=0)
    planted_share: float = Field(0.02, description="share of labels exchanged on purpose", gt=0, lt=0.2)
    background_groups: list[int] = Field(
        [10], description="numbers of groups of like surroundings that are kept in one fold"
    )
    shown: int = Field(6, description="worst errors shown, and half of the doubtful labels shown", ge=1)
    shown_neighbours: int = Field(4, description="neighbours shown of each", ge=1)


class FasterRCNNTuning(DataParameters):
    """Notebook 05."""

    needs = ("01", "03")
    headline = "cbc.ap50"

    architecture: str | None = Field(None, description="detector; None is Faster R-CNN on the network of notebook 03")
    init: Literal["random", "coco", "imagenet-backbone"] = Field(
        "random",
        description="first weights that those of notebook 03 are compared with: random, coco, imagenet-backbone",
    )
    image_px: list[int] = Field(
        [96, 128], description="short side and longest long side of the resized images, px", min_length=2, max_length=2
    )
    finest_stride: int | None = Field(4, description="pixels to one of the finest map; None is the architecture's own")
    channels: int | None = Field(
        64, description="of the feature pyramid and the heads; None is the architecture's own", gt=0
    )
    anchor_px: float = Field(8.0, description="side of the smallest anchors, px of the resized image", gt=0)
    proposals: int = Field(40, description="boxes of an image that the second stage judges", ge=1)
    rois: int = Field(24, description="boxes of an image that the second stage learns from", ge=1)
    epochs: int = Field(3, description="passes over the training images", ge=1)
    batch_size: int = Field(2, description="images a step", ge=1)
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="adamw or sgd")
    learning_rate: float = Field(1e-3, description="after the warm-up of one epoch", gt=0)
    schedule: Literal["cosine", "step", "constant"] = Field(
        "cosine", description="of the learning rate: cosine, step (a tenth every step_epochs) or constant"
    )
    step_epochs: int = Field(3, description="epochs between the steps of the schedule step", ge=1)
    flip: float = Field(0.4, description="probability of mirroring left-right, and of mirroring up-down", ge=0, le=1)
    transpose: float = Field(0.0, description="probability of exchanging rows and columns", ge=0, le=1)
    ema: float | None = Field(None, description="decay of the moving average of the weights, a step")
    amp: Literal["off", "fp16", "bf16"] = Field("off", description="mixed precision of the training")
    threshold_steps: int = Field(8, description="score thresholds of each class in the exhaustive search", ge=2)
    nms_steps: int = Field(4, description="IoUs of suppression in the exhaustive search", ge=2)
    radii_px: list[float] = Field(
        [5.0, 10.0, 20.0, 40.0], description="distances between platelets to try, px of the image as it was taken"
    )
    shown: int = Field(2, description="images shown with truth and predictions", ge=1)
    shown_errors: int = Field(10, description="errors shown of either kind", ge=1)


class LymphocytosisMil(DataParameters):
    """Notebook 06."""

    needs = ("01", "03")
    headline = "lymph.balanced_accuracy"

    show_cells: bool = Field(
        False, description="show cells of real patients; no licence is stated, so only on pages that stay here"
    )
    measured_cells: int = Field(60, description="cells whose diameter is measured for the scale", ge=20)
    folds: int = Field(3, description="outer folds, which judge", ge=2)
    inner_folds: int = Field(2, description="inner folds, which choose epoch and threshold; one model each", ge=2)
    repeats: int = Field(2, description="draws of the folds in the main comparison", ge=1)
    other_repeats: int = Field(1, description="draws of the folds in the comparison of parts", ge=1)
    shuffles: int = Field(2, description="permutations of the labels", ge=2)
    pooling: Literal["mean", "max", "top_k", "attention", "gated_attention", "transformer"] = Field(
        "mean", description="of the cells: mean, max, top_k, attention, gated_attention, transformer"
    )
    components: int = Field(4, description="principal components of embeddings, and of handmade features", ge=1)
    hidden: int = Field(8, description="width of the hidden layers", ge=1)
    thinning: float = Field(0.3, description="share of a patient's cells left out in each step", ge=0, lt=1)
    multitask: float = Field(0.1, description="weight of the regression of the lymphocyte count", gt=0)
    epochs: int = Field(5, description="largest number of epochs at each of three learning rates", ge=1)
    batch_size: int = Field(16, description="patients a step", ge=1)
    learning_rate: float = Field(1e-2, description="first learning rate, then a tenth, then a hundredth", gt=0)
    draws: int = Field(2, description="draws of report 004's single split", ge=2)
    resnet: str = Field("test_resnet", description="timm network of the ladder's first two rungs")
    convnext: str = Field("test_convnext", description="timm network of the ladder's third and fourth rung")
    vit: str | None = Field("test_vit", description="vision transformer of the fifth rung; None leaves it out")
    lora_rank: int = Field(2, description="rank of the updates that the transformer learns", ge=1)
    ladder_init: Literal["in-domain", "random", "imagenet"] = Field(
        "in-domain", description="first weights: in-domain (notebook 03's where it trained such a network, else random)"
    )
    ladder_px: int = Field(32, description="side of the cells that the ladder's networks see, px", ge=16)
    ladder_repeats: int = Field(1, description="draws of the folds for networks that learn", ge=1)
    ladder_members: int | None = Field(1, description="models a fold of networks that learn; None: one an inner fold")
    ladder_epochs: int = Field(1, description="largest number of epochs of networks that learn, at each rate", ge=1)
    ladder_batch: int = Field(8, description="patients a step of networks that learn", ge=1)
    ladder_rate: float = Field(1e-3, description="first learning rate of networks that learn", gt=0)
    ladder_thinning: float = Field(
        0.5, description="share of a patient's cells that networks that learn do not see in a step", ge=0, lt=1
    )
    ladder_amp: Literal["off", "fp16", "bf16"] = Field("off", description="mixed precision of networks that learn")
    shown: int = Field(3, description="patients whose cells are compared by attention, and cells of each", ge=1)


class DetectorComparison(DataParameters):
    """Notebook 07."""

    needs = ("01", "05")
    headline = "bcd.faster_rcnn_ap"

    faster_rcnn: str = Field("faster_rcnn_test_resnet", description="first detector: Faster R-CNN, two stages")
    retinanet: str = Field("retinanet_test_resnet", description="second detector: RetinaNet, one stage")
    ssd: str = Field("ssd300_test_resnet", description="third detector: an SSD, one stage at a size of its own")
    init: Literal["random", "coco", "imagenet-backbone"] = Field(
        "random", description="first weights of all three: random, coco, imagenet-backbone"
    )
    image_px: int = Field(96, description="short side of the input of the first two, px", ge=32)
    finest_stride: int = Field(8, description="pixels to one of the finest map of the first two, if not coco")
    channels: int = Field(64, description="of the feature pyramids and heads of the first two, if not coco", gt=0)
    proposals: int = Field(60, description="boxes of an image that the second stage of Faster R-CNN judges", ge=1)
    rois: int = Field(32, description="boxes of an image that it learns from", ge=1)
    rates: list[float] = Field([0.05, 0.02], description="learning rates to choose from", min_length=1)
    rotations: int = Field(2, description="folds that are left out in turn, of those of notebook 01", ge=1)
    epochs: int = Field(3, description="largest number of epochs to choose from", ge=1)
    scout_epochs: int = Field(1, description="epochs of the first look at each rate, on one fold", ge=1)
    finalists: int = Field(1, description="rates that go on to all folds", ge=1)
    settle_epochs: int = Field(1, description="last epochs of the final training, at a tenth of the rate", ge=1)
    factor_epochs: int = Field(1, description="epochs of each training that looks for what breaks RetinaNet", ge=1)
    batch_size: int = Field(2, description="images a step", ge=2)
    ema: float | None = Field(0.9, description="decay of the moving average of the weights, a step")
    amp: Literal["off", "fp16", "bf16"] = Field("off", description="mixed precision of the training")
    in_domain: bool = Field(True, description="also train Faster R-CNN from the weights of notebook 05")
    shown: int = Field(2, description="test images shown with truth and predictions", ge=1)


class TwoStagePipeline(DataParameters):
    """Notebook 08."""

    needs = ("01", "03")
    headline = "cbc.challenge_score"

    dataset: Literal["cbc", "cytologia"] = Field("cbc", description="fields with typed white cells: cbc or cytologia")
    folds: int = Field(2, description="folds, each left out by one network of every kind", ge=2)
    detector: str = Field("yolox_test_resnet", description="first stage, a detector of one class")
    rivals: list[str] = Field(["fcos_test_resnet"], description="detectors compared with it on one fold")
    image_px: list[int] = Field(
        [96, 128],
        description="short side and longest long side of the detectors' input, px",
        min_length=2,
        max_length=2,
    )
    finest_stride: int = Field(8, description="pixels to one of the finest map of the detectors")
    channels: int = Field(
        64, description="of the pyramids and heads of the detectors that have a choice, which YOLOX has not", gt=0
    )
    detector_epochs: int = Field(10, description="passes of the detectors over their images", ge=1)
    detector_batch: int = Field(2, description="images a step of the detectors", ge=2)
    detector_rate: float = Field(
        5e-3, description="learning rate of the detectors after the warm-up of one epoch", gt=0
    )
    rates: list[float] = Field(
        [5e-3], description="learning rates that each detector of the comparison on one fold tries", min_length=1
    )
    mosaic: float = Field(
        0.0, description="probability that a detector learns from four images laid together", ge=0, le=1
    )
    painted_share: float = Field(
        0.5,
        description="share of the fields that are also learned from with their white cells painted over",
        gt=0,
        le=1,
    )
    classifier_init: Literal["pbc", "random", "imagenet"] = Field(
        "pbc", description="first weights of the classifiers: pbc (notebook 03), random, imagenet"
    )
    classifier: str = Field(
        "test_convnext", description="timm network of the classifiers where the weights are not those of notebook 03"
    )
    held_blocks: int = Field(0, description="first blocks of a vision transformer that do not learn", ge=0)
    crop_px: int = Field(32, description="side of the crops, px", ge=16)
    type_epochs: int = Field(12, description="passes of the classifiers over their crops", ge=1)
    whole: str = Field("test_convnext", description="timm network of the whole-image classifiers, from random weights")
    whole_px: int = Field(48, description="side that whole images are scaled to, px", ge=16)
    whole_epochs: int = Field(6, description="passes of the whole-image classifiers over their images", ge=1)
    batch_size: int = Field(8, description="crops or whole images a step", ge=2)
    learning_rate: float = Field(2e-3, description="of both kinds of classifiers after the warm-up of one epoch", gt=0)
    augmentation: Literal["none", "dihedral", "standard", "challenge"] = Field(
        "challenge", description="preset of random changes: none, dihedral, standard, challenge"
    )
    amp: Literal["off", "fp16", "bf16"] = Field("off", description="mixed precision of the trainings")
    least_scores: list[float] = Field([0.1, 0.3, 0.5], description="least scores of a box to choose from", min_length=1)
    shares: list[float] = Field(
        [0.0, 0.2, 0.4, 0.6, 0.8],
        description="shares of the whole-image networks to choose from, 0 first", min_length=1,
    )  # fmt: skip
    batch_sizes: list[int] = Field([1, 4, 8], description="images a batch in the measurement of time", min_length=1)
    timed_images: int = Field(8, description="images timed", ge=1)
    timed_passes: int = Field(2, description="passes over them that are timed", ge=1)
    shown: int = Field(3, description="fields shown", ge=1)


class Summary(Parameters):
    """Notebook 99."""

    needs = ("01", "02", "03", "04", "05", "06", "07", "08")
    headline = "claims.confirmed"


NOTEBOOKS: dict[str, type[Parameters]] = {
    "01": EdaAndDuplicates,
    "02": HandcraftedFeatures,
    "03": EfficientNetToConvNeXt,
    "04": TsneDiagnostics,
    "05": FasterRCNNTuning,
    "06": LymphocytosisMil,
    "07": DetectorComparison,
    "08": TwoStagePipeline,
    "99": Summary,
}
"""The notebooks that exist, by number; their parameter models say what they need."""


class CostCard(BaseModel):
    """What a run of a notebook under a profile costs and should reach; it opens every parameter file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hardware: str
    minutes: float = Field(gt=0)
    memory_gib: float = Field(gt=0)
    cores: int = Field(1, ge=1)
    gpus: int = 0
    expect: str
    command: str


class ParameterFile(BaseModel):
    """The content of ``params/<profile>/NN.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cost: CostCard
    parameters: dict[str, Any] = Field(default_factory=dict)


def notebook_model(number: str) -> type[Parameters]:
    """Return the parameter model of a notebook.

    Raises
    ------
    ParameterError
        If there is no notebook of this number.
    """
    if number not in NOTEBOOKS:
        hint = f"did you mean {number.zfill(2)}? There" if number.zfill(2) in NOTEBOOKS else "there"
        raise ParameterError(f"there is no notebook {number!r}; {hint} are {', '.join(NOTEBOOKS)}")
    return NOTEBOOKS[number]


def notebook_path(number: str) -> Path:
    """Return the source notebook of a number.

    Raises
    ------
    ParameterError
        If the number or its file does not exist.
    """
    notebook_model(number)
    folder = paths.project_root() / "notebooks"
    found = sorted(folder.glob(f"{number}_*.ipynb"))
    if len(found) != 1:
        raise ParameterError(f"{folder} holds {len(found)} files named {number}_*.ipynb, one is needed")
    return found[0]


def check_profile(profile: str) -> None:
    """Refuse a profile that does not exist.

    Raises
    ------
    ParameterError
        Naming those that exist.
    """
    if profile not in PROFILES:
        raise ParameterError(f"there is no profile {profile!r}; there are {', '.join(PROFILES)}")


def parameter_file(number: str, profile: str) -> Path:
    """Return the path of a notebook's parameter file in a profile."""
    check_profile(profile)
    return paths.project_root() / "params" / profile / f"{number}.yaml"


def read_parameter_file(number: str, profile: str) -> ParameterFile:
    """Read the cost card and the overrides of a notebook in a profile.

    Raises
    ------
    ParameterError
        If the file is missing, is no YAML, or has other sections than ``cost`` and ``parameters``.
    """
    notebook_model(number)
    path = parameter_file(number, profile)
    try:
        return ParameterFile.model_validate(plain_yaml.load(path.read_bytes()))
    except FileNotFoundError:
        raise ParameterError(f"{path} is missing: notebook {number} has no {profile} profile") from None
    except (yaml.YAMLError, ValidationError) as error:
        raise ParameterError(f"{path} is not a parameter file (sections cost, parameters): {error}") from error


def parse_overrides(settings: list[str]) -> dict[str, Any]:
    """Turn ``name=value`` words into a dictionary; values are read as YAML.

    Raises
    ------
    ParameterError
        If a word has no ``=`` or its value is no YAML.
    """
    overrides = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.isidentifier():
            example = f", e.g. --set {setting}=4" if setting.isidentifier() else ""
            raise ParameterError(f"--set {setting!r:.80} is not name=value{example}")
        try:
            overrides[name] = plain_yaml.load(value)
        except yaml.YAMLError as error:
            raise ParameterError(f"the value in --set {setting!r:.80} is not YAML: {error}") from error
    return overrides


def validate(number: str, values: dict[str, Any]) -> Parameters:
    """Check values against the model of a notebook.

    Raises
    ------
    ParameterError
        Naming every unknown parameter with its nearest valid name, and every value of a wrong type or range.
    """
    model = notebook_model(number)
    try:
        return model(**values)
    except ValidationError as error:
        lines = [_explain(problem, model) for problem in error.errors()]
        raise ParameterError(f"notebook {number}: " + "; ".join(lines)) from None


def _explain(problem: dict, model: type[Parameters]) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        found = problem["input"]
        single = problem["type"] == "list_type" and isinstance(found, str | int | float)
        advice = f"; write a list, [{found}], on the command line in quotes: --set '{name}=[{found}]'" if single else ""
        return f"{name} = {found!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}{advice}"
    valid = list(model.model_fields)
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown parameter {name!r}; {hint}Valid: {', '.join(valid)}"


def resolve(number: str, profile: str, overrides: dict[str, Any]) -> Parameters:
    """Return the checked parameters of a notebook in a profile, with overrides on top."""
    if "profile" in overrides:
        raise ParameterError("the profile is chosen with --profile, not with --set")
    values = read_parameter_file(number, profile).parameters
    if unwanted := {"profile"} & values.keys():
        raise ParameterError(f"{parameter_file(number, profile)} sets {unwanted.pop()!r}; its folder already says so")
    return validate(number, {**values, **overrides, "profile": profile})


def changed_from_defaults(parameters: Parameters) -> dict[str, Any]:
    """Return the parameters that differ from the defaults of their model."""
    defaults = type(parameters)()
    return {name: value for name, value in parameters.model_dump().items() if value != getattr(defaults, name)}


def from_notebook(number: str, namespace: dict[str, Any]) -> Parameters:
    """Check the parameters as they stand in a notebook, however they came there.

    Parameters
    ----------
    number
        The notebook.
    namespace
        Its ``globals()``. Names that papermill injected but the model does not know are found through the input
        history, because to plain papermill they are just more variables.

    Raises
    ------
    ParameterError
        As `validate`.
    """
    model = notebook_model(number)
    names = {name for name in model.model_fields if name in namespace}
    for source in namespace.get("In", []):
        if source.startswith("# Parameters"):
            names |= _assigned(source)
    return validate(number, {name: namespace[name] for name in names if name in namespace})


def _assigned(source: str) -> set[str]:
    """Return the names that plain or annotated assignments of a cell bind."""
    targets = []
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign):
            targets += statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets.append(statement.target)
    return {target.id for target in targets if isinstance(target, ast.Name)}


def describe(number: str) -> list[tuple[str, str, str, str]]:
    """Return ``(name, type, default, meaning)`` of every parameter of a notebook."""
    rows = []
    for name, field in notebook_model(number).model_fields.items():
        kind = str(field.annotation).replace("typing.", "")
        kind = field.annotation.__name__ if isinstance(field.annotation, type) and "[" not in kind else kind
        rows.append((name, kind, repr(field.default), field.description or ""))
    return rows
