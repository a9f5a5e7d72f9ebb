"""Each method that weighs losses against the equation of its paper, on problems solved by hand."""

from __future__ import annotations

import math

import pytest
import torch

from graphspec.training.balancing.dwa import DynamicWeightAverage
from graphspec.training.balancing.gradnorm import GradNorm
from graphspec.training.balancing.uncertainty import Uncertainty

from .places import hard

FACTORS = {"a": 2.0, "b": 1.0, "c": 0.5}


def weighted(rows: dict[str, dict[str, torch.Tensor]], weights: dict[str, float]) -> dict:
    names = next(iter(rows.values()))
    return {name: sum(w * rows[task][name] for task, w in weights.items()) for name in names}


def assert_close(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[name], msg=lambda m, n=name: f"{n}: {m}")


def test_fixed_is_the_weighted_sum() -> None:
    place = hard(FACTORS)
    found = place.gradients(place.balancer("fixed"))
    assert_close(found, weighted(place.rows(), FACTORS))


def test_uncertainty_is_kendalls_objective_with_the_regression_form() -> None:
    place = hard(FACTORS)
    balancer = place.balancer("uncertainty")
    assert isinstance(balancer, Uncertainty)
    variances = torch.tensor([0.3, -0.7, 1.1])
    with torch.no_grad():
        balancer.log_variances.copy_(variances)
    found = place.gradients(balancer)
    # classification: L / sigma^2, regression: L / (2 sigma^2); both + log sigma
    e = [math.exp(-float(s)) for s in variances]
    weights = {"a": 2.0 * e[0], "b": 1.0 * 0.5 * e[1], "c": 0.5 * e[2]}
    assert_close(found, weighted(place.rows(), weights))
    losses = place.values()
    slopes = [FACTORS[t] * 0.5 - weights[t] * losses[t] for t in FACTORS]
    torch.testing.assert_close(balancer.log_variances.grad, torch.tensor(slopes))
    assert {t: float(w) for t, w in balancer.weights().items()} == pytest.approx(weights)


def test_uncertainty_leaves_a_task_without_labels_alone() -> None:
    place = hard()
    balancer = place.balancer("uncertainty")
    losses = place.losses()
    losses["c"] = losses["c"] * 0
    balancer.backward(losses)
    assert isinstance(balancer, Uncertainty)
    assert balancer.log_variances.grad is not None
    assert balancer.log_variances.grad[2] == 0.0
    assert (balancer.log_variances.grad[:2] != 0).all()


def test_dwa_weighs_by_the_rate_of_the_last_two_epochs() -> None:
    place = hard(FACTORS)
    balancer = place.balancer("dwa", temperature=1.5)
    assert isinstance(balancer, DynamicWeightAverage)
    assert balancer.weights() == FACTORS
    balancer.close_epoch({"a": 4.0, "b": 2.0, "c": 1.0})
    assert balancer.weights() == FACTORS
    balancer.close_epoch({"a": 2.0, "b": 2.0, "c": 0.9})
    powers = [math.exp(r / 1.5) for r in (0.5, 1.0, 0.9)]
    wanted = {
        task: FACTORS[task] * 3 * power / sum(powers)
        for task, power in zip(FACTORS, powers, strict=True)
    }
    assert balancer.weights() == pytest.approx(wanted)
    assert_close(place.gradients(balancer), weighted(place.rows(), wanted))


def test_dwa_bears_rates_that_overflow_and_losses_of_zero() -> None:
    balancer = hard().balancer("dwa", temperature=1e-3)
    balancer.close_epoch({"a": 1.0, "b": 1e-3, "c": 0.0})
    balancer.close_epoch({"a": 1.0, "b": 1e3, "c": 1.0})
    assert balancer.weights() == {"a": 0.0, "b": 3.0, "c": 0.0}


def test_random_weights_are_a_softmax_of_normals_and_other_ones_at_each_step() -> None:
    place = hard(FACTORS)
    balancer = place.balancer("random")
    found = place.gradients(balancer)
    first = dict(balancer.weights())
    assert_close(found, weighted(place.rows(), first))
    draws = []
    for _ in range(2000):
        balancer.backward({t: torch.zeros((), requires_grad=True) for t in FACTORS})
        draws.append([float(balancer.weights()[t]) / f for t, f in FACTORS.items()])
    drawn = torch.tensor(draws, dtype=torch.float64)
    torch.testing.assert_close(drawn.sum(1), torch.ones(2000, dtype=torch.float64))
    # of standard normals the differences of the logs have variance 2, and means of 0
    gaps = drawn[:, 0].log() - drawn[:, 1].log()
    assert abs(float(gaps.mean())) < 0.15
    assert 1.8 < float(gaps.var()) < 2.2
    assert len({tuple(row) for row in draws}) == 2000


