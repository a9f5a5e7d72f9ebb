"""Splits, statistics, fingerprint and hierarchy: exact, and the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from graphspec.data import hierarchy, targets
from graphspec.data.dataset import assemble, channel_statistics, fingerprint
from graphspec.data.source import Part, Raw, Source
from graphspec.data.sources import load
from graphspec.data.splitting import hold_out
from graphspec.errors import Code
from graphspec.language.recipe import Data
from graphspec.language.signature import InputSpec, Signature, TaskSpec
from graphspec.language.tasks import Task

SIGNATURE = Signature(
    {"image": InputSpec((2, 3, 3))},
    {
        "colour": TaskSpec(2, ("warm", "cold")),
        "shade": TaskSpec(4, ("red", "blue", "pink", "navy"), "colour", (0, 1, 0, 1)),
    },
)


def part(count: int, seed: int = 0) -> Part:
    generator = np.random.default_rng(seed)
    shade = np.arange(count) % 4
    images = generator.integers(0, 256, (count, 2, 3, 3), np.uint8)
    return Part({"image": images}, {"colour": shade % 2, "shade": shade})


def source(raw: Raw, digest: str = "") -> Source:
    return Source("shades", "Shades", SIGNATURE, lambda _: raw, digest, "here")


RAW = Raw(part(40), part(8, 1), Path("/data/shades"))

# what these functions gave when they were written: the same numbers for ever
GOLDEN = [1, 3, 6, 8, 10, 11, 14, 21, 25, 33, 34, 56]
FINGERPRINT = "c0261f402b252802c6afd1cf413959ac0d40254674f152218c23f7ad327cf37a"


def test_hold_out_is_stratified() -> None:
    labels = np.repeat(np.arange(5), [500, 500, 100, 10, 1])
    chosen = hold_out(labels, 0.2, 0)
    assert np.bincount(labels[chosen], minlength=5).tolist() == [100, 100, 20, 2, 0]


def test_hold_out_keeps_the_total_where_shares_are_not_whole() -> None:
    labels = np.repeat(np.arange(100), 2)
    chosen = hold_out(labels, 0.2, 3)
    counts = np.bincount(labels[chosen], minlength=100)
    assert chosen.sum() == 40
    assert counts.max() == 1
    assert counts[:50].sum() not in (0, 40)  # spread over the classes, not the first ones


def test_hold_out_never_takes_a_whole_class() -> None:
    labels = np.repeat(np.arange(4), 3)
    assert np.bincount(labels[hold_out(labels, 0.99, 0)]).tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("fraction", [0.0, 1e-9])
def test_hold_out_nothing(fraction: float) -> None:
    assert not hold_out(np.arange(10) % 2, fraction, 0).any()


def test_hold_out_is_the_same_on_every_machine() -> None:
    labels = np.arange(60) % 3
    chosen = np.flatnonzero(hold_out(labels, 0.2, 7)).tolist()
    assert chosen == GOLDEN
    assert np.flatnonzero(hold_out(labels, 0.2, 8)).tolist() != chosen
    assert hold_out(labels, 0.2, 2**63 - 1).sum() == 12


def test_splits_are_disjoint_and_complete() -> None:
    dataset = assemble(source(RAW), RAW, 0.25, 0)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [30, 10, 8]
    rows = torch.cat([dataset.train.images, dataset.validation.images]).flatten(1)
    official = torch.from_numpy(RAW.train.images).flatten(1)
    assert sorted(rows.tolist()) == sorted(official.tolist())
    for split in (dataset.train, dataset.validation):
        assert torch.equal(split.labels["shade"] % 2, split.labels["colour"])
    counts = dataset.validation.labels["shade"].bincount().tolist()
    assert sorted(counts) == [2, 2, 3, 3]  # a quarter of ten each


def test_an_empty_validation_split() -> None:
    dataset = assemble(source(RAW), RAW, 0.0, 0)
    assert [len(dataset.train), len(dataset.validation)] == [40, 0]
    assert dataset.validation.images.shape == (0, 2, 3, 3)
    assert dataset.validation.labels["shade"].dtype == torch.int64


def test_statistics_are_those_of_numpy() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1100, 3, 5, 4), np.uint8)
    images[:, 2] = 7
    mean, std = channel_statistics(images)
    scaled = images.astype(np.float64) / 255
    np.testing.assert_allclose(mean, scaled.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, scaled.std((0, 2, 3)), rtol=1e-12, atol=1e-15)
    assert std[2] == 0.0
    assert channel_statistics(images[::-1].copy()) == (mean, std)


def test_statistics_are_those_of_the_whole_official_split() -> None:
    datasets = [assemble(source(RAW), RAW, fraction, 0) for fraction in (0.0, 0.5)]
    expected = {"image": channel_statistics(RAW.train.images)}
    assert datasets[0].channels == datasets[1].channels == expected


def test_the_fingerprint_sees_every_bit_and_only_the_data() -> None:
    digests = {fingerprint(RAW)}
    for split in ("train", "test"):
        for what in ("images", "colour", "shade"):
            parts = {"train": part(40), "test": part(8, 1)}
            array = parts[split].images if what == "images" else parts[split].labels[what]
            array[-1] ^= 1
            digests.add(fingerprint(Raw(parts["train"], parts["test"], Path())))
    assert len(digests) == 7
    swapped = Part(RAW.train.inputs, dict(reversed(RAW.train.labels.items())))
    assert fingerprint(Raw(swapped, RAW.test, Path("/elsewhere"))) == fingerprint(RAW)
    seeds = [assemble(source(RAW), RAW, 0.2, seed).fingerprint for seed in range(2)]
    assert seeds == [fingerprint(RAW)] * 2
    assert fingerprint(RAW) == FINGERPRINT


def test_the_same_seed_gives_the_same_split() -> None:
    first, second, other = (load(Data(source="fashion-mini"), seed) for seed in (5, 5, 6))
    assert torch.equal(first.validation.images, second.validation.images)
    assert torch.equal(first.train.labels["fine"], second.train.labels["fine"])
    assert not torch.equal(first.validation.images, other.validation.images)


def test_warnings_tell_whether_results_compare() -> None:
    raw = Raw(RAW.train, RAW.test, RAW.origin, ("a", "b"))
    (warning,) = assemble(source(raw), raw, 0.2, 0).warnings
    assert warning.message == "`a`, `b` in `/data/shades` differ from the official files of Shades"
    assert warning.hint is not None
    assert warning.hint.startswith("results may not compare")
    (warning,) = assemble(source(raw, fingerprint(raw)), raw, 0.2, 0).warnings
    assert warning.hint == (
        "all pixels and labels are the official ones, so results can be compared"
    )


def test_the_finest_task() -> None:
    assert hierarchy.finest(SIGNATURE.tasks) == "shade"
    assert hierarchy.finest({"a": TaskSpec(2), "b": TaskSpec(3)}) == "a"
    circle = {"a": TaskSpec(2, parent="b"), "b": TaskSpec(2, parent="a")}
    assert hierarchy.finest(circle) == "a"
    age = TaskSpec(type="regression", shape=(1,))
    assert hierarchy.finest({"age": age, "b": TaskSpec(3)}) == "b"
    assert hierarchy.finest({"age": age}) is None


def test_labels_against_the_hierarchy(codes_of: Callable) -> None:
    good = part(8)
    hierarchy.check(SIGNATURE.tasks, good.labels, "train")
    wrong = {**good.labels, "colour": good.labels["colour"].copy()}
    wrong["colour"][[2, 5]] ^= 1
    codes, text = codes_of(lambda: hierarchy.check(SIGNATURE.tasks, wrong, "train"))
    assert codes == [Code.DATA_CORRUPT]
    assert (
        "`train` puts 2 samples into a wrong class of `colour`; sample 2 is `pink`, "
        "expected in `warm`, found in `cold`"
    ) in text
    outside = {**good.labels, "shade": good.labels["shade"] + 1}
    codes, text = codes_of(lambda: targets.check(SIGNATURE.tasks, outside, "test", official=True))
    assert codes == [Code.DATA_CORRUPT]
    assert "`test` holds labels of `shade` from 1 to 4; expected 0 to 3" in text


def test_a_hierarchy_is_learned_from_the_labels(codes_of: Callable) -> None:
    tasks = {
        "fine": TaskSpec(5, tuple("abcde"), "mid"),
        "mid": TaskSpec(3, parent="top"),
        "top": TaskSpec(2),
    }
    labels = {
        "fine": np.array([0, 1, 2, 3, -1, 3, 0]),
        "mid": np.array([0, 0, 1, -1, 2, 2, -1]),
        "top": np.array([0, 0, 0, 1, 1, 1, 0]),
    }
    found = hierarchy.learned(tasks, labels, "train")
    assert found["fine"].parents == (0, 0, 1, 2, -1)
    assert found["mid"].parents == (0, 0, 1)
    assert found["fine"].lineage == ((0, 0, 1, 2, -1), (0, 0, 0, 1, -1))
    assert found["mid"].lineage == ((0, 0, 1),)
    assert found["top"].lineage == ()
    known = {"fine": tasks["fine"], "mid": TaskSpec(3)}
    kept = hierarchy.learned({**known, "fine": found["fine"]}, {}, "train")
    assert kept["fine"].parents == found["fine"].parents

    wrong = {**labels, "mid": np.array([0, 2, 1, 1, 2, 2, 2])}
    codes, text = codes_of(lambda: hierarchy.learned(tasks, wrong, "train"))
    assert codes == [Code.DATA_CORRUPT]
    assert (
        "the class `d` of `fine` in `train` lies in two classes of `mid`: in `1` by sample 3, "
        "in `2` by sample 5"
    ) in text
    assert "was `mid:" not in text
    reversed_ = {"top": TaskSpec(2, parent="mid"), "mid": TaskSpec(3)}
    _, text = codes_of(lambda: hierarchy.learned(reversed_, labels, "train"))
    assert "was `mid: {parent: top}` meant?" in text

    # a class that the training split does not show is in no class's way
    test = {"fine": np.array([4, 0]), "mid": np.array([1, 0]), "top": np.array([0, 0])}
    hierarchy.check(found, test, "test")
    against = {**test, "mid": np.array([1, 1])}
    codes, text = codes_of(lambda: hierarchy.check(found, against, "test", official=False))
    assert "sample 1 is `a`, expected in `0`, found in `1`" in text
    assert "correct the labels" in text


def write_table(split: Callable[[int], str], wrong: int) -> None:
    """Write 60 rows of which one, counted from 1, is against the hierarchy."""
    lines = ["x,kind,group,split"]
    for row in range(1, 61):
        kind = row % 4
        group = kind // 2 if row != wrong else 1 - kind // 2
        lines.append(f"{row / 8},{kind},{group},{split(row)}")
    Path("t.csv").write_text("\n".join(lines))


def test_a_row_against_the_hierarchy_is_called_by_its_number_in_the_table(
    codes_of: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tasks = {"kind": Task(parent="group"), "group": Task()}

    def told() -> str:
        codes, text = codes_of(lambda: load(Data(source="table", path="t.csv"), 0, tasks))
        assert codes == [Code.DATA_CORRUPT]
        return str(text)

    write_table(lambda row: "test" if row in (1, 33) else "train", wrong=42)
    assert "in `1` by row 2, in `0` by row 42" in told()
    write_table(lambda row: "test" if row in (1, 33) else "train", wrong=33)
    text = "`test` puts 1 sample into a wrong class of `group`; row 33 is `1`, expected in `0`"
    assert text in told()


def test_a_class_in_two_parents_is_told_with_the_split_of_an_array(
    codes_of: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind = np.arange(12) % 4
    arrays = {"x": np.zeros((12, 2)), "kind": kind, "group": kind // 2}
    wrong = {**arrays, "group": np.where(np.arange(12) == 9, 1, kind // 2)}
    parts = {"train": arrays, "test": wrong}
    found = {f"{split}_{n}": values for split, part in parts.items() for n, values in part.items()}
    np.savez("a.npz", **found)
    tasks = {"kind": Task(parent="group"), "group": Task()}
    _, text = codes_of(lambda: load(Data(source="arrays", path="a.npz"), 0, tasks))
    assert "the class `1` of `kind` in `a.npz: test` lies in two classes of `group`" in text
    assert "in `0` by sample 1, in `1` by sample 9" in text
