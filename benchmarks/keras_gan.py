"""One side of the benchmark: two GANs in Keras 3, each in the style in which Keras users write it.

Called as `python benchmarks/keras_gan.py cifar10-dcgan` or `... cifar10-perclass`, in an environment made
from `requirements.txt`; it speaks as `plain.py` does.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np


def read_options() -> argparse.Namespace:
    """Read the command line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS)  # so that a mistake is told in one line
    parser.add_argument("recipe", choices=["cifar10-dcgan", "cifar10-perclass"])
    parser.add_argument("--threads", type=int, default=cores)
    parser.add_argument("--backend", choices=["tensorflow", "jax"], default="tensorflow")
    options = parser.parse_args()
    if options.threads < 1:
        parser.error(f"argument --threads: at least 1, not {options.threads}")
    return options


# Keras and its backends read all of this when they are imported, so it has to be there before.
OPTIONS = read_options()
os.environ |= {"KERAS_BACKEND": OPTIONS.backend, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
os.environ |= {"JAX_PLATFORMS": "cpu", "NPROC": str(OPTIONS.threads)}  # NPROC: the threads of JAX
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # whatever a library prints goes to stderr

import keras  # noqa: E402
from keras import layers  # noqa: E402

if OPTIONS.backend == "tensorflow":
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(OPTIONS.threads)
    tf.config.threading.set_inter_op_parallelism_threads(OPTIONS.threads)

keras.utils.set_random_seed(0)
LATENTS = 100
adam = partial(keras.optimizers.Adam, 2e-4, beta_1=0.5)
batch_norm = partial(layers.BatchNormalization, momentum=0.9, epsilon=1e-5)  # PyTorch's settings
cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
IMAGES = np.random.randint(256, size=(2_000, 32, 32, 3), dtype=np.uint8)


def real_images(n: int) -> np.ndarray:
    """Take a random batch, scaled to [-1, 1]."""
    return IMAGES[np.random.randint(len(IMAGES), size=n)].astype("float32") / 127.5 - 1


def random_latents(n: int) -> np.ndarray:
    """Draw latents (n, 100)."""
    return np.random.standard_normal((n, LATENTS)).astype("float32")


def dcgan_nets() -> tuple[keras.Model, keras.Model]:
    """Make G and D; D's head alone has a bias beside the batch norms."""
    generator = [keras.Input((LATENTS,)), layers.Dense(4096, use_bias=False), layers.Reshape((4, 4, 256))]
    for width in (128, 64, 3):
        generator += [batch_norm(), layers.ReLU()]
        generator += [layers.Conv2DTranspose(width, 4, 2, padding="same", use_bias=False)]
    discriminator = [keras.Input((32, 32, 3))]
    for width in (64, 128, 256):
        discriminator += [layers.Conv2D(width, 4, 2, padding="same", use_bias=False)]
        discriminator += [] if width == 64 else [batch_norm()]
        discriminator += [layers.LeakyReLU(0.2)]
    return (
        keras.Sequential([*generator, layers.Activation("tanh")]),
        keras.Sequential([*discriminator, layers.Flatten(), layers.Dense(1)]),
    )


def per_class_nets() -> tuple[keras.Model, keras.Model]:
    """Make G and D."""
    generator = [keras.Input((LATENTS,)), layers.Dense(4096), layers.Reshape((4, 4, 256))]
    for width in (128, 128, 128):
        generator += [layers.LeakyReLU(0.2), layers.Conv2DTranspose(width, 4, 2, padding="same")]
    generator += [layers.LeakyReLU(0.2), layers.Conv2D(3, 3, padding="same", activation="tanh")]
    discriminator = [keras.Input((32, 32, 3))]
    for width, stride in ((64, 1), (128, 2), (128, 2), (256, 2)):
        discriminator += [layers.Conv2D(width, 3, stride, padding="same"), layers.LeakyReLU(0.2)]
    discriminator += [layers.Dropout(0.4), layers.Flatten(), layers.Dense(1)]
    return keras.Sequential(generator), keras.Sequential(discriminator)


class PerClass:
    """D learns from 64 real images, then from 64 fakes; G through a combined model, where D is frozen."""

    shown = 64

    def __init__(self) -> None:
        self.generator, self.discriminator = per_class_nets()
        self.discriminator.compile(adam(), cross_entropy)
        self.gan = keras.Sequential([self.generator, self.discriminator])
        self.gan.compile(adam(), cross_entropy)

    def step(self) -> tuple[float, float]:
        """Update D twice, then G; give both losses."""
        # Keras 3 looks at `trainable` when a model trains, and not, as Keras 2 did, when it is compiled.
        self.discriminator.trainable = True
        on_real = self.discriminator.train_on_batch(real_images(64), np.ones((64, 1)))
        fake = self.generator.predict_on_batch(random_latents(64))
        on_fake = self.discriminator.train_on_batch(fake, np.zeros((64, 1)))
        self.discriminator.trainable = False
        return on_real + on_fake, self.gan.train_on_batch(random_latents(128), np.ones((128, 1)))


class Dcgan:
    """D learns from 128 real images and 128 fakes at once, by the sum of two losses; then G does."""

    shown = 128

    def __init__(self) -> None:
        self.generator, self.discriminator = dcgan_nets()
        self.weights = self.generator.trainable_weights, self.discriminator.trainable_weights
        images, latents = keras.Input((32, 32, 3)), keras.Input((LATENTS,))
        on_fake = self.discriminator(self.generator(latents))
        self.judge = keras.Model([images, latents], [self.discriminator(images), on_fake])
        self.judge.compile(adam(), [cross_entropy, cross_entropy])
        self.gan = keras.Model(latents, on_fake)
        self.gan.compile(adam(), cross_entropy)

    def step(self) -> tuple[float, float]:
        """Update D, then G with fresh fakes; give both losses."""
        ones, zeros = np.ones((128, 1)), np.zeros((128, 1))
        self._let_learn(g=False)
        d_loss, *_ = self.judge.train_on_batch([real_images(128), random_latents(128)], [ones, zeros])
        self._let_learn(g=True)
        return d_loss, self.gan.train_on_batch(random_latents(128), ones)

    def _let_learn(self, g: bool) -> None:
        # Weight by weight, for a net with `trainable = False` also takes its batch norms' running statistics.
        for weights, learn in zip(self.weights, (g, not g), strict=True):
            for weight in weights:
                weight.trainable = learn


def count(net: keras.Model) -> int:
    """Count a net's trainable parameters."""
    return sum(math.prod(weights.shape) for weights in net.trainable_weights)


def peak_mib() -> float:
    """Give this process's peak memory; getrusage's can be that of the process which started it, on Linux."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Build, warm up, and run as many steps as every line of stdin asks for."""
    training = PerClass() if OPTIONS.recipe == "cifar10-perclass" else Dcgan()
    said = {
        "name": "Keras on " + {"tensorflow": "TensorFlow", "jax": "JAX"}[OPTIONS.backend],
        "versions": {"keras": keras.__version__, OPTIONS.backend: sys.modules[OPTIONS.backend].__version__},
        "g_parameters": count(training.generator),
        "d_parameters": count(training.discriminator),
        "images_per_step": training.shown,
        "threads": OPTIONS.threads,
    }
    for _ in range(2):
        training.step()
    print(json.dumps(said), file=ANSWERS)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            training.step()
        print(json.dumps({"seconds": time.perf_counter() - start, "peak_mib": peak_mib()}), file=ANSWERS)


if __name__ == "__main__":
    main()
