"""Random changes of training images: batched, on the device, each image by draws of its own.

Operations that are switched off cost nothing and change no draw of the others. What can be merged is: flips, turns,
rotation, shift and scale are sampled once, Gaussian and motion blur are one product of spectra, stain and gamma one
matrix on the logarithm of the light, brightness, contrast, saturation and hue one matrix on the colours.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from skimage.color import hed_from_rgb, rgb_from_hed
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

MIXING = {"mixup": v2.MixUp, "cutmix": v2.CutMix}
"""Ways to mix two images and their labels."""

_DRAWS = (
    "turn", "half_turn", "mirror_x", "mirror_y", "rotate", "shift_x", "shift_y", "scale", "blur", "motion_blur",
    "direction", "gain_h", "gain_e", "gain_d", "shift_h", "shift_e", "shift_d", "gamma", "brightness", "contrast",
    "saturation", "hue", "dropout",
)  # fmt: skip
_RECTANGLES = 4  # dropped from an image
_DARKEST = 1 / 255  # light below one grey level counts as that: its logarithm is finite
_YIQ_FROM_RGB = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])  # NTSC, 1953
_RGB_FROM_YIQ = np.linalg.inv(_YIQ_FROM_RGB)


class AugmentationError(ValueError):
    """Strengths out of range, or images or mixing methods that cannot be augmented or mixed."""


@dataclass(frozen=True)
class Augmentation:
    """How strongly images are changed at most; 0 or False switches an operation off.

    A relative change m stands for a factor between 1/(1 + m) and 1 + m, uniform in its logarithm; other ranges are
    uniform. Half of the images get no Gaussian blur, half no motion blur and half no dropout, so that clean images
    stay known.

    Attributes
    ----------
    flips
        Mirror left-right and up-down, each with probability ½.
    rot90
        Turn by a random multiple of 90°; for square images.
    rotate
        Degrees, either way. What enters at the edges is the mirrored image, here and below.
    translate
        Fraction of width and of height, either way.
    scale
        Relative change of size.
    stain
        Relative change of each of the stains haematoxylin, eosin and DAB, and shift of each, either way, in natural
        units of optical density.
    brightness, contrast, saturation, gamma
        Relative changes; contrast is about the mean grey of the image.
    hue
        Turns of the colour circle at constant luma, either way, at most 0.5.
    blur
        Standard deviation of the Gaussian, fraction of the width.
    motion_blur
        Length of the path, fraction of the width, in any direction.
    dropout
        Share of the area that is covered by four rectangles in the mean colour of the image, at most 1.

    References
    ----------
    D. Tellez et al. (2018), *Whole-slide mitosis detection in H&E breast histology using PHH3 as a reference to train
    distilled stain-invariant convolutional networks*, IEEE TMI 37(9): stain augmentation. A. C. Ruifrok and
    D. A. Johnston (2001), *Quantification of histochemical staining by color deconvolution*: the stains' colours.
    """

    flips: bool = False
    rot90: bool = False
    rotate: float = 0
    translate: float = 0
    scale: float = 0
    stain: float = 0
    brightness: float = 0
    contrast: float = 0
    saturation: float = 0
    hue: float = 0
    gamma: float = 0
    blur: float = 0
    motion_blur: float = 0
    dropout: float = 0

    def __post_init__(self):
        highest = {"rotate": 180, "hue": 0.5}
        for name, value in dataclasses.asdict(self).items():
            if not 0 <= value <= highest.get(name, 1):
                raise AugmentationError(f"{name} of the augmentation is {value}; choose 0 to {highest.get(name, 1)}")


PRESETS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "dihedral": Augmentation(flips=True, rot90=True),
    "standard": Augmentation(
        flips=True, rot90=True, rotate=15, translate=0.05, scale=0.1,
        stain=0.05, brightness=0.1, contrast=0.1, saturation=0.1, hue=0.02, gamma=0.1,
    ),
    "challenge": Augmentation(
        flips=True, rot90=True, rotate=45, translate=0.0625, scale=0.1,
        brightness=0.2, contrast=0.2, saturation=0.2, hue=0.11, gamma=0.2, blur=0.006, motion_blur=0.03, dropout=0.1,
    ),
    "laboratory": Augmentation(
        flips=True, rot90=True, rotate=15, translate=0.05, scale=0.25,
        stain=0.5, brightness=0.3, contrast=0.3, saturation=0.8, hue=0.1, gamma=0.5, blur=0.02,
    ),
}  # fmt: skip
"""Augmentations by name. ``standard`` is mild, with the stain at the light setting of Tellez et al. ``challenge`` has
the list of report 000, which names no strengths: they are about the defaults of Albumentations at 224 pixels.
``laboratory`` is for cells that were stained and photographed elsewhere: two thirds of the stain to half as much again,
other colours, light and lenses."""


def step_generator(seed: int, epoch: int, step: int, device: str = "cpu") -> torch.Generator:
    """Return the generator of one training step, so that a resumed training draws what it would have drawn.

    With a generator on the CPU a GPU gets the same draws as the CPU.
    """
    state = np.random.SeedSequence((seed, epoch, step)).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0]))


def augment(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Change each image of a batch at random, independently of the others.

    Parameters
    ----------
    images
        RGB in [0, 1], float32 (n, 3, h, w), on any device; never changed in place.
    augmentation
        What is done, and how strongly at most.
    generator
        Source of the draws, on any device.

    Returns
    -------
    Tensor
        In [0, 1], same shape, device and type; `images` itself if everything is off.

    Raises
    ------
    AugmentationError
        If the images are of another shape or type, or are to be turned by 90° and not square.
    """
    _require_images(images, augmentation)
    on = augmentation
    draws = torch.rand(len(images), len(_DRAWS), generator=generator, device=generator.device)
    places = torch.rand(len(images), 3, _RECTANGLES, generator=generator, device=generator.device)
    draw = dict(zip(_DRAWS, draws.to(images.device).unbind(1), strict=True))
    if on.rotate or on.translate or on.scale:
        changed = _warped(images, on, draw)
    elif on.flips or on.rot90:
        changed = _permuted(images, on, draw)
    else:
        changed = images
    if on.blur or on.motion_blur:
        changed = _blurred(changed, on, draw)
    if on.stain or on.gamma:
        changed = _restained(changed, on, draw)
    if on.brightness or on.contrast or on.saturation or on.hue:
        changed = _recoloured(changed, on, draw)
    if on.dropout:
        changed = _covered(changed, on, draw, places.to(images.device))
    return changed


