"""What the documents say is so: README's commands run, its tables are complete."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gander.recipe.shipped import parse_recipe, recipe_names, recipe_text

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
SHORT = ["train.images=64", "train.batch=8", "samples.columns=2", "engine.threads=1"]


def blocks(language: str = "") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks() for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith(("gander ", "torchrun "))]


def runnable(words: list[str], data: Path) -> list[str]:
    """Make a command short, and let it read local data where it would download."""
    if words[0] == "torchrun":
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        words = launcher + words[1:]
    else:
        words = [sys.executable, "-m", "gander", *words[1:]]
    if "train" in words:
        words += SHORT
        if any(word.startswith("cifar10") for word in words):
            words.append(f"data.path={data / 'cifar10'}")
        if any(word.endswith("-fast") for word in words):
            words = [word.replace("PATH", "shapes") for word in words]
            words += ["features.epochs=1", "features.width=4"]
    return [str(data / word) if words[3] == "data" and word == "cifar10" else word for word in words]


@pytest.mark.slow
def test_every_command_of_the_readme_runs_in_its_order(tmp_path: Path, shared: Path) -> None:
    env = {**os.environ, "GANDER_RUNS": str(tmp_path / "runs"), "OMP_NUM_THREADS": "1"}
    said = commands()
    assert len(said) >= 9
    for words in said:
        if words[:2] == ["gander", "recipes"] and "NAME" in words:
            continue
        done = subprocess.run(
            runnable(words, shared / "data"),
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=240,
        )
        finds = words[1] in ("check", "diagnose")  # whose 1 is an answer
        assert done.returncode in (0, finds), f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_the_python_lines_of_the_readme_run(tmp_path: Path) -> None:
    (lines,) = blocks("python")
    assert len([line for line in lines.splitlines() if line]) < 10
    lines = lines.replace("train.images=2000", "train.images=128")
    env = {**os.environ, "GANDER_RUNS": str(tmp_path / "runs"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", lines + "\nassert images.shape == (10, 3, 32, 32)\n"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "fifty.png").exists()


def test_the_readme_lists_every_recipe_with_its_title() -> None:
    for name in recipe_names():
        title = parse_recipe(recipe_text(name), name)["title"]
        assert f"| `{name}` | {title} |" in README


def test_the_readme_lists_the_formats_that_are_written_as_their_table_does() -> None:
    from gander.data.formats.all import format_table

    named = [("`, `".join(names.split(", ")), about) for names, about in format_table()]
    rows = "".join(f"| `{names}` | {about} |\n" for names, about in named)
    assert f"| format | is |\n|---|---|\n{rows}\n" in README


def test_the_readme_opens_with_the_two_commands_and_shows_what_comes_out() -> None:
    first, second = blocks()[:2]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make quickstart", "make test"]
    assert "gander sample" in second
    (picture,) = re.findall(r"!\[.*?\]\((.*?)\)", README)
    assert (ROOT / picture).is_file()


def test_the_documents_name_no_verb_or_exit_code_that_is_not_there() -> None:
    from typer.main import get_command

    from gander.cli.main import app

    verbs = set(get_command(app).commands)  # type: ignore[attr-defined]
    for file in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        named = set(re.findall(r"`gander ([a-z]+)", file.read_text("utf-8")))
        assert named <= verbs, f"{file.name} names {named - verbs}"


def test_the_exit_codes_of_the_readme_are_those_of_the_errors() -> None:
    from gander import errors

    classes = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    kinds = [kind for kind in classes if issubclass(kind, errors.GanderError)]
    told = README[README.index("Exit codes:") :].split("\n\n")[0]
    for kind in kinds:
        if kind is not errors.GanderError:
            assert re.search(rf"\b{kind.exit_code}\b", told), kind
