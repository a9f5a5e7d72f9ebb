"""Variants against a baseline: cells, families, verdicts, and runs that do not belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphspec.errors import SpecError
from graphspec.study import answer
from graphspec.study.comparison import Comparison, Entry, Verdict, compare
from graphspec.study.gathering import gather
from tests.study.run_folders import make, study

CLEAR = {
    "arch1": [(0.50, 0.70), (0.52, 0.71), (0.51, 0.69), (0.53, 0.72)],
    "arch2": [(0.60, 0.70), (0.621, 0.71), (0.609, 0.70), (0.63, 0.71)],
    "arch3": [(0.40, 0.75), (0.421, 0.69), (0.409, 0.65), (0.43, 0.70)],
}


@pytest.fixture
def clear(tmp_path: Path) -> Comparison:
    study(tmp_path, CLEAR)
    return compare(gather([tmp_path]).entries)


def _mistake(*entries: Entry, **options: Any) -> tuple[str, str]:
    with pytest.raises(SpecError) as caught:
        compare(entries, **options)
    first = caught.value.diagnostics[0]
    return first.code.value, first.message


def test_verdicts_follow_from_the_corrected_p(clear: Comparison) -> None:
    assert clear.baseline == "arch1"
    assert clear.families == {"tasks": 4, "consistency": 2, "delta_p": 2}
    verdicts = {
        (variant.name, metric.key): clear.cells[variant.name, metric.key].verdict
        for variant in clear.variants
        for metric in clear.main
    }
    assert verdicts == {
        ("arch1", "fine/top1"): Verdict.BASELINE,
        ("arch1", "coarse/top1"): Verdict.BASELINE,
        ("arch2", "fine/top1"): Verdict.BETTER,
        ("arch2", "coarse/top1"): Verdict.UNCLEAR,
        ("arch3", "fine/top1"): Verdict.WORSE,
        ("arch3", "coarse/top1"): Verdict.UNCLEAR,
    }
    for cell in clear.cells.values():
        if cell.p is not None:
            assert cell.interval is not None
            assert cell.interval.excludes_zero == (cell.verdict is not Verdict.UNCLEAR)


def test_a_cell_by_hand(clear: Comparison) -> None:
    cell = clear.cells["arch2", "fine/top1"]
    assert cell.spread.mean == pytest.approx(0.615)
    assert cell.difference == pytest.approx(0.1)  # of 0.1, 0.101, 0.099 and 0.1
    assert cell.paired is not None
    assert cell.paired.interval is not None
    # deviation 0.000816, t(0.975, 3) = 3.1824
    assert cell.paired.interval.high - 0.1 == pytest.approx(3.182446 * 0.00081650 / 2, rel=1e-4)
    delta = clear.cells["arch2", "delta_p"]
    gains = [
        50 * ((fine - one) / one + (coarse - two) / two)
        for (fine, coarse), (one, two) in zip(CLEAR["arch2"], CLEAR["arch1"], strict=True)
    ]
    assert list(delta.values.values()) == pytest.approx(gains)


def test_less_loss_is_better(tmp_path: Path) -> None:
    """A task whose metric is minimised: the fixture's top-1 is turned into an error."""
    for seed in range(3):
        for name, mae in (("a", 2.0 + 0.1 * seed), ("b", 1.0 + 0.11 * seed)):
            scores = {split: {"loss": mae, "mae": mae} for split in ("validation", "test")}
            task = {"type": "regression", "classes": 0, "parent": None, **scores}
            changes = {"tasks": {"age": task}, "hierarchy": {}, "confusion": None}
            make(tmp_path / f"{name}{seed}", name, seed, summary=changes)
    found = compare(gather([tmp_path]).entries)
    cell = found.cells["b", "age/mae"]
    assert cell.difference == pytest.approx(-0.99)
    assert cell.verdict is Verdict.BETTER
    assert found.cells["b", "delta_p"].spread.mean > 0
    assert answer.headline(found) == "Compared with a: b is better on age."


