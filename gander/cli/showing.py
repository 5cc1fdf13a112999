"""The verbs that show what there is: sample, runs, recipes, data, explain."""

from __future__ import annotations

import inspect
import itertools
import json
import math
import os
import shlex
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gander.cli.options import Classes, GeneratorName, Json
from gander.cli.progress import say, say_next
from gander.cli.tables import add_row, make_table, print_table
from gander.errors import DataError, GanderError, UsageError, did_you_mean
from gander.files import check_folder, check_free
from gander.patch import show_patch
from gander.recipe.shipped import recipe_names, recipe_text, recipe_tree
from gander.run import Pretrained, Run, find_run, in_use, list_pretrained, list_runs, runs_root

_SHOWN = ("fd-judge", "recall", "coverage")  # of a pretrained generator's scores


def sample(
    run: GeneratorName,
    n: Annotated[
        int | None, typer.Option("-n", min=1, help="How many.", show_default="100 images, or 8 walks")
    ] = None,
    classes: Classes = None,
    walk: Annotated[bool, typer.Option("--walk", help="Walk between latents, one walk a row.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the latents.")] = 0,
    to: Annotated[
        Path | None, typer.Option("--to", help="The picture.", show_default="RUN/samples/...")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw fresh images, or latent walks, as one picture."""
    from gander.actions import sample as draw
    from gander.pictures.sheet import save_png

    found = find_run(run)
    stem = f"{'walk' if walk else 'sample'}-seed{seed}"
    ends = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    free = (found.path / "samples" / f"{stem}{end}.png" for end in ends)
    path = to or next(path for path in free if not path.exists())
    check_free(path)
    if to is None:
        path.parent.mkdir(parents=True, exist_ok=True)  # of a pretrained generator
    moves = path.suffix in (".gif", ".webp")
    if path.suffix != ".png" and not (moves and walk):
        raise UsageError(f'--to "{path}": give a name that ends in .png; with --walk, .gif and .webp move')
    check_folder(path)
    asked = n or (8 if walk else 100), classes or (), seed
    device = os.environ.get("GANDER_DEVICE", "cpu")
    if moves:
        draw.save_animation(draw.animate(found, *asked, device=device), path)
    else:
        save_png((draw.walk if walk else draw.sample)(found, *asked, device=device), path)
    if as_json:
        say(json.dumps({"run": str(found.path), "picture": str(path), "seed": seed}))
    else:
        say(f"{'walk' if walk else 'samples'} {path}")
        say_next("sample", found.path, "--seed", seed + 1)


def runs(as_json: Json = False) -> None:
    """List the runs, newest first, and the pretrained generators that stand for one."""
    rows, shipped = [_summary(run) for run in list_runs()], [_offer(run) for run in list_pretrained()]
    if as_json:
        say(json.dumps(rows + shipped))
        return
    if shipped:
        table = make_table("pretrained", "what", "data", "images", "size", "scores")
        for row in shipped:
            shown = [f"{name} {row['scores'][name]['value']:.3g}" for name in _SHOWN if name in row["scores"]]
            size = f"{row['bytes'] / 2**20:.1f} MiB"
            add_row(
                table, row["run"], row["title"], row["data"], f"{row['images']:,}", size, ", ".join(shown)
            )
        print_table(table)
    if not rows:
        say(f"no run in {runs_root()} yet\nnext    gander train quickstart")
        return
    table = make_table("run", "what", "edits", "seed", "data", "images", "fd-judge", "state", "began")
    for row in rows:
        done, best = f"{row['images']:,} / {row['total']:,}", row.get("fd-judge")
        more = (
            row.get("edits", ""),
            str(row.get("seed", "")),
            row["data"],
            done,
            f"{best:.3g}" if best else "",
        )
        add_row(table, row["run"], row["title"], *more, row["state"], row["began"])
    print_table(table)
    say_next("sample", rows[0]["run"])


def _offer(run: Pretrained) -> dict[str, Any]:
    title, data, card = recipe_tree(str(run.recipe_file))["title"], run.env()["data"]["source"], run.card
    own = {"run": run.name, "title": title, "data": data, "state": "pretrained", "total": card["images"]}
    return own | {name: card[name] for name in ("images", "bytes", "scores")}


def _summary(run: Run) -> dict[str, Any]:
    summary: dict[str, Any] = {"run": str(run.path), "title": "", "data": "", "images": 0, "total": 0}
    try:
        history, env = run.history(), run.env()
        recipe = recipe_tree(str(run.recipe_file))
    except GanderError as error:  # one damaged run must not hide the others
        return summary | {"state": f"damaged: {error.problems[0]}", "began": ""}
    images = max([run.trained_images(), *history.images[-1:]])
    state = "training" if in_use(run) else run.state()["state"]
    if state == "unknown":  # of before runs said so themselves
        state = "finished" if images >= env["images_total"] else "stopped"
    loss = history.last("loss/g")
    return summary | {
        "title": recipe["title"],
        "edits": env.get("edits", ""),
        "seed": recipe["seed"],
        "fd-judge": (run.best_score() or {}).get("fd-judge"),
        "data": Path(env["data"]["source"]).name,
        "images": images,
        "total": env["images_total"],
        "state": state,
        "began": datetime.fromisoformat(env["started"]).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "loss/g": loss if math.isfinite(loss) else None,
    }


def recipes(
    name: Annotated[str | None, typer.Argument(help="Show this one, as it can be copied.")] = None,
    other: Annotated[str | None, typer.Argument(help="Show the edits that make this of NAME.")] = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="With every setting and its value.")] = False,
    as_json: Json = False,
) -> None:
    """List the shipped recipes, show one, or show how two differ; both may be .toml files."""
    if name is None:
        titles = {known: recipe_tree(known).get("title", "") for known in recipe_names()}
        if as_json:
            say(json.dumps(titles))
            return
        table = make_table("recipe", "what it is")
        for row in titles.items():
            add_row(table, *row)
        print_table(table)
        say("next    gander recipes NAME shows one; gander train NAME runs it")
    elif other is None:
        tree, text = recipe_tree(name), recipe_text(name)
        if resolved:
            from gander.recipe.read import load_recipe
            from gander.recipe.write import recipe_toml

            whole = load_recipe(name)
            tree, text = whole.as_tree(), recipe_toml(whole)
        say(json.dumps({"name": name, "recipe": tree}) if as_json else text.rstrip())
        if not as_json and sys.stdout.isatty():  # a copy by > FILE stays a recipe
            say(f"\n# next    gander train {name}, or copy it: gander recipes {name} > mine.toml")
    else:
        from gander.recipe.read import load_recipe

        patch = load_recipe(name).diff(load_recipe(other))
        lines = [show_patch({path: value}) for path, value in patch.items()]
        say(json.dumps(patch) if as_json else "\n".join(lines or [f"{name} and {other} are the same"]))


def data(
    source: Annotated[
        str | None, typer.Argument(metavar="[NAME|PATH]", help="A name, or a folder or file.")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", min=8, max=128, help="Make images square, pixels a side.")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="train or test.")] = "train",
    image: Annotated[str, typer.Option("--image", help="The column of the images.", show_default=False)] = "",
    label: Annotated[str, typer.Option("--label", help="The column of the labels.", show_default=False)] = "",
    to: Annotated[
        Path | None, typer.Option("--to", help="Draw some of the images, a row a class: a new .png.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the data sets known by name, or check one: every broken image and label, counts, channel means."""
    from gander.data.check import draw_images, inspect_data
    from gander.data.images import open_images
    from gander.data.names import NAMED, SHAPES
    from gander.data.origins import listed, other_sizes
    from gander.pictures.sheet import save_png

    if source is None:
        names = [SHAPES, *NAMED]
        say(json.dumps(names) if as_json else "\n".join([*names, "next    gander data NAME, or a path"]))
        return
    if to is not None:
        _check_picture(to)
    summary = inspect_data(source, size=size, split=split, columns=(image, label))
    if as_json:
        say(json.dumps(summary.as_dict()))
    else:
        for figure, value in summary.rows():
            say(f"{figure:<14} {value}")
        for line in listed(summary.problems):
            say(f"  {line}")
    if to is not None:
        save_png(draw_images(open_images(source, "", size, split, True, (image, label))), to)
        say(f"sheet          {to}")
    if count := len(summary.problems):
        what = "image or label" if count == 1 else "images or labels"
        hint = f"gander data {shlex.quote(source)} --size 32" if other_sizes(summary.problems) else ""
        raise DataError(f"{source}: {count:,} {what} cannot be used", hint=hint)
    if not as_json:
        chosen = {"data": source, "data.size": size, "data.image": image, "data.label": label}
        edits = show_patch({path: value for path, value in chosen.items() if value})
        say(f"next    gander train RECIPE {edits}")


def explain(
    name: Annotated[
        str | None, typer.Argument(help="A technique, as in a recipe, or a finding's code.")
    ] = None,
) -> None:
    """Say what a technique does, or what a finding means, and its source; without a name, list them all."""
    from gander.doctor.codes import codes

    if name is not None and (code := codes().get(name)):
        say(f"{name}: {code.title}\n")
        for heading, text in code.about():
            say(textwrap.fill(f"{heading:<11} {text}", 100, subsequent_indent=" " * 12))
        say("next    gander explain lists the others")
        return
    from gander.recipe.read import nameable

    plugin, _, kind = (name or "").rpartition(".")  # `my_module.edges` is a kind of a user's own module
    slots = nameable(plugin)
    if name is None:
        for slot, kinds in slots.items():
            say(f"{slot}: {', '.join(kinds)}")
        say(f"findings: {', '.join(codes())}")
        say("next    gander explain r1")
        return
    found = [(slot, kinds[kind]) for slot, kinds in slots.items() if kind in kinds]
    if not found:
        near = did_you_mean(kind, itertools.chain(*slots.values(), codes()))
        raise UsageError(f'no technique or finding is called "{kind}"{near}', hint="gander explain")
    for slot, model in found:
        say(f'{slot}: {{ kind = "{kind}" }}\n\n{inspect.getdoc(model)}\n')
        for setting, field in model.model_fields.items():
            if setting != "kind":
                default = "needed" if field.is_required() else f"default {_default(field.get_default())}"
                about = f"  {field.description}" if field.description else ""
                say(f"  {field.alias or setting:<14} {default}{about}")
    say("next    gander explain lists the others; gander recipes shows them in use")


def _check_picture(path: Path) -> None:
    """Raise UsageError where a picture cannot be written there."""
    check_free(path)
    if path.suffix != ".png":
        raise UsageError(f'--to "{path}": give a name that ends in .png')
    check_folder(path)


def _default(value: Any) -> str:
    return f'"{value.kind}"' if hasattr(value, "kind") else json.dumps(value, default=str)
