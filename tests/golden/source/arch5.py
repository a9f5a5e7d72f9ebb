"""arch5: One conv trunk; the coarse output feeds the fine head.

Written by `graphspec eject` (graphspec). It needs torch alone. To load a run's weights:

    import torch
    model = Arch5()
    checkpoint = torch.load("runs/NAME/best.pt", "cpu", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    model.eval()
"""

import torch
from torch import Tensor, nn


class Arch5(nn.Module):
    """One conv trunk; the coarse output feeds the fine head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_layers = nn.Sequential(
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
        )
        self.fc_layers_1 = nn.Sequential(
            nn.Linear(8192, 1024),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.BatchNorm1d(1024),
            nn.Linear(1024, 512),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.BatchNorm1d(512),
        )
        self.fc_layers = nn.Sequential(
            nn.Linear(8192, 1024),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.BatchNorm1d(1024),
            nn.Linear(1024, 512),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.BatchNorm1d(512),
            nn.Linear(512, 256),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.BatchNorm1d(256),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.BatchNorm1d(128),
        )
        self.coarse_label = nn.Linear(128, 20)
        self.fc_layers_2 = nn.Sequential(
            nn.Linear(532, 256),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.BatchNorm1d(256),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.BatchNorm1d(128),
        )
        self.fine_label = nn.Linear(128, 100)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the output of each task by its name.

        Args:
            image: Of shape (N, 3, 32, 32).

        Returns:
            ``coarse`` of shape (N, 20), ``fine`` of shape (N, 100).
        """
        conv_layers = self.conv_layers(image)  # (N, 128, 8, 8)
        fc_layers = self.fc_layers(conv_layers.flatten(1))  # (N, 128)
        fc_layers_1 = self.fc_layers_1(conv_layers.flatten(1))  # (N, 512)
        coarse_label = self.coarse_label(fc_layers)  # (N, 20)
        concat = torch.cat([fc_layers_1, coarse_label], dim=1)  # (N, 532)
        fc_layers_2 = self.fc_layers_2(concat)  # (N, 128)
        fine_label = self.fine_label(fc_layers_2)  # (N, 100)
        return {"coarse": coarse_label, "fine": fine_label}
