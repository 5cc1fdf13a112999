"""The judge: a small classifier of the real images, whose features and probabilities scores are made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gander.data.images import Images
from gander.data.store import cache_folder
from gander.engine.exact import exact
from gander.errors import DataError, first_line
from gander.files import file_digest, write_whole
from gander.scores.extractor import Outputs, extract_in_parts
from gander.scores.table import JUDGE

_AT_ONCE = 250  # images a forward pass
_PATIENCE = 20_000  # images, which take about ten seconds on a laptop
_HELD_OUT = 0.1


@dataclass(frozen=True)
class Record:
    """What a score that was made with a judge must say of it."""

    source: str
    digest: str  # of the data
    classes: tuple[str, ...]
    channels: int
    size: int
    width: int
    accuracy: float  # on the held-out images
    held_out: int  # images
    epochs: int
    seed: int
    command: str
    torch: str
    held_out_by: str = "a tenth of each class of the training images, by the hashes of their pixels"


class JudgeNet(nn.Module):
    """Six convolutions and a linear layer: images (N, C, S, S) of uint8 values in, class logits (N, K) out.

    The first convolution halves the size, which quarters the cost of all that follow; the last adds to what
    it is given, where images are smallest and depth is cheap.
    """

    def __init__(self, channels: int, classes: int, width: int = 48) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_block(channels, width, kernel=4, stride=2),
            *_block(width, 2 * width),
            nn.MaxPool2d(2),
            *_block(2 * width, 2 * width),
            *_block(2 * width, 4 * width),
            nn.MaxPool2d(2),
            *_block(4 * width, 4 * width),
            _Added(*_block(4 * width, 4 * width)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.classes = nn.Linear(4 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classes(self.layers(_scaled(images)))

    def compare_by(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Give features (N, 6 width) and class probabilities (N, K).

        The features are the largest and the mean values of the first maps, which see noise, stripes and
        flatness that no class differs by, and the means of the last, which see what is shown. Logarithms
        keep the few that are large from deciding alone.
        """
        first = next(place for place, layer in enumerate(self.layers, 1) if isinstance(layer, nn.ReLU))
        early = self.layers[:first](_scaled(images))
        late = self.layers[first:](early)
        features = torch.cat([early.amax((2, 3)), early.mean((2, 3)), late], 1).log1p()
        return features, self.classes(late).softmax(1)


def _scaled(images: Tensor) -> Tensor:
    return images.float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


class _Added(nn.Sequential):
    """Layers whose output is added to their input."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + super().forward(inputs)  # type: ignore[no-untyped-call]


def _block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=1, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


class Judge:
    """A trained judge.

    Args:
        net: with trained weights; it is taken over.
        record: how it came to be.
        digest: sha256 of the weights in hex.
        device: where it computes.
        path: its file.
    """

    network = JUDGE
    resize = "none"

    def __init__(
        self, net: JudgeNet, record: Record, digest: str, device: str = "cpu", path: Path | None = None
    ) -> None:
        self.record = record
        self.digest = digest
        self.description = f"judge {digest[:12]}"
        self.accuracy: float | None = record.accuracy
        self.device = device
        self.path = path
        net.layers = _fused(net.eval().layers)
        self._net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __repr__(self) -> str:
        return f"judge of {self.record.source}, right on {self.accuracy:.1%} of held-out images"

    @exact()
    @torch.inference_mode()
    def extract(self, pixels: npt.NDArray[np.uint8]) -> Outputs:
        """Give features and probabilities of uint8 images (N, C, S, S).

        Raises: DataError where they are not of the judge's shape.
        """
        wanted = (self.record.channels, self.record.size, self.record.size)
        if pixels.dtype != np.uint8 or pixels.shape[1:] != wanted:
            raise DataError(
                f"images of {tuple(pixels.shape[1:])} {pixels.dtype}: "
                f"the judge of {self.record.source} looks at {wanted} uint8"
            )
        return extract_in_parts(
            pixels, lambda part: self._net.compare_by(part.to(self.device)), _AT_ONCE, _PATIENCE
        )


def _fused(layers: nn.Sequential) -> nn.Sequential:
    """Work each batch norm into the convolution before it."""
    fused: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d):
            conv = fused.pop()
            assert isinstance(conv, nn.Conv2d)
            layer = fuse_conv_bn_eval(conv, layer)
        fused.append(_fused(layer) if isinstance(layer, nn.Sequential) else layer)
    return type(layers)(*fused)


def held_out(images: Images) -> npt.NDArray[np.int64]:
    """Pick a tenth of the images of each class that no judge is trained on, whatever their order.

    Their pixels' hashes decide: mirrors of one data set differ in the order of its images. Without labels,
    all are of one class.

    Returns: indices in ascending order.
    """
    labels = np.zeros(len(images), np.int64) if images.labels is None else images.labels
    chosen: list[int] = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        order = sorted(own.tolist(), key=images.hashes.__getitem__)
        chosen += order[: round(len(own) * _HELD_OUT)]
    return np.array(sorted(chosen), np.int64)


def training_and_held_out(images: Images) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Divide the places of all images into those that a judge is trained on, and those held out."""
    aside = held_out(images)
    return np.setdiff1d(np.arange(len(images)), aside), aside