def test_another_baseline(tmp_path: Path) -> None:
    study(tmp_path, CLEAR)
    found = compare(gather([tmp_path]).entries, "arch2")
    assert found.cells["arch1", "fine/top1"].verdict is Verdict.WORSE
    entries = gather([tmp_path]).entries
    assert _mistake(*entries, baseline="arch4") == (
        "bad-option",
        "no variant is called `arch4`",
    )


def test_seeds_are_paired_and_what_is_alone_is_told(tmp_path: Path) -> None:
    study(tmp_path, {"arch1": CLEAR["arch1"], "arch2": CLEAR["arch2"][:2]})
    make(tmp_path / "more", "arch2", 7, 0.9, 0.9)
    found = compare(gather([tmp_path]).entries)
    cell = found.cells["arch2", "fine/top1"]
    assert cell.paired is not None
    assert list(cell.paired.differences) == [0, 1]
    assert list(cell.values) == [0, 1, 7]
    assert found.remarks == (
        "arch2 is not paired at every seed: seed 7 only there, seeds 2, 3 missing",
    )


def test_one_seed_has_no_interval_and_says_so(tmp_path: Path) -> None:
    study(tmp_path, {"arch1": [(0.5, 0.7)], "arch2": [(0.6, 0.6)]})
    found = compare(gather([tmp_path]).entries)
    cell = found.cells["arch2", "fine/top1"]
    assert (cell.interval, cell.p, cell.verdict) == (None, None, Verdict.UNTESTED)
    assert found.families["tasks"] == 0
    assert answer.headline(found).startswith("These runs cannot tell an effect from chance")
    text = " ".join(answer.paragraphs(found)[1].sentences)
    assert "Not tested (one seed, so chance is not ruled out): arch2 +10.00 points." in text


def test_no_seed_in_common(tmp_path: Path) -> None:
    make(tmp_path / "a", "arch1", 0)
    make(tmp_path / "b", "arch2", 1)
    found = compare(gather([tmp_path]).entries)
    assert found.cells["arch2", "fine/top1"].paired is None
    assert found.remarks == ("arch2 has no seed in common with arch1: it is not paired",)


def test_a_variant_alone(tmp_path: Path) -> None:
    study(tmp_path, {"arch1": CLEAR["arch1"]})
    found = compare(gather([tmp_path]).entries)
    assert answer.headline(found) == "There is one variant, arch1: nothing to compare it with."
    assert found.delta is None
    assert [p.heading for p in answer.paragraphs(found)] == ["coarse top-1", "fine top-1"]


def test_a_variant_of_one_task_is_compared_on_that(tmp_path: Path) -> None:
    study(tmp_path, {"both": CLEAR["arch1"]})
    for seed in range(3):
        make(tmp_path / f"single{seed}", "single", seed, 0.6, tasks=("fine",))
    found = compare(gather([tmp_path]).entries)
    assert found.cells["single", "fine/top1"].verdict is not Verdict.UNTESTED
    assert ("single", "coarse/top1") not in found.cells
    assert ("single", "delta_p") not in found.cells


def test_runs_of_other_data_tasks_or_classes_are_refused(tmp_path: Path) -> None:
    first = Entry("arch1", 0, make(tmp_path / "a"))
    other = Entry("arch2", 0, make(tmp_path / "b", "arch2", data=("cifar100", "beef")))
    assert _mistake(first, other) == (
        "run-mismatch",
        f"`{tmp_path}/a` is of fashion-mini and `{tmp_path}/b` is of cifar100",
    )
    newer = Entry("arch2", 0, make(tmp_path / "c", "arch2", data=("fashion-mini", "beef")))
    assert _mistake(first, newer)[1].endswith("but other samples (their fingerprints differ)")
    fine = Entry("one", 0, make(tmp_path / "d", "one", tasks=("fine",)))
    coarse = Entry("two", 0, make(tmp_path / "e", "two", tasks=("coarse",)))
    assert _mistake(fine, coarse) == (
        "run-mismatch",
        f"`{tmp_path}/d` predicts fine, `{tmp_path}/e` coarse",
    )


