"""The torch hash grid against tiny-cuda-nn itself, where that is installed."""

import importlib.util

import pytest
import torch

from inve_core.encodings.hashgrid import GridSettings, HashGrid

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        importlib.util.find_spec("tinycudann") is None, reason="tinycudann is not installed here"
    ),
]


@pytest.mark.parametrize(
    "settings",
    [
        GridSettings(dims=2, levels=8, features=2, log2_table=15, base=16, growth=1.5),
        GridSettings(dims=3, levels=10, features=2, log2_table=14, base=16, growth=1.25),
        GridSettings(dims=3, levels=4, features=2, log2_table=19, base=4, growth=1.6),
    ],
)
@pytest.mark.parametrize("n", [256, 1000])
def test_agrees_in_values_and_gradients(settings, n):
    import tinycudann

    config = {
        "otype": "HashGrid",
        "n_levels": settings.levels,
        "n_features_per_level": settings.features,
        "log2_hashmap_size": settings.log2_table,
        "base_resolution": settings.base,
        "per_level_scale": settings.growth,
    }
    theirs = tinycudann.Encoding(settings.dims, config, dtype=torch.float32)
    ours = HashGrid(settings).cuda()
    assert theirs.params.numel() == ours.table.numel()
    generator = torch.Generator("cuda").manual_seed(0)
    with torch.no_grad():
        ours.table.normal_(generator=generator)
        theirs.params.copy_(ours.table.flatten())
    # The borders of the unit cube are where dense indexing wraps around.
    x = torch.rand(n, settings.dims, device="cuda", generator=generator)
    x[:2] = torch.tensor([[0.0], [1.0]], device="cuda")
    weight = torch.randn(n, ours.output_dims, device="cuda", generator=generator)
    results = []
    for encode, table in ((theirs, theirs.params), (ours, ours.table)):
        here = x.clone().requires_grad_()
        encoded = encode(here).float()
        (encoded * weight).sum().backward()
        assert here.grad is not None
        results.append((encoded.detach(), here.grad, table.grad.flatten()))
    for expected, actual in zip(*results, strict=True):
        # Both are single precision; positions near a vertex differ by rounding of scale times input.
        assert (expected - actual).abs().max() <= 2e-3 * expected.abs().max()
        assert (expected - actual).abs().mean() <= 1e-5 * expected.abs().max()
