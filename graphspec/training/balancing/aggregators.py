"""The gradient aggregators of torchjd as balancing methods, and the arguments of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from graphspec.ops.arguments import Count, OneOf
from graphspec.ops.registry import Args, NoArgs
from graphspec.training.balancing.aggregation import Aggregation, Recipe
from graphspec.training.balancing.balancer import Balancer
from graphspec.training.balancing.methods import METHODS, Method, NotNegative, Positive
from graphspec.training.balancing.site import Site

if TYPE_CHECKING:
    from torchjd.aggregation import Aggregator, Weighting
    from torchjd.linalg import PSDMatrix


class ProjectionArgs(Args):
    """Arguments of ``upgrad`` and ``dualproj``."""

    reg_eps: Positive = 0.0001
    """What is added to the diagonal of the Gramian, scaled to a trace of 1, so that it is positive
    definite."""


class MgdaArgs(Args):
    """Arguments of ``mgda``."""

    epsilon: Positive = 0.001
    """The size of a step of the solver below which it stops."""
    max_iters: Count = 100
    """Most steps of the solver."""


class CaGradArgs(Args):
    """Arguments of ``cagrad``."""

    c: NotNegative = 0.5
    """Radius, as part of the mean gradient's norm, within which a better direction is looked for;
    0 is the mean."""


class NashArgs(Args):
    """Arguments of ``nash_mtl``."""

    max_norm: NotNegative = 1.0
    """Largest norm of the aggregated gradient; 0: no limit."""
    optim_niter: Count = 20
    """Most convex problems solved at a step."""


class AlignedArgs(Args):
    """Arguments of ``aligned_mtl``."""

    scale_mode: Annotated[str, OneOf(("min", "median", "rmse"))] = "min"
    """Which singular value all are brought to: the smallest, the median, or the mean."""


class FairGradArgs(Args):
    """Arguments of ``fairgrad``."""

    alpha: NotNegative = 1.0
    """Kind of fairness: 0 the mean, 1 proportional, high values max-min."""


def _upgrad(args: ProjectionArgs) -> Recipe:
    from torchjd.aggregation import UPGradWeighting

    return Recipe(lambda _: _scaled(UPGradWeighting(projector=_projector(args))))


def _dualproj(args: ProjectionArgs) -> Recipe:
    from torchjd.aggregation import DualProjWeighting

    return Recipe(lambda _: _scaled(DualProjWeighting(projector=_projector(args))))


def _scaled(weighting: Weighting[PSDMatrix], power: float = 0.0) -> Aggregator:
    from torchjd.aggregation import GramianWeightedAggregator

    from graphspec.training.balancing.scaling import Scaled

    return GramianWeightedAggregator(Scaled(weighting, power))


def _projector(args: ProjectionArgs) -> Any:
    from torchjd.linalg import QuadprogProjector

    return QuadprogProjector(reg_eps=args.reg_eps)


def _mgda(args: MgdaArgs) -> Recipe:
    from torchjd.aggregation import MGDA

    return Recipe(lambda _: MGDA(args.epsilon, args.max_iters), needs_all=True)


def _pcgrad(args: NoArgs) -> Recipe:
    from torchjd.aggregation import PCGrad

    return Recipe(lambda _: PCGrad(), draws=True)


def _cagrad(args: CaGradArgs) -> Recipe:
    from torchjd.aggregation import CAGradWeighting

    return Recipe(lambda _: _scaled(CAGradWeighting(args.c)), needs_all=True)


def _nash(args: NashArgs) -> Recipe:
    from torchjd.aggregation import GramianWeightedAggregator

    from graphspec.training.balancing.scaling import Bargaining

    def make(rows: int) -> Aggregator:
        return GramianWeightedAggregator(Bargaining(rows, args.max_norm, args.optim_niter))

    return Recipe(make, needs_all=True)


def _imtl_g(args: NoArgs) -> Recipe:
    from torchjd.aggregation import IMTLG

    return Recipe(lambda _: IMTLG())


def _aligned(args: AlignedArgs) -> Recipe:
    from torchjd.aggregation import AlignedMTL

    return Recipe(lambda _: AlignedMTL(scale_mode=args.scale_mode))  # type: ignore[arg-type]


def _config(args: NoArgs) -> Recipe:
    from torchjd.aggregation import ConFIG

    return Recipe(lambda _: ConFIG())


def _graddrop(args: NoArgs) -> Recipe:
    from torchjd.aggregation import GradDrop

    return Recipe(lambda _: GradDrop(), draws=True, solves=False)


def _fairgrad(args: FairGradArgs) -> Recipe:
    from torchjd.aggregation import FairGradWeighting

    # G x = x^(-1/alpha), so with G divided by t the solution is t^(alpha / (alpha + 1)) times that
    power = args.alpha / (args.alpha + 1.0)
    return Recipe(lambda _: _scaled(FairGradWeighting(args.alpha), power), needs_all=True)


def _mean(args: NoArgs) -> Recipe:
    from torchjd.aggregation import Mean

    return Recipe(lambda _: Mean(), solves=False)


def _sum(args: NoArgs) -> Recipe:
    from torchjd.aggregation import Sum

    return Recipe(lambda _: Sum(), solves=False)


def _add(
    name: str,
    summary: str,
    source: str,
    recipe: Callable[[Any], Recipe],
    arguments: type[Args] = NoArgs,
) -> None:
    def make(site: Site, args: Args) -> Balancer:
        return Aggregation(site, recipe(args))

    method = Method(
        summary, source, make, arguments, shares=True, extra=True, averages=True, origin=__name__
    )
    METHODS.add(name, method)


_add(
    "upgrad",
    "Projects each task's gradient so that it harms no other, and takes the mean.",
    "Quinton and Rey 2024",
    _upgrad,
    ProjectionArgs,
)
_add(
    "dualproj",
    "Projects the mean of the gradients so that it harms no task.",
    "Lopez-Paz and Ranzato 2017",
    _dualproj,
    ProjectionArgs,
)
_add(
    "mgda",
    "The shortest convex combination of the gradients.",
    "Désidéri 2012; Sener and Koltun 2018",
    _mgda,
    MgdaArgs,
)
_add(
    "pcgrad",
    "Takes from each gradient what conflicts with the others, in random order; their sum.",
    "Yu et al. 2020",
    _pcgrad,
)
_add(
    "cagrad",
    "Near the mean, the gradient that helps the worst-off task most.",
    "Liu et al. 2021",
    _cagrad,
    CaGradArgs,
)
_add(
    "nash_mtl",
    "The Nash bargaining solution between the tasks.",
    "Navon et al. 2022",
    _nash,
    NashArgs,
)
_add(
    "imtl_g",
    "The gradient with the same projection on that of every task.",
    "Liu et al. 2021",
    _imtl_g,
)
_add(
    "aligned_mtl",
    "Aligns the principal components of the gradients' matrix; the mean of that.",
    "Senushkin et al. 2023",
    _aligned,
    AlignedArgs,
)
_add(
    "config",
    "The direction with the same cosine to every task's gradient.",
    "Liu et al. 2024",
    _config,
)
_add(
    "graddrop",
    "Keeps for each number of the gradient one sign, drawn by how much the tasks agree on it.",
    "Chen et al. 2020",
    _graddrop,
)
_add(
    "fairgrad",
    "Alpha-fair allocation of the progress of the tasks.",
    "Ban and Ji 2024",
    _fairgrad,
    FairGradArgs,
)
_add("mean", "The mean of the gradients.", "", _mean)
_add("sum", "The sum of the gradients: the step of `fixed`, at the price of the others.", "", _sum)
