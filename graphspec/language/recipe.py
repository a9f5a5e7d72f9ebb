"""The ``data:`` and ``train:`` sections as data: what to train on and how.

They are validated with the rest of a spec, so ``graphspec validate`` sees them without importing
torch. Names inside them that only a higher room knows (data sources, optimizers) are checked by
that room.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from graphspec.language.balance import Balance, Conflicts
from graphspec.language.data import Data as Data
from graphspec.language.learning import (
    Average,
    Checkpoints,
    Clip,
    EarlyStopping,
    Group,
    Names,
    Off,
    Optimizer,
    Schedule,
)
from graphspec.language.section import Section as Section
from graphspec.language.section import listed

OUTWARD_DATA = ("root", "memory", "workers")
"""Keys of ``data:`` that change no batch."""

OUTWARD_TRAIN = ("conflicts", "checkpoint", "loggers", "device", "in_place", "tune_allocator")
"""Keys of ``train:`` that change no step."""


class Train(Section):
    """The recipe."""

    elsewhere: ClassVar[dict[str, str]] = {
        "learning_rate": "`lr`",
        "scheduler": "`schedule`",
        "lr_scheduler": "`schedule`",
        "warmup": "`schedule: {warmup: 5}`",
        **{
            key: f"`optimizer: {{name: {name}, {key}: {value}}}`"
            for key, name, value in (
                ("weight_decay", "AdamW", 0.05),
                ("momentum", "SGD", 0.9),
                ("nesterov", "SGD", "true"),
                ("betas", "Adam", "[0.9, 0.99]"),
            )
        },
        "class_weights": "it in the task: `tasks: {NAME: {class_weights: balanced}}`",
        "loss": "it in the task: `tasks: {NAME: {loss: ...}}`",
        "metrics": "it in the task: `tasks: {NAME: {metrics: [...]}}`",
        "weights": "it in the tasks: `tasks: {NAME: {weight: 2}}`",
        "augment": "it under `data:`",
        "validation": "it under `data:`",
        "workers": "it under `data:`",
        "patience": "`early_stopping: {patience: 10}`",
        "amp": "`precision: bf16` or `precision: fp16`",
        "freeze": "`groups: [{nodes: NAME, freeze: true}]`",
    }

    epochs: int = Field(100, ge=1)
    """Passes over the training split, at most."""
    batch_size: int = Field(100, ge=1)
    """Samples per step."""
    lr: float = Field(5e-4, gt=0.0)
    """Learning rate."""
    optimizer: Optimizer = Optimizer()
    """Optimizer by name, or a mapping of `name` and its arguments."""
    balance: Balance = Balance()
    """How the tasks' losses become one gradient: a method, or a mapping of `method` and its
    arguments."""
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)
    """Part of a label's weight that is spread evenly over all classes, in every task with a
    cross-entropy that states none itself."""
    conflicts: Conflicts = Conflicts()
    """How often the gradients of the tasks are compared where they share parameters: every so many
    steps, or `false`."""
    groups: list[Group] = Field(default_factory=list)
    """Parameters that learn otherwise: `[{nodes: trunk, lr: 1e-5}, {nodes: fc, freeze: true}]`."""
    schedule: Annotated[Schedule | None, Off] = None
    """How the learning rate changes: a scheduler by name, or a mapping of `name` and arguments."""
    clip: Annotated[Clip | None, Off] = None
    """Limits of the gradients: `{norm: 1}`, `{value: 0.5}`; a number is the norm."""
    accumulate: int = Field(1, ge=1)
    """Batches whose gradients make one step of the optimizer, as their mean."""
    ema: Annotated[Average | None, Off] = None
    """Moving average of the weights, which is judged and kept instead; a number is its decay."""
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    """Of what a forward pass computes: `bf16` and `fp16` are mixed precision (autocast)."""
    compile: bool = False
    """Whether steps run through torch.compile."""
    deterministic: bool = False
    """Whether only deterministic algorithms may be used; it concerns GPUs."""
    early_stopping: Annotated[EarlyStopping | None, Off] = None
    """When to stop early; absent or `false`: never."""
    best: Names = "validation/loss"
    """What chooses the `best` checkpoint: a metric, an expression over metrics such as
    `=fine.top1 + 0.5*coarse.top1`, or a list, of which none may get worse. Losses and errors are
    minimised, the rest maximised."""
    checkpoint: Checkpoints = Checkpoints()
    """When the state is saved and how many are kept: `{every: 500, keep: 3}`."""
    loggers: Annotated[
        list[str], BeforeValidator(listed, json_schema_input_type=str | list[str])
    ] = Field(default_factory=list)
    """Who is told the metrics besides `metrics.jsonl`: `tensorboard`, `wandb`, `mlflow`."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of weights, data order, augmentation, dropout and the validation split."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """How several devices share the model: each has all of it (`ddp`), or a part (`fsdp`)."""
    channels_last: bool = True
    """Keep images and convolution weights in channels-last memory order, which is faster."""
    in_place: bool = True
    """Let a ReLU overwrite what the layer before it gave, where nothing else reads that."""
    fused: bool = True
    """Use the optimizer's fused implementation where it has one."""
    tune_allocator: bool = True
    """Raise glibc's mmap and trim thresholds in the training process (Linux)."""
