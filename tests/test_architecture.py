"""The design, held by tests: who may import whom, how large things may grow, what may not be said."""

from __future__ import annotations

import ast
import importlib
import re
import resource
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A module imports from the rows above its own, and from its own folder; never from its own row or below.
ROWS = (
    "errors",
    "patch schedule history",
    "registry",
    "files",
    "run",
    "chance pictures",
    "data techniques",
    "nets",
    "recipe",
    "doctor",
    "engine",
    "scores",
    "generation",
    "training",
    "actions",
    "launch",
    "study",
    "report",
    "dash",
    "cli",
)
ROW = {part: row for row, parts in enumerate(ROWS) for part in parts.split()}
TORCH_FREE = {
    "errors",
    "patch",
    "schedule",
    "history",
    "registry",
    "files",
    "run",
    "report",
    "doctor",
    "dash",
    "study",
}
TORCH = re.compile(r"(torch|torchvision|safetensors\.torch)(\.|$)")

# The package is counted in lines of code, without blanks, comments and docstrings: no reason is cut for room.
PACKAGE_LINES, FILE_LINES, CLASS_LINES, FUNCTION_LINES, PARAMETERS = 16_300, 400, 150, 60, 8
VAGUE = {"utils", "util", "misc", "helpers", "helper", "common"}


@dataclass(frozen=True)
class Import:
    """One module or name that a module imports, and how."""

    module: str
    name: str | None  # in `from module import name`
    line: int
    lazy: bool  # inside a function
    for_types: bool  # under `if TYPE_CHECKING`


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    tree: ast.Module

    @property
    def part(self) -> str:
        """The module or folder right under gander; "" for gander itself."""
        return self.name.partition(".")[2].partition(".")[0]

    @property
    def imports(self) -> list[Import]:
        return [*imports_in(self.tree, self)]

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(ROOT)}:{line}"


@cache
def modules() -> dict[str, Module]:
    found = {}
    for path in sorted((ROOT / "gander").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8")))
    return found


def imports_in(
    node: ast.AST, module: Module, lazy: bool = False, for_types: bool = False
) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, None, node.lineno, lazy, for_types)
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, f"{module.at(node.lineno)}: write the import absolutely"
        for alias in node.names:
            yield Import(node.module or "", alias.name, node.lineno, lazy, for_types)
    elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        for child in node.body:
            yield from imports_in(child, module, lazy, for_types=True)
        for child in node.orelse:
            yield from imports_in(child, module, lazy, for_types)
    else:
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from imports_in(child, module, lazy, for_types)


def target(imported: Import) -> str | None:
    """Give the module of gander that an import names; None for the version, and for what is not ours."""
    if imported.module.partition(".")[0] != "gander" or imported.name == "__version__":
        return None
    deeper = f"{imported.module}.{imported.name}"
    return deeper if deeper in modules() else imported.module


def with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def complaints(check: Callable[[Module], Iterator[str]]) -> str:
    return "\n".join(line for module in modules().values() for line in check(module))


def test_every_part_of_the_package_has_its_row():
    assert {module.part for module in modules().values()} - {"", "__main__"} <= ROW.keys()


def test_imports_go_downwards_only():
    def upwards(module: Module) -> Iterator[str]:
        for imported in module.imports:
            name = target(imported)
            part = name.partition(".")[2].partition(".")[0] if name else module.part
            if part != module.part and ROW.get(part, len(ROWS)) >= ROW.get(module.part, len(ROWS)):
                yield f"{module.at(imported.line)}: gander.{module.part} may not import {name}"

    assert not complaints(upwards)


def test_no_module_imports_itself_by_way_of_others():
    needs = {
        name: {found for each in module.imports if not each.for_types and (found := target(each))}
        for name, module in modules().items()
    }
    while free := {name for name, needed in needs.items() if not needed & needs.keys()}:
        needs = {name: needed for name, needed in needs.items() if name not in free}
    assert not needs, "these lie on a cycle, or import one"


def loaded_with(name: str) -> Iterator[tuple[str, Import]]:
    """Give every import that is made, at once and by way of others, when a module is imported."""
    waiting, seen = with_parents(name), set()
    while waiting:
        current = waiting.pop()
        if current in seen or current not in modules():
            continue
        seen.add(current)
        for imported in modules()[current].imports:
            if not imported.lazy and not imported.for_types:
                yield current, imported
                waiting += with_parents(target(imported) or "")


@pytest.mark.parametrize("part", sorted(TORCH_FREE))
def test_what_only_reads_runs_loads_no_torch(part: str):
    for name in [name for name, module in modules().items() if module.part == part]:
        for importer, imported in loaded_with(name):
            spelt = f"{imported.module}.{imported.name or ''}"
            assert not TORCH.match(spelt), f"{name} loads torch by way of {importer}"


