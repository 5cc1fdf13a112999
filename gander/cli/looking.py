"""The verbs that look: sample, runs, recipes, data, explain."""

from __future__ import annotations

import inspect
import json
import math
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gander.cli.progress import say
from gander.cli.tables import make_table, print_table
from gander.errors import DataError, GanderError, UsageError, did_you_mean
from gander.files import check_folder, check_free
from gander.patch import show_patch
from gander.recipe.shipped import recipe_names, recipe_text, recipe_tree
from gander.run import Pretrained, Run, find_run, in_use, list_pretrained, list_runs, runs_root

_SHOWN = ("fd-judge", "recall", "coverage")  # of a pretrained generator's scores


def sample_verb(
    name: str, n: int | None, classes: tuple[str, ...], walk: bool, seed: int, to: Path | None, as_json: bool
) -> None:
    """Draw fresh images or walks of a run."""
    from gander.actions.sample import animate, sample, save_animation
    from gander.actions.sample import walk as draw_walk
    from gander.pictures.sheet import save_png

    run = find_run(name)
    path = to or _free(run.path / "samples", f"{'walk' if walk else 'sample'}-seed{seed}")
    check_free(path)
    if to is None:
        path.parent.mkdir(parents=True, exist_ok=True)  # of a pretrained generator
    moves = path.suffix in (".gif", ".webp")
    if path.suffix != ".png" and not (moves and walk):
        raise UsageError(f'--to "{path}": give a name that ends in .png; with --walk, .gif and .webp move')
    check_folder(path)
    device = os.environ.get("GANDER_DEVICE", "cpu")
    if moves:
        save_animation(animate(run, n or 8, classes, seed, device=device), path)
    elif walk:
        save_png(draw_walk(run, n or 8, classes, seed, device=device), path)
    else:
        save_png(sample(run, n or 100, classes, seed, device=device), path)
    if as_json:
        say(json.dumps({"run": str(run.path), "picture": str(path), "seed": seed}))
    else:
        say(f"{'walk' if walk else 'samples'} {path}")
        say(f"next    gander sample {run.path} --seed {seed + 1}")


def _free(folder: Path, stem: str) -> Path:
    path = folder / f"{stem}.png"
    count = 2
    while path.exists():
        path = folder / f"{stem}-{count}.png"
        count += 1
    return path


def runs_verb(as_json: bool) -> None:
    """List the runs, and the pretrained generators that stand for one."""
    rows, shipped = [_summary(run) for run in list_runs()], [_offer(run) for run in list_pretrained()]
    if as_json:
        say(json.dumps(rows + shipped))
        return
    if shipped:
        table = make_table("pretrained", "what", "data", "images", "size", "scores")
        for row in shipped:
            shown = [f"{name} {row['scores'][name]['value']:.3g}" for name in _SHOWN if name in row["scores"]]
            size = f"{row['bytes'] / 2**20:.1f} MiB"
            table.add_row(row["run"], row["title"], row["data"], f"{row['images']:,}", size, ", ".join(shown))
        print_table(table)
    if not rows:
        say(f"no run in {runs_root()} yet\nnext    gander train quickstart")
        return
    table = make_table("run", "what", "data", "images", "state", "began")
    for row in rows:
        done = f"{row['images']:,} / {row['total']:,}"
        table.add_row(row["run"], row["title"], row["data"], done, row["state"], row["began"])
    print_table(table)
    say(f"next    gander sample {rows[0]['run']}")


def _offer(run: Pretrained) -> dict[str, Any]:
    title, data, card = recipe_tree(str(run.recipe_file))["title"], run.env()["data"]["source"], run.card
    own = {"run": run.name, "title": title, "data": data, "state": "pretrained", "total": card["images"]}
    return own | {name: card[name] for name in ("images", "bytes", "scores")}


