"""Make a pretrained generator of a finished run: float16 weights, recipe and card, into gander/pretrained/.

    gander train quickstart
    python results/pretrained.py @last shapes-pretrained

From then on `gander sample shapes-pretrained` works, as does that name wherever a RUN is asked for. It is
scored as it is shipped, and its card says by how much float16 moves its images. `RUN/best.safetensors` takes
the best generator.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from gander import __version__
from gander.actions.evaluate import evaluate
from gander.errors import UsageError
from gander.files import file_digest, write_whole
from gander.generation.load import copy_generator, load, read_weights, write_weights
from gander.generation.source import real_images
from gander.patch import show_patch
from gander.recipe.read import load_recipe, read_recipe
from gander.recipe.schema import Recipe
from gander.recipe.shipped import recipe_names
from gander.recipe.write import portable_toml
from gander.run import PRETRAINED_FORMAT, Pretrained, Run, find_run, runs_root

COMPARED = 1_000  # images
LARGEST = 16 * 2**20  # bytes
KEPT = (
    "started",
    "torch",
    "device_name",
    "processes",
    "precision",
    "threads",
    "images_total",
    "data",
    "ancestry",
)


def main() -> None:
    """Write the three files, or none."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("name")
    parser.add_argument("-n", type=int, help="images to score; 10,000, or half of the real ones")
    parser.add_argument("--use", action="store_true", help="measure what a classifier learns, too")
    given = parser.parse_args()
    run, made = find_run(given.run), Pretrained(runs_root() / given.name)
    files = (made.generator_file, made.env_file, made.recipe_file)
    if any(file.exists() for file in files):
        raise UsageError(f"{made.generator_file}: is already there, and nothing is overwritten")
    try:
        card = pack(run, made)
        evaluation = evaluate(made.checked(), real_images(run), n=given.n, use=given.use)
        facts = evaluation.facts()
        card["pretrained"] |= {
            "scores": {score.name: short(score.row(digits=6)) for score in evaluation.scores},
            **{name: facts[name] for name in ("protocol", "caveats", "use", "machine")},
        }
        write_json(made.env_file, card)
    except BaseException:
        for file in files:
            file.unlink(missing_ok=True)
        raise
    print(f"{made.generator_file}: {made.generator_file.stat().st_size / 2**20:.2f} MiB")
    print(json.dumps(card["pretrained"]["float16"]), *evaluation.caveats, evaluation, sep="\n")


def pack(run: Run, made: Pretrained) -> dict:
    """Write weights, recipe and a card without scores; give the card."""
    recipe = read_recipe(run)
    if not recipe.data.source:
        raise UsageError(f"{run.path}: its data have no name, by which others could get them")
    recipe = recipe.patched({"data.path": ""})
    made.generator_file.parent.mkdir(exist_ok=True)
    copy_generator(run.weights_file, made.generator_file)
    halve(made.generator_file)
    size = made.generator_file.stat().st_size
    if size > LARGEST:
        raise UsageError(f"{run.path}: its generator takes {size:,} bytes; allowed are {LARGEST:,}")
    made.recipe_file.write_text(portable_toml(recipe), "utf-8")
    env = run.env()
    card = {name: env[name] for name in KEPT if name in env} | {"ancestry": run.ancestry()}
    card["pretrained"] = {
        "format": PRETRAINED_FORMAT,
        "digest": file_digest(made.generator_file),
        "bytes": size,
        "images": run.trained_images(),
        "command": command_of(recipe),
        "trained_on": env.get("device_name"),
        "versions": {"gander": __version__, "torch": torch.__version__},
        "float16": differences(run, made),
    }
    write_json(made.env_file, card)
    return card


def halve(path: Path) -> None:
    """Store a generator's weights in float16."""
    about, tensors = read_weights(path)
    halved = {name: each.half() if each.is_floating_point() else each for name, each in tensors.items()}
    if not all(each.isfinite().all() for each in halved.values()):
        raise UsageError(f"{path}: a weight is too large for float16")
    write_weights(path, about, halved)


def differences(run: Run, made: Pretrained) -> dict:
    """Compare the images with those of the run's own weights, in levels of 255."""
    before, after = load(run), load(made)
    labels = torch.arange(COMPARED) % max(before.generator.num_classes, 1) if before.conditional else None
    latents = before.draw(COMPARED, seed=1)
    apart = (before.images(latents, labels).int() - after.images(latents, labels).int()).abs()
    shares = {"differing": (apart > 0), "by_more_than_2": (apart > 2)}
    shown = {name: round(where.double().mean().item(), 9) for name, where in shares.items()}
    return {"images": COMPARED, "largest": int(apart.max()), **shown}


def command_of(recipe: Recipe) -> str:
    """Write the shortest command that trains such a recipe."""
    patches = {name: load_recipe(name).diff(recipe) for name in recipe_names()}
    name, patch = min(patches.items(), key=lambda pair: len(pair[1]))
    edits = {path: value for path, value in patch.items() if path != "data.path"}
    return f"gander train {name} {show_patch(edits)}".strip()


def short(row: dict) -> dict:
    """Keep the numbers of a score."""
    return {name: row[name] for name in ("value", "floor", "low", "high")}


def write_json(path: Path, content: dict) -> None:
    """Write a file that people can read."""
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
