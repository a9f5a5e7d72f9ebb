"""The table of balancing methods: what ``train.balance`` may name, and what each of them takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, Strict

from graphspec.errors import Code
from graphspec.ops.arguments import Expected
from graphspec.ops.registry import Args, NoArgs
from graphspec.ops.registry import Registry as Registry
from graphspec.training.balancing.balancer import Balancer, Fixed
from graphspec.training.balancing.dwa import DynamicWeightAverage
from graphspec.training.balancing.geometric import GeometricMean
from graphspec.training.balancing.gradnorm import GradNorm
from graphspec.training.balancing.random_weights import RandomWeights
from graphspec.training.balancing.site import Site
from graphspec.training.balancing.uncertainty import Uncertainty

Positive = Annotated[float, Strict(), Field(gt=0.0), Expected("a number above 0")]
NotNegative = Annotated[float, Strict(), Field(ge=0.0), Expected("a number of at least 0")]
Node = Annotated[str | None, Expected("the name of a node")]


@dataclass(frozen=True, slots=True)
class Method:
    """A way to balance tasks.

    Attributes:
        summary: What it does, in one sentence.
        source: The paper.
        make: Makes the balancer from a site and checked arguments.
        Args: Its arguments.
        shares: Whether it does something only where tasks share parameters.
        extra: Whether it needs the packages of the extra ``balancing``.
        sharded: Whether it needs the losses alone, so that each of several processes may have a
            part of every parameter and its gradient.
        averages: Whether of several processes it averages the gradients by itself.
        origin: The module that defines it, for messages about duplicates.
    """

    summary: str
    source: str
    make: Callable[[Site, Any], Balancer]
    Args: type[Args] = NoArgs
    shares: bool = False
    extra: bool = False
    sharded: bool = False
    averages: bool = False
    origin: str = __name__


METHODS: Registry[Method] = Registry(
    "balancing method", Code.BAD_VALUE, "docs/balancing.md describes each"
)
"""Every method by the name that ``train.balance`` uses."""


class DwaArgs(Args):
    """Arguments of ``dwa``."""

    temperature: Positive = 2.0
    """How evenly the weights are spread: at a high temperature they are all alike."""


class GradNormArgs(Args):
    """Arguments of ``gradnorm``."""

    alpha: NotNegative = 1.5
    """How strongly tasks that train slowly are favoured; 0 asks for equal gradient norms."""
    lr: Positive = 0.025
    """Learning rate of the weights."""
    at: Node = None
    """The node at whose parameters norms are taken; the last shared one by default."""


for _name, _method in {
    "fixed": Method(
        "The sum of the losses with the tasks' weights.",
        "",
        lambda site, _: Fixed(site.factors),
        sharded=True,
    ),
    "uncertainty": Method(
        "Learns the noise of each task, which weighs its loss.",
        "Kendall et al. 2018",
        lambda site, _: Uncertainty(site),
        sharded=True,
    ),
    "dwa": Method(
        "Dynamic weight average: tasks whose loss falls more slowly weigh more.",
        "Liu et al. 2019",
        lambda site, args: DynamicWeightAverage(site, args.temperature),
        DwaArgs,
        sharded=True,
    ),
    "random": Method(
        "Random weights at every step (RLW).",
        "Lin et al. 2021",
        lambda site, _: RandomWeights(site),
        sharded=True,
    ),
    "geometric": Method(
        "The geometric mean of the losses (GLS).",
        "Chennupati et al. 2019",
        lambda site, _: GeometricMean(site),
        sharded=True,
    ),
    "gradnorm": Method(
        "Weights under which the tasks' gradients have balanced norms.",
        "Chen et al. 2018",
        lambda site, args: GradNorm(site, args.alpha, args.lr, args.at),
        GradNormArgs,
        shares=True,
    ),
}.items():
    METHODS.add(_name, _method)
