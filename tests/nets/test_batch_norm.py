"""Batch norm of two processes is that of one that holds both halves of the batch."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from gander.nets.blocks import BatchNorm
from tests.tiny import finish, start

MAPS = {
    "plain": (0.5, 2.0),
    "a small deviation beside a large mean": (100.0, 0.001),
}


def norm_of(maps, weights, autocast):
    """What a batch norm makes of maps (N, 3, 4, 4), its gradients, and its running statistics."""
    norm = BatchNorm(3)
    norm.weight.data, norm.bias.data = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, -1.0])
    maps = maps.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        made = norm(maps.bfloat16() if autocast else maps)
    (slopes,) = torch.autograd.grad((made.float() * weights).sum(), maps, create_graph=True)
    ((made.float() * weights).sum() + slopes.square().sum()).backward()
    return {
        "made": made.detach(),
        "slopes": slopes.detach(),
        "twice": maps.grad,
        "gain": norm.weight.grad,
        "bias": norm.bias.grad,
        "mean": norm.running_mean,
        "variance": norm.running_var,
    }


def halves(rank, folder, autocast):
    """Do it as one of two processes, on its half."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    maps, weights = torch.load(folder / "given.pt")
    torch.save(norm_of(maps.chunk(2)[rank], weights.chunk(2)[rank], autocast), folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bf16"])
@pytest.mark.parametrize(("mean", "deviation"), MAPS.values(), ids=MAPS)
def test_two_processes_normalise_by_their_whole_batch(mean, deviation, autocast, tmp_path):
    torch.manual_seed(0)
    maps = mean + deviation * torch.randn(16, 3, 4, 4)
    maps[:8] += deviation  # the halves differ
    weights = torch.randn(16, 3, 4, 4)
    torch.save((maps, weights), tmp_path / "given.pt")
    processes = [start(halves, rank, tmp_path, autocast) for rank in range(2)]
    assert [finish(process) for process in processes] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    whole = norm_of(maps, weights, autocast)
    joined = {name: torch.cat([first[name], second[name]]) for name in ("made", "slopes", "twice")}
    joined |= {name: first[name] + second[name] for name in ("gain", "bias")}
    joined |= {name: first[name] for name in ("mean", "variance")}
    for name, tensor in joined.items():
        # Slopes of slopes go by deviation ** -4: torch's own are a thousandth off beside float64, too.
        coarse = 0.02 if autocast or name == "twice" else 1e-4
        assert tensor.dtype == whole[name].dtype
        torch.testing.assert_close(
            tensor, whole[name], rtol=coarse, atol=coarse * whole[name].abs().max().item()
        )
    assert first["mean"].dtype == first["variance"].dtype == torch.float32
