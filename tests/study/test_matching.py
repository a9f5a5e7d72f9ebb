"""Bringing variants to one size."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphspec.errors import SpecError
from graphspec.language.studies import Match, Study
from graphspec.study import plan
from graphspec.study.matching import matched, size
from graphspec.study.variants import Variant, variants

WIDE = {"set": {"width": 60}}


def found(**section: object) -> list[Variant]:
    asked = {"specs": ["apart.yaml", "shared.yaml"], **section}
    study = Study.model_validate(asked)
    from graphspec.language.compose import Override

    common = [Override.item(key, value) for key, value in study.set.items()]
    return variants(plan.asked(study, common))


@pytest.mark.parametrize("by", ["params", "flops"])
def test_sizes_are_within_the_tolerance(there: Path, by: str) -> None:
    before = found(**WIDE)
    after = matched(before, before[0], Match.model_validate({"by": by}))
    target = size(before[0].checked, by)
    assert after[0] is before[0]
    assert abs(size(before[1].checked, by) - target) > 0.2 * target
    reached = size(after[1].checked, by)
    assert abs(reached - target) <= 0.02 * target
    width = after[1].checked.spec.vars["width"]
    assert width > 60
    assert after[1].note.startswith(f"width={width}, which gives {reached:,} ")
    # no neighbour is nearer
    for other in (width - 1, width + 1):
        near = [each for each in found(set={"width": other}) if each.label == "shared"]
        assert abs(size(near[0].checked, by) - target) >= abs(reached - target)


def test_the_seed_of_a_matched_variant_can_be_chosen(there: Path) -> None:
    before = found(**WIDE)
    after = matched(before, before[0], Match(by="params"))[1]
    assert after.at(7).train.seed == 7
    assert after.at(7).vars["width"] == after.checked.spec.vars["width"]


def test_steps_that_are_too_coarse_are_told(there: Path) -> None:
    before = found(set={"width": 2})
    with pytest.raises(SpecError) as error:
        matched(before, before[0], Match(by="flops", tolerance=0.001))
    item = error.value.diagnostics[0]
    assert item.code == "bad-value"
    assert "no `width` of `shared` gives the" in item.message
    assert "tolerance: 0.1" in (item.hint or "")


@pytest.mark.parametrize(
    ("variables", "match", "words"),
    [
        ("{}", {"by": "params"}, "declares no whole number that could change its size"),
        ("{a: 8, b: 8}", {"by": "params"}, "has several variables"),
        ("{a: 8}", {"by": "params", "variable": "c"}, "declares no whole number `c`"),
        ("{a: 8}", {"by": "params"}, None),
    ],
)
def test_the_variable_is_found_or_asked_for(
    there: Path, variables: str, match: dict[str, str], words: str | None
) -> None:
    for name in ("base", "shared", "apart"):
        path = there / f"{name}.yaml"
        text = path.read_text().replace("vars: {width: 8}", f"vars: {variables}")
        size_of = "=a" if "a:" in variables else "8"
        path.write_text(text.replace("[=width, =width]", f"[{size_of}, 8]"))
    before = found()
    if words is None:
        loose = Match.model_validate({**match, "tolerance": 0.2})
        assert matched(before, before[0], loose)[1].checked.spec.vars["a"] > 8
        return
    with pytest.raises(SpecError) as error:
        matched(before, before[0], Match.model_validate(match))
    assert words in error.value.diagnostics[0].message
