"""The multi-task architectures of specs/zoo in plain PyTorch, each as its paper states it.

Submodules have the names of the spec's nodes, so the weights of a compiled spec load as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from tests.zoo.parity import Case

TASKS = ("fine", "coarse")
CLASSES = {"fine": 100, "coarse": 20}
SIDE = 32
"""Height and width of the images."""


def conv(channels: int, *stages: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for stage in stages:
        for width in stage:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers += [nn.MaxPool2d(2), nn.BatchNorm2d(channels)]
    return nn.Sequential(*layers)


def fc(features: int, *units: int, flatten: bool = False) -> nn.Sequential:
    whole = nn.Sequential()
    if flatten:
        whole.add_module("flatten", nn.Flatten())
    layers: list[nn.Module] = []
    for size in units:
        layers += [nn.Linear(features, size), nn.ReLU(), nn.Dropout(0.25), nn.BatchNorm1d(size)]
        features = size
    for number, layer in enumerate(layers):
        whole.add_module(str(number), layer)
    return whole


def gate(features: int, experts: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(features, experts), nn.Softmax(dim=1))


def each(make: Callable[[str], nn.Module], names: Iterable[str] = TASKS) -> nn.ModuleDict:
    return nn.ModuleDict({name: make(name) for name in names})


def heads(features: int) -> nn.ModuleDict:
    return each(lambda task: nn.Linear(features, CLASSES[task]))


def weighed(weights: Tensor, experts: list[Tensor]) -> Tensor:
    """``w(x) S(x)``: weights ``(N, E)`` times experts ``(N, E, ...)``."""
    return torch.einsum("ne,ne...->n...", weights, torch.stack(experts, dim=1))


class HardSharing(nn.Module):
    """Caruana 1997."""

    def __init__(self, w: int) -> None:
        super().__init__()
        self.trunk = conv(3, [w, w, w], [2 * w, 2 * w])
        flat = 2 * w * (SIDE // 4) ** 2
        self.tower = each(lambda task: fc(flat, 16 * w, 8 * w, 4 * w, 2 * w, flatten=True))
        self.label = heads(2 * w)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.trunk(image)
        return {task: self.label[task](self.tower[task](features)) for task in TASKS}


class CrossStitch(nn.Module):
    """Misra et al. 2016, equation 1, for each channel."""

    def __init__(self, w: int) -> None:
        super().__init__()
        flat = 2 * w * (SIDE // 4) ** 2
        makers: list[tuple[Callable[[], nn.Module], int]] = [
            (lambda: conv(3, [w, w, w]), w),
            (lambda: conv(w, [2 * w, 2 * w]), 2 * w),
            (lambda: fc(flat, 16 * w, flatten=True), 16 * w),
            (lambda: fc(16 * w, 8 * w), 8 * w),
            (lambda: fc(8 * w, 4 * w), 4 * w),
            (lambda: fc(4 * w, 2 * w), 2 * w),
        ]
        self.stages = nn.ModuleList()
        for make, channels in makers:
            stage = nn.Module()
            stage.layer = each(lambda task, make=make: nn.Sequential(make()))
            stage.stitch = each(lambda task: nn.Module())
            for task in TASKS:
                stage.stitch[task].weight = nn.Parameter(torch.empty(2, channels))
            self.stages.append(stage)
        self.label = heads(2 * w)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x_a = x_b = image
        for stage in self.stages:
            x_a, x_b = stage.layer["fine"](x_a), stage.layer["coarse"](x_b)
            alpha = torch.stack([stage.stitch[task].weight for task in TASKS])  # (2, 2, C)
            mixed = torch.einsum("tsc,snc...->tnc...", alpha, torch.stack([x_a, x_b]))
            x_a, x_b = mixed[0], mixed[1]
        return {"fine": self.label["fine"](x_a), "coarse": self.label["coarse"](x_b)}


class Experts(nn.Module):
    """What MMoE and CGC have in common."""

    def __init__(self, w: int) -> None:
        super().__init__()
        self.tower = each(lambda task: fc(8 * w, 4 * w, 2 * w))
        self.label = heads(2 * w)

    @staticmethod
    def expert(w: int) -> nn.Module:
        trunk = conv(3, [w, w, w], [2 * w, 2 * w])
        return nn.Sequential(trunk, fc(2 * w * (SIDE // 4) ** 2, 8 * w, flatten=True))

    def predicted(self, mixed: dict[str, Tensor]) -> dict[str, Tensor]:
        return {task: self.label[task](self.tower[task](mixed[task])) for task in TASKS}


class MMoE(Experts):
    """Ma et al. 2018, section 4.2."""

    def __init__(self, w: int) -> None:
        super().__init__(w)
        self.experts = nn.ModuleList(self.expert(w) for _ in range(4))
        self.gate = each(lambda task: gate(3 * SIDE**2, 4))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        given = [expert(image) for expert in self.experts]
        return self.predicted({task: weighed(self.gate[task](image), given) for task in TASKS})


class CGC(Experts):
    """Tang et al. 2020, equations 1 to 4."""

    def __init__(self, w: int) -> None:
        super().__init__(w)
        self.shared = nn.ModuleList(self.expert(w) for _ in range(2))
        self.own = each(lambda task: nn.ModuleList(self.expert(w) for _ in range(2)))
        self.gate = each(lambda task: gate(3 * SIDE**2, 4))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        shared = [expert(image) for expert in self.shared]
        mixed = {}
        for task in TASKS:
            selected = [expert(image) for expert in self.own[task]] + shared
            mixed[task] = weighed(self.gate[task](image), selected)
        return self.predicted(mixed)


class PLE(nn.Module):
    """Tang et al. 2020, equations 5 and 6."""

    def __init__(self, w: int) -> None:
        super().__init__()
        self.extraction = nn.ModuleList()
        widths = [(3, [w, w, w], SIDE), (w, [2 * w, 2 * w], SIDE // 2)]
        for number, (channels, stage, side) in enumerate(widths):
            layer = nn.Module()
            layer.experts = each(
                lambda _, c=channels, s=stage: nn.ModuleList(conv(c, s) for _ in range(2)),
                (*TASKS, "shared"),
            )
            layer.gate = each(lambda task, n=channels * side**2: gate(n, 4))
            if number == 0:
                layer.gate_all = gate(channels * side**2, 6)
            self.extraction.append(layer)
        flat = 2 * w * (SIDE // 4) ** 2
        self.tower = each(lambda task: fc(flat, 16 * w, 8 * w, 4 * w, 2 * w, flatten=True))
        self.label = heads(2 * w)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = dict.fromkeys((*TASKS, "shared"), image)
        for layer in self.extraction:
            e = {who: [expert(x[who]) for expert in layer.experts[who]] for who in x}
            new = {t: weighed(layer.gate[t](x[t]), e[t] + e["shared"]) for t in TASKS}
            if hasattr(layer, "gate_all"):
                every = e["fine"] + e["coarse"] + e["shared"]
                new["shared"] = weighed(layer.gate_all(x["shared"]), every)
            x = new
        return {task: self.label[task](self.tower[task](x[task])) for task in TASKS}


class MTAN(nn.Module):
    """Liu et al. 2019, equations 1 and 2: stage ``j`` has ``u``, ``p`` and for each task a mask."""

    def __init__(self, w: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        # From the second stage on, a mask sees the attended features of the stage before too.
        for channels, c, seen in ((3, w, w), (w, 2 * w, 3 * w), (2 * w, 4 * w, 6 * w)):
            stage = nn.Module()
            stage.u, stage.p, stage.attention = self.stage(channels, c, seen)
            self.stages.append(stage)
        self.label = heads(4 * w)

    @staticmethod
    def layer(channels: int, width: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )

    @classmethod
    def stage(cls, channels: int, c: int, seen: int) -> tuple[nn.Module, nn.Module, nn.ModuleDict]:
        def attention(task: str) -> nn.Module:
            one = nn.Module()
            g = [nn.Conv2d(seen, c, 1, bias=False), nn.BatchNorm2d(c), nn.ReLU()]
            h = [nn.Conv2d(c, c, 1, bias=False), nn.BatchNorm2d(c), nn.Sigmoid()]
            one.mask = nn.Sequential(*g, *h)
            one.f = cls.layer(c, c)
            return one

        return cls.layer(channels, c), cls.layer(c, c), each(attention)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x: Tensor = image
        before: dict[str, list[Tensor]] = {task: [] for task in TASKS}
        for stage in self.stages:
            u = stage.u(x)
            p = stage.p(u)
            for task in TASKS:
                own = stage.attention[task]
                attended = own.mask(torch.cat([u, *before[task]], dim=1)) * p
                before[task] = [nn.functional.max_pool2d(own.f(attended), 2)]
            x = nn.functional.max_pool2d(p, 2)
        return {task: self.label[task](before[task][0].mean(dim=(2, 3))) for task in TASKS}


class Branched(nn.Module):
    """Vandenhende et al. 2020: three shared parts of six."""

    def __init__(self, w: int) -> None:
        super().__init__()
        parts = self.parts(w)
        self.trunk = nn.ModuleList(nn.Sequential(part()) for part in parts[:3])
        self.branch = each(lambda task: nn.ModuleList(nn.Sequential(part()) for part in parts[3:]))
        self.label = heads(2 * w)

    @staticmethod
    def parts(w: int) -> list[Callable[[], nn.Module]]:
        return [
            lambda: conv(3, [w, w, w]),
            lambda: conv(w, [2 * w, 2 * w]),
            lambda: fc(2 * w * (SIDE // 4) ** 2, 16 * w, flatten=True),
            lambda: fc(16 * w, 8 * w),
            lambda: fc(8 * w, 4 * w),
            lambda: fc(4 * w, 2 * w),
        ]

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = image
        for part in self.trunk:
            x = part(x)
        return {task: self.label[task](nn.Sequential(*self.branch[task])(x)) for task in TASKS}


def _case(make: Callable[[int], nn.Module]) -> Case:
    module = make(2)
    for parameter in module.parameters():
        # As torch starts them, networks as thin as these give nearly the same for all images.
        if parameter.dim() > 1:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    return Case(
        module=module,
        inputs={"image": torch.randn(3, 3, SIDE, SIDE)},
        overrides={"width": 2},
        full=lambda: make(64),
        tolerance=1e-6,
    )


REFERENCES: dict[str, Callable[[], Case]] = {
    "zoo/hard_sharing": lambda: _case(HardSharing),
    "zoo/cross_stitch": lambda: _case(CrossStitch),
    "zoo/mmoe": lambda: _case(MMoE),
    "zoo/cgc": lambda: _case(CGC),
    "zoo/ple": lambda: _case(PLE),
    "zoo/mtan": lambda: _case(MTAN),
    "zoo/branched": lambda: _case(Branched),
}
"""By name of the spec."""
