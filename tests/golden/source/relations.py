"""relations: Every way in which weights and values are shared.

Written by `graphspec eject` (graphspec). It needs torch alone. To load a run's weights:

    import torch
    model = Relations()
    checkpoint = torch.load("runs/NAME/best.pt", "cpu", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    model.eval()
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class TransposedLinear(nn.Linear):
    """A Linear layer whose weight is another layer's, transposed, as in a tied autoencoder.

    Its ``weight`` has the shape ``(in_features, out_features)``.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return ``input @ weight + bias``.

        Args:
            input: Of shape ``(..., in_features)``.

        Returns:
            Of shape ``(..., out_features)``.
        """
        return nn.functional.linear(input, self.weight.t(), self.bias)


class Teacher(nn.Module):
    """Teacher forcing: the true label of a task while training, the prediction otherwise.

    Both have one form: for classes 1 at the class and 0 elsewhere, for several labels 0 or 1 each,
    for a regression the numbers themselves. No gradient flows back.

    Attributes:
        task: The task.
        kind: Its type: ``classification``, ``segmentation``, ``multilabel`` or ``regression``.

    Source:
        Williams and Zipser, "A Learning Algorithm for Continually Running Fully Recurrent Neural
        Networks", Neural Computation 1989.
    """

    def __init__(self, task: str, kind: str = "classification") -> None:
        super().__init__()
        self.task = task
        self.kind = kind

    def forward(self, logits: Tensor, labels: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return the true label or the prediction, of the shape of the logits.

        Args:
            logits: What the head gives: ``(N, classes)``, ``(N, classes, ...)`` or ``(N, ...)``.
            labels: True labels by task; a class below 0, or a number that is NaN, stands for an
                unknown one, for which the prediction is used.

        Raises:
            ValueError: If the model is training and the task's labels are not given.
        """
        predicted = self.predicted(logits.detach())
        if not self.training:
            return predicted
        if labels is None or self.task not in labels:
            message = (
                f"in training mode this model needs the true labels of `{self.task}`: call it "
                f"with `labels={{'{self.task}': ...}}`, or `model.eval()` first"
            )
            raise ValueError(message)
        label = labels[self.task]
        if self.kind in ("regression", "multilabel"):
            numbers = label.to(logits.dtype).reshape(logits.shape)
            return torch.where(numbers.isnan(), predicted, numbers)
        known = (label >= 0).unsqueeze(1)
        true = torch.zeros_like(logits).scatter(1, label.clamp_min(0).unsqueeze(1), 1.0)
        return torch.where(known, true, predicted)

    def predicted(self, logits: Tensor) -> Tensor:
        """Return the prediction in the form of a label."""
        if self.kind == "regression":
            return logits
        if self.kind == "multilabel":
            return (logits > 0).to(logits.dtype)
        likeliest = logits.argmax(dim=1, keepdim=True)
        return torch.zeros_like(logits).scatter(1, likeliest, 1.0)

    def extra_repr(self) -> str:
        """Return the task and its type."""
        return f"{self.task!r}, kind={self.kind!r}"


def onehot(logits: Tensor) -> Tensor:
    """Return 1 at the likeliest class and 0 elsewhere; no gradient flows back.

    Args:
        logits: Of shape ``(N, classes)`` or ``(N, classes, ...)``.

    Returns:
        The same shape and dtype.
    """
    likeliest = logits.argmax(dim=1, keepdim=True)
    return torch.zeros_like(logits).scatter(1, likeliest, 1.0)


def scale_gradient(input: Tensor, scale: float) -> Tensor:
    """Return the input unchanged, whose gradient is multiplied by ``scale`` on its way back."""
    return torch.lerp(input.detach(), input, scale)


def share_parameters(module: nn.Module, owner: nn.Module) -> None:
    """Make the parameters of a module those of another of the same structure; buffers stay."""
    for name, parameter in list(owner.named_parameters(remove_duplicate=False)):
        path, _, last = name.rpartition(".")
        setattr(module.get_submodule(path), last, parameter)


class Tower(nn.Module):
    """The block `tower`: `left`, `third`, `fourth`, `frozen`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(3, channels, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(channels),
        )
        self.norm = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(nn.Linear(16 * channels, 6), nn.ReLU(), nn.BatchNorm1d(6))

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv(x)
        norm = self.norm(conv)
        sum = conv + norm
        return self.features(sum.flatten(1))  # (N, 6)


class Relations(nn.Module):
    """Every way in which weights and values are shared."""

    def __init__(self) -> None:
        super().__init__()
        # shared by left and right
        self.left = Tower(8)
        self.third = Tower(8)
        self.fourth = Tower(8)
        self.frozen = Tower(4)
        self.stem = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 4))
        self.other = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 4))
        self.tied = nn.Linear(6, 6)
        self.back = TransposedLinear(4, 6, bias=False)
        self.started = nn.Linear(6, 6)
        self.fine = nn.Linear(34, 5)
        self.coarse = nn.Linear(34, 3)
        self.both = nn.Linear(50, 4)
        self.coarse_teacher = Teacher("coarse")
        nn.init.normal_(self.started.weight, std=0.02)
        nn.init.zeros_(self.started.bias)
        # tied.weight is stem.0.weight
        self.tied.weight = self.stem[0].weight
        # back.weight is stem.2.weight, transposed
        self.back.weight = self.stem[2].weight
        # third has the parameters of left, and buffers of its own
        share_parameters(self.third, self.left)
        # other has the parameters of stem
        share_parameters(self.other, self.stem)
        # fourth starts with the values of left
        self.fourth.load_state_dict(self.left.state_dict())
        # not trained
        self.frozen.requires_grad_(False)

    def forward(
        self, left_image: Tensor, right_image: Tensor, labels: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Return the output of each task by its name.

        Args:
            left_image: Of shape (N, 3, 8, 8).
            right_image: Of shape (N, 3, 8, 8).
            labels: True labels by task, needed while training.

        Returns:
            ``fine`` of shape (N, 5), ``coarse`` of shape (N, 3), ``both`` of shape (N, 4).
        """
        left = self.left(left_image)  # (N, 6)
        right = self.left(right_image)  # (N, 6), shared with left
        third = self.third(right_image)  # (N, 6)
        fourth = self.fourth(left_image)  # (N, 6)
        frozen = self.frozen(left_image)  # (N, 6)
        stem = self.stem(left)  # (N, 4)
        again = self.stem[0](right)  # (N, 6), shared with stem.0
        other = self.other(third)  # (N, 4)
        tied = self.tied(fourth)  # (N, 6)
        back = self.back(other)  # (N, 6)
        started = self.started(frozen)  # (N, 6)
        joined = torch.cat(
            [stem, again, tied, back, started.detach(), scale_gradient(frozen, 0.1)], dim=1
        )
        fine = self.fine(joined)  # (N, 5)
        coarse = self.coarse(joined)  # (N, 3)
        more = torch.cat([joined, torch.softmax(fine, dim=1), onehot(fine)], dim=1)  # (N, 44)
        both_seen = torch.cat(
            [more, self.coarse_teacher(coarse, labels), torch.sigmoid(coarse)], dim=1
        )
        both = self.both(both_seen)  # (N, 4)
        return {"fine": fine, "coarse": coarse, "both": both}
