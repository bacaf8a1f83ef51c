"""Inception-v3: the published sizes and names, both forms of pooling, a block by its formula, files of both kinds."""

import pytest
import torch
import torch.nn.functional as F

from bestiary.networks.inception import BLOCKS, STEM, Inception, torchvision_names


@pytest.fixture(scope="module")
def fid() -> Inception:
    torch.manual_seed(0)
    return Inception(1008).eval()


def test_published_numbers_of_parameters() -> None:
    """torchvision's 27,161,264, less 3,326,696 of the head for training; and without the head of 1000 classes."""
    assert sum(p.numel() for p in Inception(1000).parameters()) == 27_161_264 - 3_326_696
    assert sum(p.numel() for p in Inception().parameters()) == 27_161_264 - 3_326_696 - 2049 * 1000


def test_names_and_shapes_are_torchvisions(fid: Inception) -> None:
    state = fid.state_dict()
    assert len(state) == 94 * 6 + 2  # 94 convolutions, each with BatchNorm's five
    for name, shape in {
        "Conv2d_4a_3x3.conv.weight": (192, 80, 3, 3),
        "Mixed_5d.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_5b.branch3x3dbl_3.bn.running_var": (96,),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6b.branch7x7dbl_5.conv.weight": (192, 128, 1, 7),
        "Mixed_6d.branch7x7_2.conv.weight": (160, 160, 1, 7),
        "Mixed_7a.branch7x7x3_3.conv.weight": (192, 192, 7, 1),
        "Mixed_7c.branch3x3_2a.conv.weight": (384, 384, 1, 3),
        "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
        "Mixed_7b.branch_pool.conv.weight": (192, 1280, 1, 1),
        "fc.weight": (1008, 2048),
    }.items():
        assert state[name].shape == shape


def test_maps_are_as_large_as_published(fid: Inception) -> None:
    with torch.no_grad():
        found = {name: (h.shape[1], h.shape[2]) for name, h in fid.maps(torch.zeros(1, 3, 299, 299))}
    assert [found[name] for name in STEM] == [(32, 149), (32, 147), (64, 147), (80, 73), (192, 71)]
    fives, sixes, sevens = [(256, 35), (288, 35), (288, 35)], [(768, 17)] * 5, [(1280, 8), (2048, 8), (2048, 8)]
    assert [found[name] for name in BLOCKS] == fives + sixes + sevens


def conv(net: Inception, name: str, x: torch.Tensor, **options: object) -> torch.Tensor:
    """conv → BatchNorm → ReLU from the raw weights."""
    w = {k.removeprefix(name + "."): v for k, v in net.state_dict().items() if k.startswith(name + ".")}
    h = F.conv2d(x, w["conv.weight"], **options)
    h = F.batch_norm(h, w["bn.running_mean"], w["bn.running_var"], w["bn.weight"], w["bn.bias"], eps=1e-3)
    return h.relu()


