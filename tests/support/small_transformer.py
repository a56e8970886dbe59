"""A small transformer as a user would bring it: a plain module with parameters of every kind."""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from marey.models.layers.checkpointing import Blocks
from marey.models.layers.config import Initialisation
from marey.models.layers.drop_path import DropPath

WIDTH, DEPTH = 8, 3


class OwnNorm(nn.Module):
    """A norm that torch does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * x / (x.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()


class Attention(nn.Module):
    """One head with a table of relative positions, which it names itself."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.relative = nn.Parameter(torch.zeros(5, 5))

    def no_decay(self) -> frozenset[str]:
        return frozenset({"relative"})

    def set_initial_values(self, how: Initialisation) -> None:
        nn.init.constant_(self.relative, 0.5)

    def forward(self, x_BND: Tensor) -> Tensor:
        q, k, v = self.qkv(x_BND).chunk(3, dim=-1)
        return scaled_dot_product_attention(q, k, v, attn_mask=self.relative)


class Block(nn.Module):
    """Attention and two linear layers, each behind a norm and in a residual branch."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.RMSNorm(WIDTH)
        self.attention = Attention()
        self.fc1, self.fc2 = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.dropout = nn.Dropout(0.1)
        self.drop_path = DropPath()

    def forward(self, x_BND: Tensor) -> Tensor:
        x_BND = x_BND + self.drop_path(self.attention(self.norm1(x_BND)))
        return x_BND + self.drop_path(self.fc2(self.dropout(self.fc1(self.norm2(x_BND)).relu())))


class SmallTransformer(nn.Module):
    """[B, 3, 2, 32, 32] to [B, 2]: four patches and a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Conv3d(3, WIDTH, (2, 16, 16), stride=(2, 16, 16))
        self.group_norm = nn.GroupNorm(2, WIDTH)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.zeros(1, 5, WIDTH))
        self.wide_norm = nn.LayerNorm((5, WIDTH))
        self.blocks = Blocks(*(Block() for _ in range(DEPTH)))
        self.norm = OwnNorm()
        self.head = nn.Linear(WIDTH, 2)

    def no_decay(self) -> frozenset[str]:
        return frozenset({"cls_token", "pos_embed"})

    def layer_depth(self, parameter_name: str) -> int:
        first, *rest = parameter_name.split(".")
        if first == "blocks":
            return int(rest[0]) + 1
        return DEPTH + 1 if first in ("norm", "head") else 0

    def set_initial_values(self, how: Initialisation) -> None:
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        patches_BND = self.group_norm(self.patch_embed(clip_BCTHW)).flatten(2).transpose(1, 2)
        x_BND = torch.cat([self.cls_token.expand(len(patches_BND), -1, -1), patches_BND], dim=1)
        return self.head(self.norm(self.blocks(self.wide_norm(x_BND + self.pos_embed)))[:, 0])