def mix(
    images: Tensor, labels: Tensor, n_classes: int, methods: Sequence[str], alpha: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix each image of a batch with its neighbour, and the labels with them, by one of the methods at random.

    PyTorch's global random state stays as it is. An image alone in its batch is mixed with itself.

    Parameters
    ----------
    images
        Floating (n, 3, h, w), shuffled: neighbours are mixed.
    labels
        Classes, int64 (n,).
    n_classes
        Number of classes k.
    methods
        Of ``mixup`` and ``cutmix``, equally probable.
    alpha
        Both parameters of the Beta distribution of the share, above 0; 1 is uniform.
    generator
        Source of the draws, on any device.

    Returns
    -------
    images, targets
        Of the same shape; shares of the classes, float32 (n, k), that sum to 1.

    Raises
    ------
    AugmentationError
        If a method is unknown, there is none, or alpha is not above 0.

    References
    ----------
    H. Zhang et al. (2018), *mixup: beyond empirical risk minimization*, ICLR. S. Yun et al. (2019), *CutMix:
    regularization strategy to train strong classifiers with localizable features*, ICCV.
    """
    if not methods or set(methods) - set(MIXING):
        raise AugmentationError(f"cannot mix by {tuple(methods)}; choose one or both of {', '.join(MIXING)}")
    if not alpha > 0:
        raise AugmentationError(f"alpha of the mixing is {alpha}; choose a number above 0")
    choice, seed = torch.randint(2**62, (2,), generator=generator, device=generator.device).tolist()
    mixing = MIXING[methods[choice % len(methods)]](alpha=alpha, num_classes=n_classes)
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator of the CPU
        torch.default_generator.manual_seed(seed)
        return mixing(images, labels)


def _require_images(images: Tensor, augmentation: Augmentation) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.float32:
        found = f"{images.dtype} {tuple(images.shape)}"
        raise AugmentationError(f"images are {found}; give RGB images in [0, 1], torch.float32 (n, 3, h, w)")
    if augmentation.rot90 and images.shape[2] != images.shape[3]:
        raise AugmentationError(
            f"images of {images.shape[2]} × {images.shape[3]} pixels cannot be turned by 90°; "
            "make them square or switch rot90 off"
        )


def _factor(draw: Tensor, change: float) -> Tensor:
    return (1 + change) ** (2 * draw - 1)


def _shift(draw: Tensor, most: float) -> Tensor:
    return most * (2 * draw - 1)


def _half_off(draw: Tensor, most: float) -> Tensor:
    return most * (2 * draw - 1).clamp(min=0)


def _view(on: Augmentation, draw: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return which images are transposed, then mirrored left-right, then up-down: that makes all eight views."""
    turn, half = (on.rot90 & (draw[name] < 0.5) for name in ("turn", "half_turn"))
    left_right, up_down = (on.flips & (draw[name] < 0.5) for name in ("mirror_x", "mirror_y"))
    return turn, turn ^ half ^ left_right, half ^ up_down


def _permuted(images: Tensor, on: Augmentation, draw: dict[str, Tensor]) -> Tensor:
    """Flip and turn without interpolation."""
    transposed, left_right, up_down = (chosen[:, None, None, None] for chosen in _view(on, draw))
    if on.rot90:
        images = torch.where(transposed, images.mT, images)
    images = torch.where(left_right, images.flip(-1), images)
    return torch.where(up_down, images.flip(-2), images)


def _warped(images: Tensor, on: Augmentation, draw: dict[str, Tensor]) -> Tensor:
    """Flip, turn, rotate, shift and scale by one bilinear sampling."""
    height, width = images.shape[2:]
    angle, size = _shift(draw["rotate"], math.radians(on.rotate)), _factor(draw["scale"], on.scale)
    cos, sin = angle.cos() / size, angle.sin() / size
    x, y = _shift(draw["shift_x"], 2 * on.translate), _shift(draw["shift_y"], 2 * on.translate)
    rows = [torch.stack([cos, -sin * (height / width), x], 1), torch.stack([sin * (width / height), cos, y], 1)]
    transposed, left_right, up_down = _view(on, draw)
    matrix = torch.stack(rows, 1) * (1 - 2.0 * torch.stack([left_right, up_down], 1))[..., None]
    matrix = torch.where(transposed[:, None, None], matrix.flip(1), matrix)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False).clamp_(0, 1)