def test_the_package_and_its_files_stay_small():
    lines = {
        module: len(module.path.read_text(encoding="utf-8").splitlines()) for module in modules().values()
    }
    assert sum(len(code_lines(module)) for module in modules().values()) < PACKAGE_LINES
    long = [f"{module.at(count)} is the last line" for module, count in lines.items() if count > FILE_LINES]
    assert not long, f"more than {FILE_LINES} lines"


def code_lines(module: Module, within: ast.AST | None = None) -> set[int]:
    """Give the lines of a module, or of a class in it, that are neither blank nor comment nor docstring."""
    documents = {
        line
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node, clean=False) is not None
        for line in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    skipped = {
        getattr(tokenize, name) for name in ("COMMENT", "NL", "NEWLINE", "INDENT", "DEDENT", "ENDMARKER")
    }
    with module.path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type not in skipped]
    lines = {line for token in tokens[1:] for line in range(token.start[0], token.end[0] + 1)} - documents
    if within is not None:
        lines &= {*range(within.lineno, (within.end_lineno or 0) + 1)}  # type: ignore[attr-defined]
    return lines


def test_classes_stay_small():
    large = [
        f"{module.at(node.lineno)} {node.name}: {count}"
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and (count := len(code_lines(module, node))) > CLASS_LINES
    ]
    assert not large, f"more than {CLASS_LINES} lines of code"


def test_functions_stay_short_and_say_what_they_take():
    def oversized(module: Module) -> Iterator[str]:
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            where = f"{module.at(node.lineno)}: {node.name}"
            length = (node.end_lineno or 0) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{where} has {length} lines"
            takes = node.args
            named = [one.arg for one in (*takes.posonlyargs, *takes.args, *takes.kwonlyargs)]
            count = len(named) + bool(takes.vararg) - (named[:1] in (["self"], ["cls"]))
            # A verb takes the options that a person may type, each by its name; so does what it calls.
            verb = module.part in ("cli", "actions")
            if count > PARAMETERS and not verb:
                yield f"{where} has {count} parameters"
            if takes.kwarg:
                yield f"{where} takes **{takes.kwarg.arg}: name what it takes"

    assert not complaints(oversized)


def test_no_module_has_a_name_that_says_nothing():
    assert not [name for name in modules() if VAGUE & set(re.split(r"[._]", name))]


def lists_public_names(module: Module) -> bool:
    return any(
        isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for node in module.tree.body
    )


@pytest.mark.parametrize("folder", [name for name, module in modules().items() if lists_public_names(module)])
def test_a_folder_that_lists_its_public_names_lists_all(folder: str):
    """That the list is sorted is held by the linter (RUF022)."""
    module = modules()[folder]
    listed = importlib.import_module(folder).__all__
    assert all(hasattr(importlib.import_module(folder), name) for name in listed)
    bound = {each.name for each in module.imports if not each.lazy and target(each)}
    bound |= {node.name for node in module.tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert {name for name in bound if name and not name.startswith("_")} <= set(listed)


def test_the_distribution_is_gander_gan_and_the_import_gander():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "gander-gan"
    assert project["scripts"] == {"gander": "gander.cli.main:main"}
    assert importlib.import_module("gander").__name__ == "gander"


def help_of_gander(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *flags, "-m", "gander", "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)


def test_help_answers_at_once():
    def seconds() -> float:
        """Processor time, for a busy machine is not our fault."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "train" in help_of_gander().stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.4


def test_help_loads_no_torch():
    loaded = {
        line.rpartition("|")[2].strip() for line in help_of_gander("-X", "importtime").stderr.splitlines()
    }
    assert "gander.cli.main" in loaded
    assert not [name for name in loaded if TORCH.match(name)]


@cache
def tracked() -> list[Path]:
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: no file is tracked")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_tracked_file_names_a_machine_or_a_package_registry():
    # Put together here, so that this file does not contain what it looks for.
    folders = "|".join("/" + folder for folder in ("work", "root", "home/[a-z]", "Users", "mnt"))
    registries = "pypi" + r"\.org|python" + r"hosted|registry" + r"\.npmjs"
    indices = r"index-url[ =]+\S+//(?!download\.pytorch\.org/)"
    forbidden = re.compile(rf"(?<![\w.~}}])({folders})/|{registries}|{indices}")
    said = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", errors="replace")
        said += [f"{path.relative_to(ROOT)}: {match[0]}" for match in forbidden.finditer(text)]
    assert not said


def test_no_tracked_file_is_large():
    def limit(path: Path) -> int:
        return (16 if path.suffix == ".safetensors" else 2) * 2**20

    assert not [path.name for path in tracked() if path.stat().st_size > limit(path)]
