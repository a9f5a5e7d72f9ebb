"""Batches: what they hold, that they repeat, and that a run can go on in the middle."""

from __future__ import annotations

import pytest
import torch

from graphspec.data.batches import Batch, Batches
from graphspec.data.dataset import Channels, DataSet, Split
from graphspec.language.signature import InputSpec, Signature, TaskSpec


def dataset(count: int = 23, channels: int = 3, side: int = 8) -> DataSet:
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, side, side)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    labels = {"fine": torch.arange(count), "coarse": torch.arange(count) // 2}
    split = Split({"image": images}, labels)
    return DataSet(
        name="fake",
        signature=Signature({"image": InputSpec(shape[1:])}, {"fine": TaskSpec(count)}),
        train=split,
        validation=Split({"image": images[:0]}, {"fine": torch.arange(0)}),
        test=split,
        channels={"image": Channels((0.5, 0.4, 0.3)[:channels], (0.2, 0.25, 0.0)[:channels])},
        fingerprint="",
        origin="",
    )


DATA = dataset()


def make(**options: object) -> Batches:
    return Batches(DATA.train, DATA, **{"batch_size": 5, **options})  # type: ignore[arg-type]


def same(first: Batch, second: Batch) -> bool:
    return torch.equal(first.inputs["image"], second.inputs["image"]) and all(
        torch.equal(first.labels[task], second.labels[task]) for task in first.labels
    )


def fine(batches: list[Batch]) -> list[int]:
    return torch.cat([batch.labels["fine"] for batch in batches]).tolist()


def test_an_epoch_in_order() -> None:
    batches = make()
    served = list(batches.epoch(0))
    assert (len(batches), batches.samples) == (5, 23)
    assert [len(batch.labels["fine"]) for batch in served] == [5, 5, 5, 5, 3]
    assert fine(served) == list(range(23))
    assert all(torch.equal(b.labels["fine"] // 2, b.labels["coarse"]) for b in served)
    assert list(served[0].inputs) == ["image"]


def test_normalisation() -> None:
    batch = next(make(normalize="standard").epoch(0))
    pixels = DATA.train.images[:5].double() / 255
    mean = torch.tensor(DATA.channels["image"].mean, dtype=torch.float64).view(3, 1, 1)
    std = torch.tensor([0.2, 0.25, 1.0], dtype=torch.float64).view(3, 1, 1)
    expected = ((pixels - mean) / std).float()
    assert batch.inputs["image"].dtype == torch.float32
    torch.testing.assert_close(batch.inputs["image"], expected, atol=1e-5, rtol=0)
    unit = next(make(normalize="unit").epoch(0)).inputs["image"]
    torch.testing.assert_close(unit, pixels.float(), atol=1e-6, rtol=0)
    assert unit.min() >= 0
    assert unit.max() <= 1


@pytest.mark.parametrize("name", ["none", "crop-flip", "founding"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_memory_format(name: str, channels_last: bool) -> None:
    batch = next(make(augment=name, channels_last=channels_last).epoch(0))
    plain = next(make(augment=name).epoch(0))
    wanted = torch.channels_last if channels_last else torch.contiguous_format
    assert batch.inputs["image"].is_contiguous(memory_format=wanted)
    assert torch.equal(batch.inputs["image"], plain.inputs["image"])


def test_shuffling() -> None:
    batches = make(shuffle=True, seed=1)
    first, second = (fine(list(batches.epoch(epoch))) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(23))
    assert first != second != list(range(23))
    assert fine(list(make(shuffle=True, seed=2).epoch(0))) != first
    for batch in batches.epoch(0):  # images keep their labels
        pixels = DATA.train.images[batch.labels["fine"]].float()
        image = batch.inputs["image"] * torch.tensor([51, 63.75, 255]).view(3, 1, 1)
        shift = torch.tensor([127.5, 102, 76.5]).view(3, 1, 1)
        torch.testing.assert_close(image + shift, pixels, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["none", "crop-flip", "founding"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_epoch_can_be_entered_at_every_batch(name: str, shuffle: bool) -> None:
    options = {"augment": name, "shuffle": shuffle, "seed": 2**63 - 1}
    whole = list(make(**options).epoch(3))
    for start in range(6):
        resumed = make(**options)
        list(resumed.epoch(1))  # what was served before does not matter
        torch.manual_seed(start)  # nor does the global generator
        rest = list(resumed.epoch(3, start))
        assert len(rest) == 5 - start
        assert all(same(a, b) for a, b in zip(whole[start:], rest, strict=True))


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    list(make(augment="founding", shuffle=True).epoch(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_augmentation_differs_by_batch_epoch_and_seed() -> None:
    data = dataset(4)
    images = data.train.images[:1].expand(4, -1, -1, -1)
    same_pixels = Split({"image": images}, {"fine": torch.arange(4)})

    def serve(epoch: int, seed: int) -> list[torch.Tensor]:
        batches = Batches(same_pixels, data, batch_size=1, augment="founding", seed=seed)
        return [batch.inputs["image"] for batch in batches.epoch(epoch)]

    found = [*serve(0, 0), *serve(1, 0), *serve(0, 1)]
    for i, image in enumerate(found):
        assert not any(torch.equal(image, other) for other in found[:i])


def test_a_last_batch_of_one_is_left_out_in_training() -> None:
    training, evaluation = make(batch_size=11, shuffle=True), make(batch_size=11)
    assert (len(training), training.samples) == (2, 22)
    assert [len(b.labels["fine"]) for b in training.epoch(0)] == [11, 11]
    assert (len(evaluation), evaluation.samples) == (3, 23)
    assert [len(b.labels["fine"]) for b in evaluation.epoch(0)] == [11, 11, 1]
    left_out = {(set(range(23)) - set(fine(list(training.epoch(e))))).pop() for e in range(9)}
    assert len(left_out) > 4


def test_batches_of_one_by_wish_are_all_served() -> None:
    batches = make(batch_size=1, shuffle=True)
    assert (len(batches), batches.samples) == (23, 23)
    one = DATA.train.images[:1]
    lonely = Split({"image": one}, {"fine": torch.zeros(1, dtype=torch.int64)})
    batches = Batches(lonely, DATA, batch_size=5, shuffle=True)
    assert (len(batches), batches.samples) == (1, 1)


def test_a_batch_larger_than_the_split_and_an_empty_split() -> None:
    (batch,) = make(batch_size=1000, shuffle=True).epoch(0)
    assert len(batch.labels["fine"]) == 23
    empty = Batches(DATA.validation, DATA, batch_size=5)
    assert (len(empty), empty.samples, list(empty.epoch(0))) == (0, 0, [])


def test_the_pixels_stay_bytes_and_unchanged() -> None:
    before = DATA.train.images.clone()
    batches = make(augment="crop-flip", shuffle=True)
    for batch in batches.epoch(0):
        batch.inputs["image"].zero_()
    assert torch.equal(DATA.train.images, before)
    assert batches._inputs["image"].dtype == torch.uint8
    assert batches._inputs["image"].data_ptr() == DATA.train.images.data_ptr()  # no copy on the CPU


def test_nothing_waits_for_the_device() -> None:
    # on the meta device a read of a value would raise
    options = {"augment": "founding", "shuffle": True, "device": "meta", "channels_last": True}
    for name in ("founding", "crop-flip", "none"):
        served = list(make(**{**options, "augment": name}).epoch(0))
        assert [batch.inputs["image"].shape[0] for batch in served] == [5, 5, 5, 5, 3]
        assert served[0].inputs["image"].device.type == "meta"