def test_blocks_by_their_formulas(fid: Inception) -> None:
    """6b has paths with wide and tall kernels, 7a halves the grid, 7c forks and takes the largest."""
    g = torch.Generator().manual_seed(1)
    state = fid.state_dict()
    for name, value in state.items():
        if name.endswith(("running_mean", "bn.bias")):
            value.copy_(torch.randn(value.shape, generator=g) * 0.1)  # in place: the network's own
    x = torch.rand(2, 768, 9, 9, generator=g)
    b = "Mixed_6b.branch"
    seven = conv(fid, b + "7x7_2", conv(fid, b + "7x7_1", x), padding=(0, 3))
    h = conv(fid, b + "7x7dbl_1", x)
    for i in (2, 3, 4, 5):
        h = conv(fid, f"{b}7x7dbl_{i}", h, padding=(0, 3) if i % 2 else (3, 0))
    pooled = F.avg_pool2d(x, 3, 1, 1) / F.avg_pool2d(torch.ones_like(x), 3, 1, 1)  # without the padding
    parts = [conv(fid, b + "1x1", x), conv(fid, b + "7x7_3", seven, padding=(3, 0)), h, conv(fid, b + "_pool", pooled)]
    with torch.no_grad():
        torch.testing.assert_close(fid.get_submodule("Mixed_6b")(x), torch.cat(parts, 1))
    b = "Mixed_7a.branch"
    three = conv(fid, b + "3x3_2", conv(fid, b + "3x3_1", x), stride=2)
    h = conv(fid, b + "7x7x3_2", conv(fid, b + "7x7x3_1", x), padding=(0, 3))
    h = conv(fid, b + "7x7x3_4", conv(fid, b + "7x7x3_3", h, padding=(3, 0)), stride=2)
    with torch.no_grad():
        found = fid.get_submodule("Mixed_7a")(x)
    torch.testing.assert_close(found, torch.cat([three, h, F.max_pool2d(x, 3, 2)], 1))
    x, b = torch.rand(1, 2048, 4, 4, generator=g), "Mixed_7c.branch"
    three, double = conv(fid, b + "3x3_1", x), conv(fid, b + "3x3dbl_2", conv(fid, b + "3x3dbl_1", x), padding=1)
    parts = [conv(fid, b + "1x1", x)]
    for start, h in (("3x3_2", three), ("3x3dbl_3", double)):
        parts += [conv(fid, b + start + "a", h, padding=(0, 1)), conv(fid, b + start + "b", h, padding=(1, 0))]
    parts.append(conv(fid, b + "_pool", F.max_pool2d(x, 3, 1, 1)))
    with torch.no_grad():
        torch.testing.assert_close(fid.get_submodule("Mixed_7c")(x), torch.cat(parts, 1))


def test_the_two_forms_differ_in_pools_only() -> None:
    """With equal weights: in 5b at the border of the last channels, in 7c in its last channels everywhere."""
    published, plain = Inception().eval(), Inception(1000).eval()
    plain.load_state_dict(
        {**published.state_dict(), "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    )
    for name, width, border_only in (("Mixed_5b", 192, True), ("Mixed_7c", 2048, False)):
        x = torch.rand(1, width, 5, 5, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            a, b = (net.get_submodule(name)(x) for net in (published, plain))
        pooled = a.shape[1] - published.get_submodule(name)["branch_pool"].conv.out_channels
        torch.testing.assert_close(a[:, :pooled], b[:, :pooled])
        same = torch.isclose(a[:, pooled:], b[:, pooled:]).all(1)[0]
        assert not bool(same[0].any())
        assert bool(same[1:-1, 1:-1].all()) == border_only


def test_logits_of_the_published_form_have_no_bias(fid: Inception) -> None:
    x = torch.rand(1, 3, 75, 75)  # the smallest that the stem and the blocks leave anything of
    with torch.no_grad():
        torch.testing.assert_close(fid(x), fid.features(x) @ fid.fc.weight.T)
        plain = Inception(1000).eval()
        torch.testing.assert_close(plain(x), plain.features(x) @ plain.fc.weight.T + plain.fc.bias)


def test_numbered_names_are_renamed_and_the_training_head_left_out(fid: Inception) -> None:
    """The wrapper's layers in its order; its third and sixth are pools and have no weights."""
    state = {k: v for k, v in fid.state_dict().items() if not k.startswith("fc")}
    parts = (*STEM,)[:3], (*STEM,)[3:], (*BLOCKS,)[:8], (*BLOCKS,)[8:]
    number = {name: f"blocks.{i}.{j}" for i, names in enumerate(parts) for j, name in enumerate(names)}
    numbered = {}
    for key, value in state.items():
        layer, _, rest = key.partition(".")
        numbered[f"{number[layer]}.{rest}"] = value
    found = torchvision_names(numbered)
    assert found.keys() == state.keys()
    assert all(found[k] is state[k] for k in state)
    assert torchvision_names({**state, "AuxLogits.fc.bias": torch.zeros(1)}).keys() == state.keys()