def test_unfinished_damaged_and_repeated_runs_are_all_told(tmp_path: Path) -> None:
    good = make(tmp_path / "good")
    stopped = make(tmp_path / "stopped", status="interrupted")
    broken = make(tmp_path / "broken")
    (broken / "summary.json").write_text('{"status": "finished"}')
    with pytest.raises(SpecError) as caught:
        compare(
            [
                Entry("a", 0, good),
                Entry("a", 0, stopped),
                Entry("b", 0, stopped),
                Entry("c", 0, broken),
                Entry("d", 0, tmp_path / "none"),
            ]
        )
    messages = [each.message for each in caught.value.diagnostics]
    assert messages == [
        f"`{good}` and `{stopped}` are both `a`, seed 0",
        f"`{stopped}` is not finished",
        f"`{broken}` holds something unexpected (KeyError: 'tasks')",
        f"`{tmp_path}/none` does not exist",
    ]
    assert _mistake()[0] == "not-a-run"


def test_without_a_test_split_validation_counts_and_is_told(tmp_path: Path) -> None:
    study(tmp_path, {"arch1": CLEAR["arch1"], "arch2": CLEAR["arch2"]}, splits=("validation",))
    found = compare(gather([tmp_path]).entries)
    assert found.split == "validation"
    assert found.remarks[0].startswith("not all runs have a test split")


def test_an_answer_names_what_helped_and_what_is_open(clear: Comparison) -> None:
    assert answer.headline(clear) == (
        "Compared with arch1: arch2 is better on fine; arch3 is worse on fine; "
        "on coarse nothing can be told apart."
    )
    coarse, fine, fitting, together, sure = answer.paragraphs(clear)
    assert fine.heading == "fine: accuracy, test split"
    assert fine.sentences[0] == "arch1 reaches 51.50 % (deviation 1.29)."
    assert fine.sentences[1].startswith("arch2 is better: +10.00 points, to 61.50 % (interval ")
    assert fine.sentences[2].startswith("arch3 is worse: −10.00 points, to 41.50 % ")
    assert "cannot be told apart from arch1: their differences lie between" in coarse.sentences[1]
    assert fitting.heading == "fine: prediction lies in the predicted parent, test split"
    assert together.heading == "All tasks together (Δp)"
    assert "(4 on tasks, 2 in consistency and 2 in Δp)" in " ".join(sure.sentences)
    assert "cannot give a p below 0.125 with 4 pairs" in " ".join(sure.sentences)


def test_consistency_is_a_question_of_its_own(tmp_path: Path) -> None:
    for seed in range(4):
        for name, share in (("alone", 0.4), ("shared", 0.5 + 0.001 * seed)):
            path = make(tmp_path / f"{name}{seed}", name, seed, 0.5, 0.7) / "summary.json"
            path.write_text(
                path.read_text().replace('"consistency": 0.9', f'"consistency": {share}')
            )
    found = compare(gather([tmp_path]).entries)
    assert found.families == {"tasks": 2, "consistency": 1, "delta_p": 1}
    cell = found.cells["shared", "fine/consistency"]
    assert (cell.verdict, cell.metric.family) == (Verdict.BETTER, "consistency")
    assert cell.p == cell.paired.p if cell.paired else False
    assert answer.headline(found).endswith("But shared is better in consistency of fine.")


def test_weights_of_an_early_epoch_are_told(tmp_path: Path) -> None:
    entries = []
    for name, best in (("arch1", 9), ("early", 1), ("once", 1)):
        for seed in (0, 1):
            epoch = 9 if (name, seed) == ("once", 1) else best
            summary = {"epochs": 10, "best": {"metric": "validation/loss", "epoch": epoch}}
            path = make(tmp_path / f"{name}-{seed}", name, seed, summary=summary)
            entries.append(Entry(name, seed, path))
    told = compare(entries, "arch1").remarks
    assert told == (
        "early is judged by the weights of epoch 1 of 10, where validation/loss was best; its "
        "curves tell how each task went on",
    )
