"""mmoe: Experts that every task weighs by a gate of its own (Ma et al. 2018).

Written by `graphspec eject` (graphspec). It needs torch alone. To load a run's weights:

    import torch
    model = Mmoe()
    checkpoint = torch.load("runs/NAME/best.pt", "cpu", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    model.eval()
"""

from __future__ import annotations

from torch import Tensor, nn


def weighted_sum(weights: Tensor, *values: Tensor, trailing: int = 0) -> Tensor:
    """Return ``sum_i weights[:, i] * values[i]``.

    Args:
        weights: Of shape ``(N, E)`` or ``(N, E, ...)``.
        values: ``E`` tensors of one shape ``(N, ...)``.
        trailing: How many of their last dimensions the weights lack; one weight counts for all of
            these.

    Returns:
        The sum, of the shape of the values.
    """
    spread = (..., *(None,) * trailing)
    total = weights[:, 0][spread] * values[0]
    for number in range(1, len(values)):
        total = total + weights[:, number][spread] * values[number]
    return total


class Mmoe(nn.Module):
    """Experts that every task weighs by a gate of its own (Ma et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Sequential(
                        nn.Conv2d(3, 64, kernel_size=3, padding=1),
                        nn.ReLU(),
                        nn.Conv2d(64, 64, kernel_size=3, padding=1),
                        nn.ReLU(),
                        nn.Conv2d(64, 64, kernel_size=3, padding=1),
                        nn.ReLU(),
                        nn.MaxPool2d(2),
                        nn.BatchNorm2d(64),
                        nn.Conv2d(64, 128, kernel_size=3, padding=1),
                        nn.ReLU(),
                        nn.Conv2d(128, 128, kernel_size=3, padding=1),
                        nn.ReLU(),
                        nn.MaxPool2d(2),
                        nn.BatchNorm2d(128),
                        nn.Flatten(),
                    ),
                    nn.Sequential(
                        nn.Linear(8192, 512),
                        nn.ReLU(),
                        nn.Dropout(0.25),
                        nn.BatchNorm1d(512),
                    ),
                )
                for _ in range(4)
            ]
        )
        self.gate = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Flatten(), nn.Linear(3072, 4), nn.Softmax(dim=1))
                for name in ("fine", "coarse")
            }
        )
        self.tower = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(512, 256),
                    nn.ReLU(),
                    nn.Dropout(0.25),
                    nn.BatchNorm1d(256),
                    nn.Linear(256, 128),
                    nn.ReLU(),
                    nn.Dropout(0.25),
                    nn.BatchNorm1d(128),
                )
                for name in ("fine", "coarse")
            }
        )
        self.label = nn.ModuleDict(
            {
                "fine": nn.Linear(128, 100),
                "coarse": nn.Linear(128, 20),
            }
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the output of each task by its name.

        Args:
            image: Of shape (N, 3, 32, 32).

        Returns:
            ``fine`` of shape (N, 100), ``coarse`` of shape (N, 20).
        """
        experts = [expert(image) for expert in self.experts]
        gate_fine = self.gate["fine"](image)  # (N, 4)
        gate_coarse = self.gate["coarse"](image)  # (N, 4)
        mixed_fine = weighted_sum(gate_fine, *experts, trailing=1)  # (N, 512)
        mixed_coarse = weighted_sum(gate_coarse, *experts, trailing=1)  # (N, 512)
        tower_coarse = self.tower["coarse"](mixed_coarse)  # (N, 128)
        tower_fine = self.tower["fine"](mixed_fine)  # (N, 128)
        label_fine = self.label["fine"](tower_fine)  # (N, 100)
        label_coarse = self.label["coarse"](tower_coarse)  # (N, 20)
        return {"fine": label_fine, "coarse": label_coarse}
