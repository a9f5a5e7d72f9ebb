"""The aggregators against torchjd called by plain code, and against autograd on real topologies."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchjd import aggregation

import graphspec as gs
from graphspec import compiler
from graphspec.training.balancing.aggregation import Aggregation
from graphspec.training.balancing.balancer import Balancer
from graphspec.training.balancing.draws import drawing, seed_of
from graphspec.training.balancing.methods import METHODS

from .places import CPU, HARD, Place, hard

FACTORS = {"a": 2.0, "b": 1.0, "c": 0.5}
SHARED = {"a": {"trunk"}, "b": {"trunk", "side"}, "c": {"trunk", "side"}}

ORACLES: dict[str, Callable[[], aggregation.Aggregator]] = {
    "upgrad": aggregation.UPGrad,
    "dualproj": aggregation.DualProj,
    "mgda": aggregation.MGDA,
    "pcgrad": aggregation.PCGrad,
    "cagrad": lambda: aggregation.CAGrad(0.5),
    "nash_mtl": lambda: aggregation.NashMTL(3),
    "imtl_g": aggregation.IMTLG,
    "aligned_mtl": aggregation.AlignedMTL,
    "config": aggregation.ConFIG,
    "graddrop": aggregation.GradDrop,
    "fairgrad": lambda: aggregation.FairGrad(1.0),
    "mean": aggregation.Mean,
    "sum": aggregation.Sum,
}


def by_hand(place: Place, aggregator: aggregation.Aggregator, call: int = 1) -> dict[str, Tensor]:
    """Return the gradients that plain code gives: flatten, aggregate, split."""
    rows = place.rows()
    names = list(rows["a"])
    shared = [name for name in names if sum(bool(rows[t][name].any()) for t in rows) > 1]
    matrix = torch.stack(
        [torch.cat([FACTORS[t] * rows[t][name].flatten() for name in shared]) for t in rows]
    )
    with drawing(seed_of(3, call), CPU), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cvxpy's, of Nash-MTL's problem
        vector = aggregator(matrix)
    parts = vector.split([rows["a"][name].numel() for name in shared])
    found = {n: part.view_as(rows["a"][n]) for n, part in zip(shared, parts, strict=True)}
    return {
        name: found[name] if name in found else sum(FACTORS[t] * rows[t][name] for t in rows)
        for name in names
    }


def assert_close(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[name], msg=lambda m, n=name: f"{n}: {m}")


def test_every_aggregator_has_an_oracle() -> None:
    assert set(ORACLES) == {name for name in METHODS if METHODS.get(name).extra}


def conflicting() -> Place:
    """Return a model on a batch on which two pairs of tasks conflict."""
    place = hard(FACTORS, dtype=torch.float64, size=5)
    rows = matrix(place, list(place.rows().values()))
    assert ((rows @ rows.T) < 0).sum() == 4
    return place


@pytest.mark.parametrize("method", ORACLES)
def test_aggregates_what_is_shared_and_sums_the_rest(method: str) -> None:
    place = conflicting()
    balancer, oracle = place.balancer(method), ORACLES[method]()
    for call in (1, 2):
        found = place.gradients(balancer)
        assert_close(found, by_hand(place, oracle, call))
    shared = {name for name in found if name.startswith(("trunk", "side"))}
    assert set(place.site.shared) == shared
    assert set(place.site.own) == set(found) - shared


def test_nothing_but_the_gradients_is_left_behind() -> None:
    place = hard(FACTORS)
    state = torch.get_rng_state()
    place.balancer("graddrop").backward(place.losses())
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(hasattr(p, "jac") for p in place.model.parameters())


@pytest.mark.parametrize("method", ORACLES)
def test_a_scale_multiplies_what_is_aggregated_and_gradients_accumulate(method: str) -> None:
    place = hard(FACTORS, dtype=torch.float64)
    once = place.gradients(place.balancer(method))
    balancer = place.balancer(method)
    found = place.gradients(balancer, torch.tensor(1024.0))
    assert_close(found, {name: 1024.0 * gradient for name, gradient in once.items()})
    fresh = place.balancer(method)
    place.gradients(fresh)
    second = {name: g - once[name] for name, g in _again(place, fresh).items()}
    other = place.balancer(method)
    place.gradients(other)
    assert_close(second, place.gradients(other))


DEGREES = {"nash_mtl": 0.0, "fairgrad": 0.0}
"""To which power of the gradients' scale a method's gradient grows, where that is not 1."""


@pytest.mark.parametrize("method", ORACLES)
def test_small_gradients_are_aggregated_as_large_ones_are(method: str) -> None:
    place = conflicting()
    arguments = {"max_norm": 0.0} if method == "nash_mtl" else {}
    wanted = place.gradients(place.balancer(method, **arguments))
    place.model.zero_grad(set_to_none=True)
    torch.manual_seed(0)
    small = {task: 1e-6 * loss for task, loss in place.losses().items()}
    balancer = place.balancer(method, **arguments)
    balancer.backward(small)
    for name in place.site.shared:
        found = place.model.get_parameter(name).grad
        assert found is not None
        scale = 1e-6 ** DEGREES.get(method, 1.0)
        torch.testing.assert_close(found / scale, wanted[name], rtol=1e-4, atol=1e-5)
    assert balancer.remarks() == []


def matrix(place: Place, gradients: list[dict[str, Tensor]]) -> Tensor:
    """Return gradients at what is shared, one row each."""
    shared = place.site.shared
    return torch.stack([torch.cat([each[n].flatten() for n in shared]) for each in gradients])


@pytest.mark.parametrize("sizes", [(2.0, 1.0, 0.5), (1e-3, 1.0, 40.0)])
def test_nash_mtl_solves_its_equation_at_any_size_of_the_gradients(
    sizes: tuple[float, ...],
) -> None:
    factors = dict(zip("abc", sizes, strict=True))
    place = hard(factors, dtype=torch.float64)
    balancer = place.balancer("nash_mtl", max_norm=0.0)
    rows = matrix(place, list(place.rows().values())) * torch.tensor(sizes)[:, None]
    (found,) = matrix(place, [place.gradients(balancer)])
    # with J J^T alpha = 1 / alpha every task has the same part in the gradient: alpha_i g_i d = 1
    alpha = 1 / (rows @ found)
    torch.testing.assert_close(alpha @ rows, found, rtol=1e-4, atol=1e-6)
    weights = torch.stack([torch.as_tensor(w) for w in balancer.weights().values()])
    torch.testing.assert_close(weights, alpha * torch.tensor(sizes), rtol=1e-4, atol=0.0)
    limited = place.gradients(place.balancer("nash_mtl", max_norm=0.25))
    (short,) = matrix(place, [limited])
    torch.testing.assert_close(short, 0.25 * found / found.norm(), rtol=1e-4, atol=1e-6)


def test_nash_mtl_bargains_between_the_tasks_that_have_labels() -> None:
    place = hard({}, dtype=torch.float64)
    balancer = place.balancer("nash_mtl", max_norm=0.0)
    losses = place.losses()
    balancer.backward(losses | {"a": losses["a"] * 0})
    names = place.site.shared
    grads = {n: p.grad for n, p in place.model.named_parameters() if p.grad is not None}
    found = torch.cat([grads[name].flatten() for name in names])
    own = place.rows()
    rows = matrix(place, [own["b"], own["c"]])
    torch.testing.assert_close((1 / (rows @ found)) @ rows, found, rtol=1e-4, atol=1e-6)
    assert balancer.remarks() == []
    weights = {task: float(weight) for task, weight in balancer.weights().items()}
    assert weights["a"] == 0.0
    assert min(weights["b"], weights["c"]) > 0.0


def test_between_opposite_tasks_nash_mtl_finds_nothing_and_says_so() -> None:
    place = hard({"c": 0.0}, dtype=torch.float64)
    balancer = place.balancer("nash_mtl")
    losses = place.losses()
    balancer.backward(losses | {"b": -1.0 * losses["a"]})
    assert balancer.remarks() == ["in 1 step no solution was found, and the gradients were summed"]
    gradient = place.model.get_parameter("trunk.0.weight").grad
    assert gradient is not None
    assert not gradient.any()


def _again(place: Place, balancer: Balancer) -> dict[str, Tensor]:
    balancer.backward(place.losses())
    return {n: p.grad.clone() for n, p in place.model.named_parameters() if p.grad is not None}


def test_gradients_that_are_not_finite_pass_through_for_the_trainer_to_find() -> None:
    place = hard(FACTORS)
    for method in ORACLES:
        balancer = place.balancer(method)
        place.model.zero_grad(set_to_none=True)
        losses = place.losses()
        balancer.backward(losses | {"a": losses["a"] * float("nan")})
        assert place.model.get_parameter("trunk.0.weight").grad.isnan().any(), method


@pytest.mark.parametrize("method", ORACLES)
def test_a_task_without_labels_does_not_stop_the_others(method: str) -> None:
    place = hard(FACTORS)
    balancer = place.balancer(method)
    losses = place.losses()
    balancer.backward(losses | {"a": losses["a"] * 0})
    gradient = place.model.get_parameter("trunk.0.weight").grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert gradient.any()


def test_a_step_without_a_solution_takes_the_sum_and_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = hard(FACTORS)
    balancer = place.balancer("upgrad")
    assert isinstance(balancer, Aggregation)
    # what torchjd says where quadprog finds no solution: a Gramian that is not positive definite
    monkeypatch.setattr("torchjd._linalg._dual_cone.solve_qp", lambda *_, **options: None)
    found = place.gradients(balancer)
    assert_close(found, place.gradients(place.balancer("fixed")))
    assert balancer.state_dict()["failed"] == 1
    fresh = place.balancer("upgrad")
    fresh.load_state_dict(balancer.state_dict())
    for each in (balancer, fresh):
        assert each.remarks() == ["in 1 step no solution was found, and the gradients were summed"]
        assert each.remarks() == []
    monkeypatch.undo()
    assert not torch.equal(place.gradients(balancer)["trunk.0.weight"], found["trunk.0.weight"])


def test_gradients_lie_in_memory_as_their_parameters() -> None:
    place = Place(gs.analyze(gs.load("arch5", {"width": 2})), size=2)
    kernels = [p for p in place.model.parameters() if p.dim() == 4]
    for p in kernels:
        p.data = p.data.to(memory_format=torch.channels_last)
    place.balancer("sum").backward(place.losses())
    for p in place.model.parameters():
        assert p.grad is not None
        assert p.grad.stride() == p.stride()


SHARING = """\
graphspec: 1
inputs: {left_image: {shape: [6]}, right_image: {shape: [6]}}
tasks: {fine: {classes: 3}, coarse: {classes: 2}}
nodes:
  left:   {op: fc, from: left_image, units: [5], dropout: 0}
  right:  {share: left, from: right_image}
  other:  {share: left, mode: parameters, from: right_image}
  both:   {op: concat, from: [left, right]}
  mixed:  {op: add, from: [right, other]}
  cold:   {op: Linear, out_features: 5, from: mixed, trainable: false}
  tied:   {op: Linear, out_features: 5, from: cold, tie: {weight: cold2.weight}}
  cold2:  {op: Linear, out_features: 5, from: mixed}
  coarse: {op: head, from: tied, task: coarse}
  joint:  {op: concat, from: [both, cold2, {node: coarse, detach: true}]}
  fine:   {op: head, from: joint, task: fine}
