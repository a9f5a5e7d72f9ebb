"""siamese: Two images through one network, compared feature by feature (Koch et al. 2015).

Written by `graphspec eject` (graphspec). It needs torch alone. To load a run's weights:

    import torch
    model = Siamese()
    checkpoint = torch.load("runs/NAME/best.pt", "cpu", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    model.eval()
"""

import torch
from torch import Tensor, nn


class Siamese(nn.Module):
    """Two images through one network, compared feature by feature (Koch et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        # shared by tower and twin
        self.tower = nn.Sequential(
            nn.Conv2d(1, 64, kernel_size=10),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 128, kernel_size=7),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(128, 128, kernel_size=4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(128, 256, kernel_size=4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(9216, 4096),
            nn.Sigmoid(),
        )
        self.same = nn.Linear(4096, 1)

    def forward(self, left: Tensor, right: Tensor) -> dict[str, Tensor]:
        """Return the output of each task by its name.

        Args:
            left: Of shape (N, 1, 105, 105).
            right: Of shape (N, 1, 105, 105).

        Returns:
            ``same`` of shape (N, 1).
        """
        tower = self.tower(left)  # (N, 4096)
        twin = self.tower(right)  # (N, 4096), shared with tower
        difference = tower - twin  # (N, 4096)
        distance = torch.abs(difference)  # (N, 4096)
        same = self.same(distance)  # (N, 1)
        return {"same": same}
