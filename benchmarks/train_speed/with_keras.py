"""(d) Keras 3 on torch, with the data of the plain loop."""

from __future__ import annotations

import contextlib
import os
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
from keras import layers
from torch.utils.data import DataLoader, default_collate

from benchmarks.train_speed.contest import (
    BATCH,
    COARSE,
    COARSE_WEIGHT,
    DROPOUT,
    FINE,
    FINE_WEIGHT,
    LR,
    SIDE,
    Settings,
    Turn,
)
from benchmarks.train_speed.plain import loader


def convolved(x: Any, *channels: int) -> Any:
    """Apply 3x3 convolutions with their activations."""
    for each in channels:
        x = layers.Conv2D(each, 3, padding="same", activation="relu")(x)
    return x


def dense(x: Any, *units: int) -> Any:
    """Apply dense layers, each with dropout and batch-norm."""
    for each in units:
        x = layers.Dense(each, activation="relu")(x)
        x = layers.BatchNormalization()(layers.Dropout(DROPOUT)(x))
    return x


def arch5(width: int) -> keras.Model:
    """Return arch5 as a functional model."""
    w = width
    image = keras.Input((3, SIDE, SIDE), name="image")
    x = convolved(image, w, w, w)
    x = layers.BatchNormalization(axis=1)(layers.MaxPooling2D(2)(x))
    x = convolved(x, 2 * w, 2 * w)
    x = layers.BatchNormalization(axis=1)(layers.MaxPooling2D(2)(x))
    trunk = layers.Flatten()(x)
    coarse = layers.Dense(COARSE, name="coarse")(dense(trunk, 16 * w, 8 * w, 4 * w, 2 * w))
    both = layers.Concatenate()([dense(trunk, 16 * w, 8 * w), coarse])
    fine = layers.Dense(FINE, name="fine")(dense(both, 4 * w, 2 * w))
    return keras.Model(image, {"coarse": coarse, "fine": fine})


def collate(samples: Any) -> Any:
    """Return a batch as Keras wants it: the labels of the outputs by name."""
    images, fine, coarse = default_collate(samples)
    return images, {"coarse": coarse, "fine": fine}


class Rounds(keras.callbacks.Callback):
    """Makes every epoch a round."""

    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self._turn = turn

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Wait for a round; end the training if there is none."""
        if not self._turn.begin():
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Tell how it went."""
        self._turn.end(float(logs["loss"]), float(logs["fine_accuracy"]))


def run(settings: Settings, turn: Turn) -> None:
    """Train, an epoch at each turn."""
    # the order in which torch's convolutions take images, so that Keras need not turn them
    keras.config.set_image_data_format("channels_first")
    model = arch5(settings.width)
    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        optimizer=keras.optimizers.Adam(LR),
        loss={"coarse": criterion, "fine": criterion},
        loss_weights={"coarse": COARSE_WEIGHT, "fine": FINE_WEIGHT},
        metrics={"fine": ["accuracy"]},
    )
    images = loader(settings).dataset
    batches = DataLoader(images, batch_size=BATCH, shuffle=True, collate_fn=collate)
    turn.ready(sum(int(v.value.numel()) for v in model.trainable_variables))
    with contextlib.suppress(KeyboardInterrupt):
        model.fit(batches, epochs=1_000_000, verbose=0, callbacks=[Rounds(turn)])
