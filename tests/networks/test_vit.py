"""ViT: the published size and names, attention by loops, tokens without positions have no order."""

import torch

from bestiary.networks.vit import HEAD_WIDTH, Attention, ViT, build_vit


def test_published_number_of_parameters_and_names() -> None:
    net = ViT()
    assert sum(p.numel() for p in net.parameters()) == 21_665_664  # ViT-S/16: 21.67 million
    state = net.state_dict()
    assert len(state) == 4 + 12 * 12 + 2
    for name, shape in {
        "cls_token": (1, 1, 384),
        "pos_embed": (1, 197, 384),
        "patch_embed.proj.weight": (384, 3, 16, 16),
        "blocks.11.attn.qkv.weight": (1152, 384),
        "blocks.0.attn.proj.bias": (384,),
        "blocks.5.mlp.fc1.weight": (1536, 384),
        "blocks.5.norm2.bias": (384,),
        "norm.weight": (384,),
    }.items():
        assert state[name].shape == shape


def test_attention_by_loops() -> None:
    torch.manual_seed(0)
    layer, h = Attention(2 * HEAD_WIDTH).double(), torch.randn(2, 5, 2 * HEAD_WIDTH, dtype=torch.float64)
    expected = torch.zeros_like(h)
    w, c = layer.qkv.weight, layer.qkv.bias
    for b in range(2):
        for head in range(2):
            rows = [slice((2 * i + head) * HEAD_WIDTH, (2 * i + head + 1) * HEAD_WIDTH) for i in range(3)]  # of q, k, v
            q, k, v = (h[b] @ w[r].T + c[r] for r in rows)
            for t in range(5):
                share = torch.stack([q[t] @ k[u] / HEAD_WIDTH**0.5 for u in range(5)]).exp()
                expected[b, t, head * HEAD_WIDTH : (head + 1) * HEAD_WIDTH] = (share[:, None] * v).sum(0) / share.sum()
    torch.testing.assert_close(layer(h), expected @ layer.proj.weight.T + layer.proj.bias)


def small() -> ViT:
    torch.manual_seed(1)
    return ViT(side=16, patch=4, width=2 * HEAD_WIDTH, depth=2, hidden=24).eval()


def test_sizes_are_read_from_weights() -> None:
    net = small()
    again = build_vit(net.state_dict())
    again.load_state_dict(net.state_dict())
    x = torch.rand(2, 3, 16, 16)
    assert torch.equal(net(x), again(x))
    assert again.side == 16


def test_only_positions_tell_patches_apart() -> None:
    """Two patches exchanged: another token with positions, the same without."""
    net, x = small(), torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    y = x.clone()
    y[..., :4, :4], y[..., 8:12, 4:8] = x[..., 8:12, 4:8], x[..., :4, :4]
    with torch.no_grad():
        assert not torch.allclose(net(x), net(y), atol=1e-5)
        net.pos_embed.zero_()
        torch.testing.assert_close(net(x), net(y))