def test_geometric_is_the_root_of_the_product() -> None:
    place = hard()
    balancer = place.balancer("geometric")
    found = place.gradients(balancer)
    losses = place.values()
    root = math.prod(losses.values()) ** (1 / 3)
    # the derivative of the root by a loss is root / (3 L)
    wanted = {task: root / (3 * loss) for task, loss in losses.items()}
    assert_close(found, weighted(place.rows(), wanted))
    assert {t: float(w) for t, w in balancer.weights().items()} == pytest.approx(wanted)


def test_geometric_has_stated_weights_as_exponents_and_skips_missing_tasks() -> None:
    place = hard(FACTORS)
    balancer = place.balancer("geometric")
    losses = place.losses()
    values = place.values()
    balancer.backward(losses | {"c": losses["c"] * 0})
    mean = values["a"] ** (2 / 3) * values["b"] ** (1 / 3)
    wanted = {"a": 2 / 3 * mean / values["a"], "b": 1 / 3 * mean / values["b"], "c": 0.0}
    assert {t: float(w) for t, w in balancer.weights().items()} == pytest.approx(wanted)


def test_gradnorm_follows_algorithm_1() -> None:
    place = hard(FACTORS)
    balancer = place.balancer("gradnorm", alpha=0.7, lr=0.1)
    assert isinstance(balancer, GradNorm)
    assert balancer.at == ("trunk.3.weight",)
    rows = place.rows()
    norms = {t: FACTORS[t] * rows[t]["trunk.3.weight"].norm() for t in FACTORS}
    first = place.values()
    found = place.gradients(balancer)
    assert_close(found, weighted(rows, FACTORS))  # the first step has weights of 1

    # by autograd, as the paper writes it: L_grad with a constant target, then Adam, then sum to 3
    w = torch.nn.Parameter(torch.ones(3))
    adam = torch.optim.Adam([w], lr=0.1)

    def step(ratios: list[float]) -> None:
        adam.zero_grad()
        norm = torch.stack([w[i] * norms[t] for i, t in enumerate(FACTORS)])
        tilde = torch.tensor(ratios)
        target = (norm.mean() * (tilde / tilde.mean()) ** 0.7).detach()
        (norm - target).abs().sum().backward()
        adam.step()
        w.data *= 3 / w.data.sum()

    step([1.0, 1.0, 1.0])
    place.gradients(balancer)
    now = {t: float(balancer.weights()[t]) / FACTORS[t] for t in FACTORS}
    assert now == pytest.approx({t: w[i].item() for i, t in enumerate(FACTORS)})
    step([1.0, 1.0, 1.0])

    # a second batch of which one loss has fallen: its task may have smaller gradients
    with torch.no_grad():
        place.targets["a"] = place.model(**place.inputs)["a"].argmax(1)
    rows = place.rows()
    norms = {t: FACTORS[t] * rows[t]["trunk.3.weight"].norm() for t in FACTORS}
    ratios = [value / first[t] for t, value in place.values().items()]
    assert ratios[0] < 1.0
    place.gradients(balancer)
    step(ratios)
    place.gradients(balancer)
    now = {t: float(balancer.weights()[t]) / FACTORS[t] for t in FACTORS}
    assert now == pytest.approx({t: w[i].item() for i, t in enumerate(FACTORS)})
    assert sum(now.values()) == pytest.approx(3.0)


def test_gradnorm_at_a_node_leaves_other_tasks_as_they_are() -> None:
    place = hard(FACTORS)
    balancer = place.balancer("gradnorm", at="side", lr=0.5)
    assert isinstance(balancer, GradNorm)
    assert balancer.at == ("side.0.weight",)
    for _ in range(3):
        place.gradients(balancer)
    weights = {task: float(w) for task, w in balancer.weights().items()}
    assert weights["a"] == 2.0
    assert weights["b"] + weights["c"] / 0.5 == pytest.approx(2.0)
    assert weights["b"] != pytest.approx(1.0)


METHODS = ("fixed", "uncertainty", "dwa", "random", "geometric", "gradnorm")


@pytest.mark.parametrize("method", METHODS)
def test_a_scale_multiplies_all_gradients_and_accumulates(method: str) -> None:
    place = hard(FACTORS)
    once = place.gradients(place.balancer(method))
    thrice = place.gradients(place.balancer(method), torch.tensor(3.0))
    assert_close(thrice, {name: 3.0 * gradient for name, gradient in once.items()})
    balancer = place.balancer(method)
    half = place.gradients(balancer, 0.25)
    if method in ("fixed", "dwa", "uncertainty", "geometric"):
        balancer.backward(place.losses(), 0.75)
        both = {name: p.grad for name, p in place.model.named_parameters() if p.grad is not None}
        assert_close(both, {name: 4.0 * gradient for name, gradient in half.items()})
