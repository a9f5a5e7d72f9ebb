"""What ejected files may need beside torch and the ops' own classes; copied into them when used."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn


class Function(nn.Module):
    """A function as a layer: ``Function(torch.mean, dim=1)``."""

    def __init__(self, function: Callable[..., Tensor], *args: object, **kwargs: object) -> None:
        super().__init__()
        self.function = function
        self.args = args
        self.kwargs = kwargs

    def forward(self, input: Tensor) -> Tensor:
        """Return the function of the input."""
        return self.function(input, *self.args, **self.kwargs)


def share_parameters(module: nn.Module, owner: nn.Module) -> None:
    """Make the parameters of a module those of another of the same structure; buffers stay."""
    for name, parameter in list(owner.named_parameters(remove_duplicate=False)):
        path, _, last = name.rpartition(".")
        setattr(module.get_submodule(path), last, parameter)


def copy_values(
    module: nn.Module, original: nn.Module, transposed: Sequence[str], tied: Sequence[str] = ()
) -> None:
    """Give a module the values of another of the same structure.

    Some are transposed, and those that are tied to a third are left as they are.
    """
    state = original.state_dict()
    for name in transposed:
        state[name] = state[name].t()
    for name in tied:
        del state[name]
    module.load_state_dict(state, strict=not tied)
