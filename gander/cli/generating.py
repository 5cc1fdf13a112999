"""The verb that makes data sets: generate."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from dataclasses import replace

import torch

from gander.chance import rank, world_size
from gander.cli.progress import counting, duration, say
from gander.engine.distributed import process_group
from gander.engine.machine import choose_machine, wants_cuda
from gander.generate.produce import Producer, Wishes
from gander.recipe.schema import Engine
from gander.run import find_run


def generate_verb(name: str, wishes: Wishes, as_json: bool) -> None:
    """Make a data set of a run's images, or go on with one."""
    began = time.monotonic()
    # The card is for others: they are not told where things lie on this machine.
    words = [re.sub(r"(^|=)/.*/(?!best\.safetensors)", r"\1", word) for word in sys.argv[1:]]
    command = shlex.join(["gander", *words])
    run = find_run(name)
    with process_group(wants_cuda(Engine())):
        machine = choose_machine(Engine(precision="float32"))
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True  # equal bytes
        producer = Producer(run, replace(wishes, command=command), str(machine.device))
        speaks = rank() == 0
        with counting(producer.total // world_size(), as_json or not speaks) as tell:
            made = producer.produce(tell)
    if not speaks:
        return
    seconds = time.monotonic() - began
    if as_json:
        where = {"to": str(made.target.path), "files": [str(file) for file in made.files]}
        say(json.dumps(where | {"seconds": round(seconds, 1)} | made.told))
        return
    for reason, count in made.told["dropped"].items():
        say(f"dropped {count:,} {reason}")
    say(f"data    {made.files[0]}" + (f" and {len(made.files) - 1} more" if len(made.files) > 1 else ""))
    folder = made.target.path.parent if made.target.is_file else made.target.path
    say(f"card    {folder / made.target.beside('README.md')}")
    say(f"        {wishes.n:,} images in {duration(seconds)}, {wishes.n / seconds:,.0f} a second")
    use = " --use" if made.told["counts"] else ""
    say(f"next    gander evaluate {made.target.path} --against DATA{use}")
