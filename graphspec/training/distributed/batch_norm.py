"""Batch-norm whose statistics are those of the whole batch, also on the CPU.

torch's ``SyncBatchNorm`` does the same on GPUs and refuses other devices.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm


class _Total(torch.autograd.Function):
    """The sum of a tensor over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class GlobalBatchNorm(_BatchNorm):
    """Batch-norm of any number of dimensions over the samples of all processes.

    With the same weights it gives, up to rounding, what torch's batch-norm gives for the whole
    batch in one process: outputs, gradients and running statistics.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any shape ``(N, C, ...)``: the layer it stands for has checked it."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise ``(N, C, ...)`` by mean and variance of each channel."""
        if not (self.training or self.running_mean is None):
            return functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        values = _exact(input)
        count = values.numel() // values.shape[1]
        dims = [0, *range(2, values.dim())]
        own = torch.cat([values.sum(dims), values.new_tensor([float(count)])])
        total = _Total.apply(own)
        number = total[-1].detach()
        mean = total[:-1] / number
        shape = [1, -1, *[1] * (input.dim() - 2)]
        centred = values - mean.view(shape)
        variance = _Total.apply((centred * centred).sum(dims)) / number
        self._remember(mean.detach(), variance.detach(), number)
        result: Tensor = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.weight is not None:
            result = result * self.weight.view(shape) + self.bias.view(shape)
        return result.to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, number: Tensor) -> None:
        """Bring the running statistics forward, as torch does."""
        if not self.training or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        factor: float | Tensor = 1.0 / self.num_batches_tracked.float()
        if self.momentum is not None:
            factor = self.momentum
        unbiased = variance * (number / (number - 1))
        self.running_mean.mul_(1 - factor).add_(mean * factor)
        self.running_var.mul_(1 - factor).add_(unbiased * factor)


def _exact(values: Tensor) -> Tensor:
    """Return values in a type in which their number and sums are exact enough, as torch's are."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def synchronise(model: nn.Module, kind: str) -> int:
    """Let every batch-norm of a model take its statistics over all processes.

    Parameters and buffers stay the same tensors under the same names.

    Args:
        model: The model; changed.
        kind: Type of its device.

    Returns:
        How many there are.
    """
    made: dict[int, nn.Module] = {}
    found = 0
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):  # named_children() leaves repeats out
            if not isinstance(child, _BatchNorm) or isinstance(child, GlobalBatchNorm):
                continue
            if isinstance(child, nn.SyncBatchNorm) or type(child).__name__.startswith("Lazy"):
                continue
            if id(child) not in made:
                made[id(child)] = _counterpart(child, kind)
                found += 1
            setattr(parent, name, made[id(child)])
    return found


def _counterpart(layer: _BatchNorm, kind: str) -> nn.Module:
    if kind == "cuda":
        new: nn.Module = nn.SyncBatchNorm(
            layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
        )
    else:
        new = GlobalBatchNorm(
            layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
        )
    new._parameters = layer._parameters
    new._buffers = layer._buffers
    return new.train(layer.training)
