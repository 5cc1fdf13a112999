"""Adam moves weights to the bit as torch's own does."""

import torch

from gander.engine.adam import Adam


def test_every_step_is_to_the_bit_that_of_torchs_fused_adam():
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in ((3, 4, 2, 2), (5,), (2, 3))]
    ours[0].data = ours[0].data.to(memory_format=torch.channels_last)
    theirs = [torch.nn.Parameter(weight.detach().clone()) for weight in ours]
    adam, reference = Adam(ours), torch.optim.Adam(theirs, fused=True)
    for step in range(5):
        lr, beta2 = 0.01 / (step + 1), 0.9 + 0.01 * step
        reference.param_groups[0].update(lr=lr, betas=(0.5, beta2))
        for place, (weight, twin) in enumerate(zip(ours, theirs, strict=True)):
            weight.grad = None if place == step == 2 else torch.randn_like(weight)  # one is left out once
            twin.grad = None if weight.grad is None else weight.grad.clone()
        adam.step(lr, 0.5, beta2)
        reference.step()
        assert all(torch.equal(weight, twin) for weight, twin in zip(ours, theirs, strict=True))
        assert all(weight.grad is None for weight in ours)


def test_moments_lie_in_memory_as_their_weights_do():
    weight = torch.nn.Parameter(torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last))
    weight.grad = torch.ones_like(weight)
    adam = Adam([weight])
    adam.step(0.1, 0.9, 0.999)
    assert adam.state[weight]["exp_avg"].stride() == weight.stride()