def _blurred(images: Tensor, on: Augmentation, draw: dict[str, Tensor]) -> Tensor:
    """Multiply the spectra by that of the Gaussian and that of the path, the images mirrored at their edges."""
    height, width = images.shape[2:]
    reach = math.ceil((3 * on.blur + on.motion_blur / 2) * width)
    rim_x, rim_y = min(reach, width - 1), min(reach, height - 1)
    padded = functional.pad(images, (rim_x, rim_x, rim_y, rim_y), mode="reflect")
    y = torch.fft.fftfreq(padded.shape[2], device=images.device)[:, None]
    x = torch.fft.rfftfreq(padded.shape[3], device=images.device)
    sigma, length, angle = (
        value[:, None, None]
        for value in (
            _half_off(draw["blur"], on.blur * width),
            _half_off(draw["motion_blur"], on.motion_blur * width),
            math.pi * draw["direction"],
        )
    )
    transfer = torch.exp(-2 * (math.pi * sigma) ** 2 * (x**2 + y**2))
    transfer = transfer * torch.sinc(length * (angle.cos() * x + angle.sin() * y))
    blurred = torch.fft.irfft2(torch.fft.rfft2(padded) * transfer[:, None], s=padded.shape[2:])
    return blurred[..., rim_y : rim_y + height, rim_x : rim_x + width].clamp(0, 1)


