"""One side of the benchmark: two GANs as a careful tutorial writes them in eager PyTorch, without gander.

Called as `python benchmarks/plain.py cifar10-dcgan` or `... cifar10-perclass`. It says in one line of JSON
what it built; then, for every count of training steps on stdin, how long they took. It shares no code with
the other sides, because each of them runs in an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

import torch
from torch import nn

LATENTS = 100


class DcganGenerator(nn.Sequential):
    """Latents (N, 100) in, images (N, 3, 32, 32) out; the batch norms make biases needless."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(LATENTS, 256 * 4 * 4, bias=False),
            nn.Unflatten(1, (256, 4, 4)),
            nn.BatchNorm2d(256),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(256, 128, 4, 2, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False),
            nn.Tanh(),
        )


class DcganDiscriminator(nn.Sequential):
    """Images (N, 3, 32, 32) in, logits (N,) out; only the last layer has a bias."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 64, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(64, 128, 4, 2, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(128, 256, 4, 2, 1, bias=False),
            nn.BatchNorm2d(256),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Flatten(),
            nn.Linear(256 * 4 * 4, 1),
            nn.Flatten(0),
        )


class PerClassGenerator(nn.Sequential):
    """Latents (N, 100) in, images (N, 3, 32, 32) out."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(LATENTS, 256 * 4 * 4),
            nn.Unflatten(1, (256, 4, 4)),
            nn.LeakyReLU(0.2, inplace=True),
            nn.ConvTranspose2d(256, 128, 4, 2, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.ConvTranspose2d(128, 128, 4, 2, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.ConvTranspose2d(128, 128, 4, 2, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(128, 3, 3, padding=1),
            nn.Tanh(),
        )


class PerClassDiscriminator(nn.Sequential):
    """Images (N, 3, 32, 32) in, logits (N,) out; stride 2 pads below and right alone, as Keras does."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 64, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(64, 128, 3, 2),
            nn.LeakyReLU(0.2, inplace=True),
            nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(128, 128, 3, 2),
            nn.LeakyReLU(0.2, inplace=True),
            nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(128, 256, 3, 2),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(256 * 4 * 4, 1),
            nn.Flatten(0),
        )


class Training:
    """Both nets, their optimisers and the images; `separate` updates D on real images, then on fakes."""

    def __init__(self, separate: bool) -> None:
        self.separate = separate
        self.generator = PerClassGenerator() if separate else DcganGenerator()
        self.discriminator = PerClassDiscriminator() if separate else DcganDiscriminator()
        self.g_optimiser = torch.optim.Adam(self.generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self.d_optimiser = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self.loss = nn.BCEWithLogitsLoss()
        self.images = torch.randint(256, (2_000, 3, 32, 32), dtype=torch.uint8)
        self.shown = 64 if separate else 128

    def step(self) -> tuple[float, float]:
        """Update D, then G; give both losses."""
        real = self.images[torch.randint(len(self.images), (self.shown,))].float() / 127.5 - 1
        self.d_optimiser.zero_grad()
        on_real = self.loss(self.discriminator(real), torch.ones(self.shown))
        on_real.backward()
        if self.separate:
            self.d_optimiser.step()
            self.d_optimiser.zero_grad()
        with torch.no_grad():
            fake = self.generator(torch.randn(self.shown, LATENTS))
        on_fake = self.loss(self.discriminator(fake), torch.zeros(self.shown))
        on_fake.backward()
        self.d_optimiser.step()

        # A tutorial often shows G the fakes that D has just seen; every side of the benchmark draws fresh
        # ones. As in a tutorial, D's weights get gradients here too, which the next step clears unused.
        self.g_optimiser.zero_grad()
        fake = self.generator(torch.randn(128, LATENTS))
        g_loss = self.loss(self.discriminator(fake), torch.ones(128))
        g_loss.backward()
        self.g_optimiser.step()
        return on_real.item() + on_fake.item(), g_loss.item()


def count(net: nn.Module) -> int:
    """Count a net's trainable parameters."""
    return sum(weights.numel() for weights in net.parameters())


def peak_mib() -> float:
    """Give this process's peak memory; getrusage's can be that of the process which started it, on Linux."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Build, warm up, and run as many steps as every line of stdin asks for."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS)  # so that a mistake is told in one line
    parser.add_argument("recipe", choices=["cifar10-dcgan", "cifar10-perclass"])
    parser.add_argument("--threads", type=int, default=cores)
    options = parser.parse_args()
    if options.threads < 1:
        parser.error(f"argument --threads: at least 1, not {options.threads}")
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    training = Training(separate=options.recipe == "cifar10-perclass")
    for _ in range(2):
        training.step()
    said = {
        "name": "plain PyTorch",
        "versions": {"torch": torch.__version__},
        "g_parameters": count(training.generator),
        "d_parameters": count(training.discriminator),
        "images_per_step": training.shown,
        "threads": options.threads,
    }
    print(json.dumps(said), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            training.step()
        print(json.dumps({"seconds": time.perf_counter() - start, "peak_mib": peak_mib()}), flush=True)


if __name__ == "__main__":
    main()
