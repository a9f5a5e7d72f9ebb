"""The models that torchvision does not have whole, against plain PyTorch with the same weights."""

from __future__ import annotations

import pytest

import graphspec as gs
from tests.zoo.parity import compare, spec_parameters
from tests.zoo.references import OTHERS


@pytest.mark.parametrize("name", OTHERS)
def test_the_outputs_are_those_of_plain_pytorch(name: str) -> None:
    found = compare(name, OTHERS[name])
    assert found.parameters == found.expected_parameters
    assert found.difference <= found.tolerance
    assert min(found.tasks.values()) > 1e-3


def test_gpt_of_the_right_size_is_gpt2() -> None:
    size = {"vocabulary": 50257, "length": 1024, "width": 768, "heads": 12, "depth": 12}
    assert spec_parameters("zoo/gpt", size) == 124_439_808


@pytest.mark.parametrize(("padding", "before", "after"), [(0, 572, 388), (1, 576, 576)])
def test_the_mask_of_unet(padding: int, before: int, after: int) -> None:
    """Figure 1 of the paper: 572 x 572 pixels in, 388 x 388 out."""
    size = {"width": 1, "padding": padding, "inputs.image.shape": [1, before, before]}
    graph = gs.analyze(gs.load("zoo/unet", size))
    assert graph.nodes["mask"].outputs[0].shape[1:] == (2, after, after)


def test_a_step_of_refinement_costs_no_parameter() -> None:
    """Table 2 of the paper: RCNN-96 has 0.67 million parameters, however often it refines."""
    sizes = {spec_parameters("zoo/recurrent_refinement", {"steps": steps}) for steps in (1, 3, 5)}
    assert sizes == {672_202}
    for steps in (1, 4):
        graph = gs.analyze(gs.load("zoo/recurrent_refinement", {"steps": steps}))
        assert len(graph.calls["stage2.1.first.recurrent"]) == steps


def test_the_twins_are_one_network() -> None:
    graph = gs.analyze("zoo/siamese")
    assert [node.name for node in graph.calls["tower"]] == ["tower", "twin"]
