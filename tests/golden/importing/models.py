"""Models that cannot be imported, each for one reason; the messages show their lines."""
# ruff: noqa: F821, I001, N812

import torch
from torch import nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self, width: int = 4):
        super().__init__()
        self.layer = nn.Linear(width, 4)
        self.register_buffer("table", torch.ones(4))
        self.pool = nn.MaxUnpool2d(2)

    def forward(self, x):
        y = self.layer(x) * self.table
        z = torch.erfinv(self.layer(x)) + F.gumbel_softmax(y)
        return z.cumprod(dim=1) + y.roll(1, 1)


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        x = self.layer(x)
        if x.sum() > 0:
            x = -x
        return x


class Loop(Branch):
    def forward(self, x):
        return torch.stack([self.layer(s) for s in x])


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nm.Linear(4, 4)


def make():
    return 3


class NeedsArgument(nn.Module):
    def __init__(self, width):
        super().__init__()


class Hidden(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(4, 4)]

    def forward(self, x):
        return self.layers[0](x)


class Mask(Branch):
    def forward(self, x):
        x = self.layer(x)
        x[:, 0] = 0
        return x