def _summary(run: Run) -> dict[str, Any]:
    try:
        history, env = run.history(), run.env()
        recipe = recipe_tree(str(run.recipe_file))
    except GanderError as error:  # one damaged run must not hide the others
        nothing = dict.fromkeys(("title", "data", "began"), "")
        return {
            "run": str(run.path),
            **nothing,
            "images": 0,
            "total": 0,
            "state": f"damaged: {error.problems[0]}",
        }
    images = max([run.trained_images(), *history.images[-1:]])
    state = "training" if in_use(run) else run.state()["state"]
    if state == "unknown":  # of before runs said so themselves
        state = "finished" if images >= env["images_total"] else "stopped"
    began = datetime.fromisoformat(env["started"]).astimezone(UTC)
    return {
        "run": str(run.path),
        "title": recipe["title"],
        "data": Path(env["data"]["source"]).name,
        "images": images,
        "total": env["images_total"],
        "state": state,
        "began": began.strftime("%Y-%m-%d %H:%M UTC"),
        "loss/g": _number(history.last("loss/g")),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def recipes_verb(name: str | None, other: str | None, as_json: bool) -> None:
    """List the shipped recipes, print one, or print the patch that makes another of it."""
    if name is not None and other is not None:
        from gander.recipe.read import load_recipe

        patch = load_recipe(name).diff(load_recipe(other))
        lines = [show_patch({path: value}) for path, value in patch.items()]
        say(json.dumps(patch) if as_json else "\n".join(lines or [f"{name} and {other} are the same"]))
        return
    if name is not None:
        told = (
            json.dumps({"name": name, "recipe": recipe_tree(name)}) if as_json else recipe_text(name).rstrip()
        )
        say(told)
        if not as_json and sys.stdout.isatty():  # a copy by > FILE stays a recipe
            say(f"\n# next    gander train {name}, or copy it: gander recipes {name} > mine.toml")
        return
    titles = {known: recipe_tree(known).get("title", "") for known in recipe_names()}
    if as_json:
        say(json.dumps(titles))
        return
    table = make_table("recipe", "what it is")
    for known, title in titles.items():
        table.add_row(known, title)
    print_table(table)
    say("next    gander recipes NAME shows one; gander train NAME runs it")


def data_verb(source: str | None, size: int | None, split: str, as_json: bool) -> None:
    """List the named data sets, or check one."""
    from gander.data import NAMED, SHAPES, inspect_data

    if source is None:
        names = [SHAPES, *NAMED]
        say(json.dumps(names) if as_json else "\n".join([*names, "next    gander data NAME, or a path"]))
        return
    summary = inspect_data(source, size=size, split=split)
    if as_json:
        say(json.dumps(summary.as_dict()))
    else:
        for figure, value in summary.rows():
            say(f"{figure:<14} {value}")
        for problem in summary.problems:
            say(f"  {problem}")
    if summary.problems:
        count = len(summary.problems)
        raise DataError(
            f"{source}: {count:,} {'image or label' if count == 1 else 'images or labels'} cannot be used"
        )
    if not as_json:
        say(f"next    gander train RECIPE data={source}")


def explain_verb(name: str | None) -> None:
    """Print a technique's description and settings, or list all techniques by slot."""
    from gander.recipe.catalogue import setting_names
    from gander.recipe.read import nameable

    plugin, _, kind = (name or "").rpartition(".")  # `my_module.edges` is a kind of a user's own module
    slots, name = nameable(plugin), name and kind
    if name is None:
        for slot, kinds in slots.items():
            say(f"{slot}: {', '.join(kinds)}")
        say("next    gander explain r1")
        return
    found = [(slot, kinds[name]) for slot, kinds in slots.items() if name in kinds]
    if not found:
        names = [kind for kinds in slots.values() for kind in kinds]
        raise UsageError(f'no technique is called "{name}"{did_you_mean(name, names)}', hint="gander explain")
    for slot, model in found:
        say(f'{slot}: {{ kind = "{name}" }}\n\n{inspect.getdoc(model)}\n')
        for setting, (field_name, field) in zip(
            setting_names(model), model.model_fields.items(), strict=True
        ):
            if field_name == "kind":
                continue
            default = "needed" if field.is_required() else f"default {_default(field.get_default())}"
            about = f"  {field.description}" if field.description else ""
            say(f"  {setting:<14} {default}{about}")
    say("next    gander explain lists the others; gander recipes shows them in use")


def _default(value: Any) -> str:
    return f'"{value.kind}"' if hasattr(value, "kind") else json.dumps(value, default=str)