def _restained(images: Tensor, on: Augmentation, draw: dict[str, Tensor]) -> Tensor:
    """Change the amounts of the stains and the exponent of the light, both linear in its logarithm."""
    to_stains, to_rgb = (images.new_tensor(matrix.T) for matrix in (hed_from_rgb, rgb_from_hed))
    gains = torch.stack([_factor(draw[f"gain_{stain}"], on.stain) for stain in "hed"], 1)
    shifts = torch.stack([_shift(draw[f"shift_{stain}"], on.stain) for stain in "hed"], 1)
    gamma = _factor(draw["gamma"], on.gamma)[:, None, None]
    matrix = (to_rgb * gains[:, None]) @ to_stains * gamma
    light = images.clamp(min=_DARKEST).log_()
    return _linear(light, matrix, -(to_rgb @ shifts[..., None]) * gamma).exp_().clamp_(max=1)


def _recoloured(images: Tensor, on: Augmentation, draw: dict[str, Tensor]) -> Tensor:
    """Change brightness, contrast, saturation and hue: in luma and two axes of colour all of them are linear."""
    to_yiq, to_rgb = (images.new_tensor(matrix) for matrix in (_YIQ_FROM_RGB, _RGB_FROM_YIQ))
    brightness, contrast, saturation = (
        _factor(draw[name], getattr(on, name)) for name in ("brightness", "contrast", "saturation")
    )
    angle = _shift(draw["hue"], 2 * math.pi * on.hue)
    cos, sin, zero, one = saturation * angle.cos(), saturation * angle.sin(), angle * 0, torch.ones_like(angle)
    chroma = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], 1).reshape(-1, 3, 3)
    matrix = to_rgb @ chroma @ to_yiq * (brightness * contrast)[:, None, None]
    grey = images.mean((2, 3)) @ to_yiq[0] if on.contrast else zero
    return _linear(images, matrix, ((1 - contrast) * brightness * grey)[:, None, None].expand(-1, 3, 1)).clamp_(0, 1)


def _linear(images: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Multiply the colour of each pixel by the matrix of its image, (n, 3, 3), and add the offset, (n, 3, 1)."""
    return torch.baddbmm(offset, matrix, images.flatten(2)).reshape(images.shape)


def _covered(images: Tensor, on: Augmentation, draw: dict[str, Tensor], places: Tensor) -> Tensor:
    """Cover rectangles of equal area, sides 1 : 2 to 2 : 1, that lie wholly in the image and may overlap."""
    height, width = images.shape[2:]
    area = (_half_off(draw["dropout"], on.dropout) * (height * width / _RECTANGLES))[:, None]
    sides = _factor(places[:, 0], 1)
    masks = []
    for length, side, place in ((height, sides, places[:, 1]), (width, 1 / sides, places[:, 2])):
        extent = (area * side).sqrt().floor().clamp(max=length)
        start = (place * (length - extent + 1)).floor()
        pixels = torch.arange(length, device=images.device)
        masks.append((pixels >= start[..., None]) & (pixels < (start + extent)[..., None]))
    covered = (masks[0][..., :, None] & masks[1][..., None, :]).any(1, keepdim=True)
    return torch.where(covered, images.mean((2, 3), keepdim=True), images)
