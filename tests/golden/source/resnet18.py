"""resnet18: Residual blocks of two 3x3 convolutions (He et al. 2016).

Written by `graphspec eject` (graphspec). It needs torch alone. To load a run's weights:

    import torch
    model = Resnet18()
    checkpoint = torch.load("runs/NAME/best.pt", "cpu", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    model.eval()
"""

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """The block `basic_block`: `layer1.0`, `layer1.1`, `layer2.0`, `layer2.1` and 4 more."""

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, with_downsample: bool = True
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels, channels, kernel_size=3, stride=stride, padding=1, bias=False
        )
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(in_channels, channels, kernel_size=1, stride=2, bias=False),
                nn.BatchNorm2d(channels),
            )
            if with_downsample
            else nn.Identity()
        )
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        conv1 = self.conv1(x)
        bn1 = self.bn1(conv1)
        relu1 = self.relu1(bn1)
        conv2 = self.conv2(relu1)
        bn2 = self.bn2(conv2)
        downsample = self.downsample(x)
        sum = bn2 + downsample
        return self.relu2(sum)


class Resnet18(nn.Module):
    """Residual blocks of two 3x3 convolutions (He et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = nn.Sequential(
            BasicBlock(64, 64, with_downsample=False), BasicBlock(64, 64, with_downsample=False)
        )
        self.layer2 = nn.Sequential(
            BasicBlock(64, 128, stride=2), BasicBlock(128, 128, with_downsample=False)
        )
        self.layer3 = nn.Sequential(
            BasicBlock(128, 256, stride=2), BasicBlock(256, 256, with_downsample=False)
        )
        self.layer4 = nn.Sequential(
            BasicBlock(256, 512, stride=2), BasicBlock(512, 512, with_downsample=False)
        )
        self.fc = nn.Linear(512, 1000)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the output of each task by its name.

        Args:
            image: Of shape (N, 3, 224, 224).

        Returns:
            ``label`` of shape (N, 1000).
        """
        conv1 = self.conv1(image)  # (N, 64, 112, 112)
        bn1 = self.bn1(conv1)  # (N, 64, 112, 112)
        relu = self.relu(bn1)  # (N, 64, 112, 112)
        maxpool = self.maxpool(relu)  # (N, 64, 56, 56)
        layer1 = self.layer1(maxpool)  # (N, 64, 56, 56)
        layer2 = self.layer2(layer1)  # (N, 128, 28, 28)
        layer3 = self.layer3(layer2)  # (N, 256, 14, 14)
        layer4 = self.layer4(layer3)  # (N, 512, 7, 7)
        avgpool = torch.mean(layer4, dim=(2, 3))  # (N, 512)
        fc = self.fc(avgpool)  # (N, 1000)
        return {"label": fc}
