"""What a compiler, and a CUDA graph behind it, gets to see: whole nets on the device, and twice at most."""

from __future__ import annotations

import pytest
import torch

from gander.engine.machine import Machine
from gander.recipe.read import load_recipe
from tests.accelerator import META, pretended, trainer_on_meta

CONDITIONAL = ["quickstart", "shapes-sngan", "shapes-r3"]  # stacks, residual nets, R3; labels in each


class Captured:
    """A compiler that keeps what it is given, and runs it as it is."""

    def __init__(self):
        self.graphs = []

    def __call__(self, graph, inputs):
        self.graphs.append(graph)
        return graph.forward

    def devices(self):
        """The devices of all that comes in, goes out or lies between; numbers alone lie nowhere."""
        values = [node.meta.get("example_value") for graph in self.graphs for node in graph.graph.nodes]
        return {value.device for value in values if isinstance(value, torch.Tensor)}


@pytest.fixture
def captured(monkeypatch):
    backend, compiler = Captured(), torch.compile

    def whole(net, dynamic, mode):
        assert mode == "reduce-overhead"
        return compiler(net, dynamic=dynamic, fullgraph=True, backend=backend)  # fails where a graph breaks

    monkeypatch.setattr(torch, "compile", whole)
    return backend


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler's own
@pytest.mark.parametrize("name", CONDITIONAL)
def test_graphs_hold_whole_nets_and_none_is_made_after_the_second_step(name, captured):
    with pretended():
        trainer = trainer_on_meta(load_recipe(name, ()), machine=Machine(META, compiled="graphs"))
        for _ in range(2):
            trainer.step()
        made = len(captured.graphs)
        assert made
        for _ in range(3):
            trainer.step()
    assert len(captured.graphs) == made
    assert captured.devices() == {META}
