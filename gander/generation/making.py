"""Images of a stream, made, encoded and written at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import groupby

from gander.chance import rank, world_size
from gander.data.formats.format import Batch, image_file
from gander.data.origins import Pixels
from gander.engine.distributed import wait_for_all
from gander.files import storage_error, sync
from gander.generation.draft import AGAIN, Draft, save_part
from gander.generation.stream import Indices, Stream

_AHEAD = 4  # blocks that are made while others are encoded and written


def make_parts(draft: Draft, stream: Stream, progress: Callable[[int], object]) -> None:
    """Make this process's share of the missing parts, then wait for the others.

    Args:
        progress: hears how many more images are written.
    Raises: StorageError where the disk refuses.
    """
    mine = [part for part in draft.missing() if part % world_size() == rank()]
    making = draft.parts / f".making-{rank()}"
    try:
        with closing(_batches(draft, stream, mine, progress)) as batches:
            for part, own in groupby(batches, lambda batch: batch.first // draft.rows):
                save_part(making, own)
                sync(making)
                making.rename(draft.part(part))
    except OSError as error:
        making.unlink(missing_ok=True)
        refused = storage_error(error, draft.target.draft, AGAIN)
        there = f"{draft.count - len(draft.missing())} of {draft.count} parts are there, whole"
        refused.problems = (*refused.problems, there)
        raise refused from None
    wait_for_all()


def _batches(
    draft: Draft, stream: Stream, parts: list[int], progress: Callable[[int], object]
) -> Generator[Batch, None, None]:
    """Return the images of parts block by block, each of one part.

    One thread keeps the net busy and is a few blocks ahead; two encode what it has made.
    """
    plan = draft.plan

    def blocks() -> Iterator[tuple[Indices, Pixels]]:
        for part in parts:
            rows = draft.rows_of(part)
            places = rows if plan.places is None else plan.places[rows]
            yield from ((rows[chosen], pixels) for chosen, pixels in stream.at(places))

    def encode(rows: Indices, pixels: Pixels) -> Batch:
        images = [image_file(image) for image in pixels] if draft.format.png else pixels
        labels = None if plan.labels is None else plan.labels[rows]
        confidence = None if plan.confidence is None else plan.confidence[rows]
        return Batch(int(rows[0]), images, labels, confidence)

    coming_blocks = blocks()

    def make() -> Future[Batch] | None:
        block = next(coming_blocks, None)
        return None if block is None else encoders.submit(encode, *block)

    with ThreadPoolExecutor(2) as encoders, ThreadPoolExecutor(1) as maker:
        coming = deque(maker.submit(make) for _ in range(_AHEAD))
        while (batch := coming.popleft().result()) is not None:
            coming.append(maker.submit(make))
            yield batch.result()
            progress(len(batch.result().images))
