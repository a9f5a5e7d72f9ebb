"""(c) Lightning, with the data of the plain loop."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from benchmarks.train_speed.contest import (
    COARSE_WEIGHT,
    FINE,
    FINE_WEIGHT,
    LR,
    Settings,
    Turn,
)
from benchmarks.train_speed.plain import loader
from tests.parity.reference import reference


class Arch5(pl.LightningModule):
    """The model with its losses and metrics."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.model = reference("arch5", width)
        self.criterion = nn.CrossEntropyLoss()
        self.accuracy = MulticlassAccuracy(FINE, average="micro")

    def training_step(self, batch: Any, _number: int) -> Tensor:
        """Return the loss of a batch."""
        images, fine, coarse = batch
        outputs = self.model(images)
        loss = FINE_WEIGHT * self.criterion(outputs["fine"], fine)
        loss = loss + COARSE_WEIGHT * self.criterion(outputs["coarse"], coarse)
        self.accuracy(outputs["fine"], fine)
        self.log("loss", loss, on_step=False, on_epoch=True)
        self.log("fine", self.accuracy, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.Adam(self.parameters(), lr=LR)


class Rounds(pl.Callback):
    """Makes every epoch a round."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    def on_train_epoch_start(self, trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        """Wait for a round; end the training if there is none."""
        if not self._turn.begin():
            raise KeyboardInterrupt

    def on_train_epoch_end(self, trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        """Tell how it went."""
        found = trainer.callback_metrics
        self._turn.end(float(found["loss"]), float(found["fine"]))


def run(settings: Settings, turn: Turn) -> None:
    """Train, an epoch at each turn."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    batches = loader(settings)
    model = Arch5(settings.width)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Rounds(turn)],
    )
    turn.ready(sum(p.numel() for p in model.parameters()))
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        trainer.fit(model, batches)