"""


@pytest.mark.parametrize("method", ["upgrad", "mgda", "gradnorm", "uncertainty", "sum"])
def test_shared_copied_tied_frozen_and_detached(method: str) -> None:
    place = Place(gs.analyze(compiler.load_text(SHARING)))
    assert set(place.site.by_node) == {"left", "cold2"}
    assert not any(name.startswith("coarse") for name in place.site.shared)
    found = place.gradients(place.balancer(method))
    wanted = place.gradients(place.balancer("fixed"))
    assert found.keys() == wanted.keys()
    assert not any(name.startswith("cold.") for name in found)
    if method == "sum":
        assert_close(found, wanted)
    for name in place.site.own:
        if METHODS.get(method).extra:
            torch.testing.assert_close(found[name], wanted[name])


def test_frozen_for_a_while() -> None:
    place = hard(FACTORS)
    balancer = place.balancer("upgrad")
    trunk = [p for n, p in place.model.named_parameters() if n.startswith(("trunk", "side"))]
    for p in trunk:
        p.requires_grad_(False)
    found = place.gradients(balancer)
    assert {name.split(".")[0] for name in found} == {"a", "b", "c"}
    for p in trunk:
        p.requires_grad_(True)
    assert "trunk.0.weight" in place.gradients(balancer)


def test_a_task_of_weight_zero_has_no_part_in_it() -> None:
    place = hard({"a": 0.0})
    balancer = place.balancer("mgda")
    assert isinstance(balancer, Aggregation)
    found = place.gradients(balancer)
    assert "a.weight" not in found
    assert found["trunk.0.weight"].any()
    assert HARD  # the topology in which a reads the trunk alone