def weakness(accuracy: float | None, classes: int) -> str:
    """Say so where a judge is right on less than half of what guessing leaves; "" where it is not."""
    if accuracy is None or 2 * accuracy >= 1 + 1 / classes:
        return ""
    return (
        f"the judge is right on {accuracy:.1%} of held-out images, and guessing on {1 / classes:.1%}: "
        "what it hardly sees, its scores hardly measure"
    )


def judge_file(images: Images, seed: int = 0) -> Path:
    """Give the place in the cache of the judge of these data; one of another seed is another judge."""
    other = f"-seed{seed}" if seed else ""
    return cache_folder() / "judges" / f"{images.digest[:32]}{other}.safetensors"


def judges_of(images: Images) -> Iterator[Path]:
    """List the judges of these data: one of one's own, a shipped one, then one's own of other seeds."""
    own = judge_file(images)
    for path in (own, *_shipped(), *sorted(own.parent.glob(f"{own.stem}-seed*.safetensors"))):
        if path.is_file() and read_record(path).digest == images.digest:
            yield path


def find_judge(images: Images, device: str = "cpu") -> Judge:
    """Give the first judge of these data; DataError where there is none."""
    for path in judges_of(images):
        return load_judge(path, device)
    raise no_judge(images)


def no_judge(images: Images) -> DataError:
    """Say that these data have no judge, and how to get one."""
    if images.labels is None or len(images.classes) < 2:
        return DataError(
            f"{images.source}: a judge learns to tell classes apart, and these data have none",
            hint="gander evaluate RUN --inception FILE needs no classes",
        )
    return DataError(
        f"{images.source}: these data have no judge yet",
        hint=f"gander judge {images.source} --size {images.size}",
    )


def _shipped() -> Sequence[Path]:
    folder = Path(str(resources.files("gander") / "judges"))
    return sorted(folder.glob("*.safetensors"))


def save_judge(path: Path, net: JudgeNet, record: Record) -> None:
    """Write weights, as float16, and record into one file, whole or not at all."""
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in net.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, safetensors.torch.save(tensors, {"judge": json.dumps(asdict(record))}))


def read_record(path: Path) -> Record:
    """Read what a judge is; DataError where the file holds none."""
    with _judge_errors(path), safetensors.safe_open(path, "pt") as file:
        record = json.loads(file.metadata()["judge"])
        return Record(**{**record, "classes": tuple(record["classes"])})


def load_judge(path: Path, device: str = "cpu") -> Judge:
    """Read a judge; DataError where the file holds none."""
    record = read_record(path)
    with _judge_errors(path):
        net = JudgeNet(record.channels, len(record.classes), record.width)
        net.load_state_dict(safetensors.torch.load_file(path))
    return Judge(net, record, file_digest(path), device, path)


@contextmanager
def _judge_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{path}: is not a judge that can be read: {first_line(error)}",
            hint=f"rm {path}, then gander judge DATA",
        ) from None
