"""A judge of another design than gander's own, which nothing is trained with: it checks the other's order.

Residual, 8 x 8 maps where the other ends at 4 x 4, and features from the largest and the mean values of its
first and its last maps (480 numbers; the other's are 288); another seed, another order of images.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gander.data.images import Images
from gander.engine.exact import exact
from gander.files import file_digest
from gander.scores.classifier import split_data
from gander.scores.extractor import Outputs, extract_in_parts

SEED, EPOCHS, BATCH, WIDTH, RATE = 7, 12, 250, 48, 0.2
GREY, CUT, SHIFT = 128, 8, 4


class Residual(nn.Module):
    """Two convolutions whose output is added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.f = nn.Sequential(*block(width, width), *block(width, width)[:2])

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(maps + self.f(maps))


def block(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> list[nn.Module]:
    """Make a convolution with batch norm and ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, 1, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


class SecondNet(nn.Module):
    """Seven convolutions: images (N, C, 32, 32) of uint8 values in, class logits (N, K) out."""

    def __init__(self, channels: int = 3, classes: int = 10, width: int = WIDTH) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *block(channels, width, 2, kernel=4),
            Residual(width),
            *block(width, 2 * width, 2),
            Residual(2 * width),
            *block(2 * width, 4 * width),
        )
        self.fc = nn.Linear(8 * width, classes)

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Give the largest and the mean values of the first maps (N, 2 width) and the last (N, 8 width)."""
        first = self.body[:3]((images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last))
        last = self.body[3:](first)
        early, late = (torch.cat([maps.amax((2, 3)), maps.mean((2, 3))], 1) for maps in (first, last))
        return early, late

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(F.dropout(self.maps(images)[1], 0.1, self.training))


class SecondJudge:
    """It stands wherever a judge does; `gander.scores.extractor.Extractor` says what for."""

    network, resize, device, accuracy = "second", "none", "cpu", None

    def __init__(self, path: Path) -> None:
        self._net = SecondNet().eval().to(memory_format=torch.channels_last)
        self._net.load_state_dict(safetensors.torch.load_file(path))
        self.digest = file_digest(path)
        self.description = f"second judge {self.digest[:12]}"

    @exact()
    @torch.inference_mode()
    def extract(self, pixels: np.ndarray) -> Outputs:
        """Give features and probabilities of uint8 images (N, C, S, S)."""

        def extract(part: Tensor) -> tuple[Tensor, Tensor]:
            early, late = self._net.maps(part)
            return torch.cat([early, late], 1).log1p(), self._net.fc(late).softmax(1)

        return extract_in_parts(pixels, extract, 250, 20_000)


def train_second(images: Images, path: Path) -> None:
    """Train it on the nine tenths that judges learn from; it takes about fifteen minutes of one core."""
    torch.manual_seed(SEED)
    training_set, test = split_data(images)
    pixels, labels = torch.from_numpy(training_set.pixels), torch.from_numpy(training_set.labels)
    net = SecondNet(classes=len(images.classes)).to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(net.parameters(), RATE, momentum=0.9, nesterov=True, weight_decay=5e-4)
    steps, began = len(labels) // BATCH, time.monotonic()
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=EPOCHS * steps, pct_start=0.2)
    for epoch in range(EPOCHS):
        net.train()
        for chosen in torch.randperm(len(labels))[: steps * BATCH].split(BATCH):
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(augmented(pixels[chosen]))
            loss = F.cross_entropy(logits.float(), labels[chosen], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rates.step()
        print(
            f"epoch {epoch + 1} of {EPOCHS}: loss {loss.item():.3f}, {time.monotonic() - began:.0f} s",
            flush=True,
        )
    net.eval()
    with torch.inference_mode():
        named = torch.cat([net(part).argmax(1) for part in torch.from_numpy(test.pixels).split(500)])
    print(f"right on {(named.numpy() == test.labels).mean():.1%} of held-out images")
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file({name: each.contiguous() for name, each in net.state_dict().items()}, path)


def augmented(pixels: Tensor) -> Tensor:
    """Shift and mirror images, each tenth of a batch alike, and paint a grey square."""
    padded, side, parts = F.pad(pixels.float(), [SHIFT] * 4, mode="reflect"), pixels.shape[-1], []
    for part in padded.split(max(1, len(pixels) // 10)):
        down, across = torch.randint(0, 2 * SHIFT + 1, (2,)).tolist()
        moved = part[:, :, down : down + side, across : across + side]
        parts.append(moved.flip(3) if torch.rand(()) < 0.5 else moved)
    whole = torch.cat(parts)
    down, across = torch.randint(0, side - CUT + 1, (2,)).tolist()
    whole[:, :, down : down + CUT, across : across + CUT] = GREY
    return whole
