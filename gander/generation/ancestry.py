"""Every net and data set that weights or images descend from, so that none of these nets scores them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gander.data.formats.all import suffix_of
from gander.data.images import Images
from gander.errors import DataError
from gander.scores.judge import Judge, judges_of, load_judge, no_judge

Ancestor = dict[str, Any]
Ancestry = Sequence[Ancestor]
"""Each has a `kind` (data, run, features.KIND, judge, unknown) and, as fits, `digest` (sha256 in hex),
`source`, `images`, `design`, `data` (its digest), `seed`, `accuracy`."""


def each_once(ancestry: Iterable[Ancestor]) -> list[Ancestor]:
    """Drop what was named before."""
    return [*{json.dumps(ancestor, sort_keys=True): ancestor for ancestor in ancestry}.values()]


def of_data(images: Images) -> list[Ancestor]:
    """Name a data set and, where gander generated it, what it descends from."""
    own = {"kind": "data", "source": Path(images.source).name, "digest": images.digest, "images": len(images)}
    return [own, *(of_card(images) or ())]


def of_card(images: Images) -> list[Ancestor] | None:
    """Read the ancestry of generated images from the card in their folder, or beside their file.

    None where gander did not generate them; of kind `unknown` where the card is of before it was recorded.
    """
    path = Path(images.path)
    beside = f"{path.name.removesuffix(suffix_of(path.name))}.dataset.json"
    with suppress(OSError, ValueError, TypeError):  # no card, or that of another program
        card = path / "dataset.json" if path.is_dir() else path.with_name(beside)
        facts = json.loads(card.read_text("utf-8"))
        if images.path and "labels_are" in facts:
            return facts.get("ancestry", [{"kind": "unknown", "source": path.name}])
    return None


def of_judge(judge: Judge) -> Ancestor:
    """Name a judge."""
    record = judge.record
    own = {"kind": "judge", "digest": judge.digest, "design": f"judge of width {record.width}"}
    return own | {"data": record.digest, "seed": record.seed, "accuracy": record.accuracy}


def find_independent_judge(images: Images, ancestry: Ancestry, device: str = "cpu") -> tuple[Judge, str]:
    """Give the first judge of these data that is no ancestor, and a line where others were passed over.

    Raises: DataError where there is none, with the command that trains one.
    """
    refused, seeds = "", {ancestor.get("seed") for ancestor in ancestry}
    for path in judges_of(images):
        judge = load_judge(path, device)
        if not _is_ancestor(judge, ancestry):
            return judge, refused and f"{refused}, and {judge.description} does"
        refused += "; " if refused else ""
        refused += f"{judge.description} taught or chose these images and may not score them"
        seeds.add(judge.record.seed)
    if not refused:
        raise no_judge(images)
    raise DataError(
        f"{images.source}: {refused}, and these data have no other judge",
        hint=f"gander judge {images.source} --size {images.size} --seed {min({*range(1000)} - seeds)}",
    )


def _is_ancestor(judge: Judge, ancestry: Ancestry) -> bool:
    own = of_judge(judge)  # with the same design, data and seed, it is the same net, trained further or less
    signs = [{name: own[name] for name in names} for names in (("digest",), ("design", "data", "seed"))]
    return any(sign.items() <= ancestor.items() for sign in signs for ancestor in ancestry)
