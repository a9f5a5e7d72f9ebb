"""A study from specs to runs that are done, skipped, gone on with and failed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from graphspec.errors import SpecError
from graphspec.language.studies import Study
from graphspec.study import entrance, plan
from graphspec.study.comparison import Comparison
from graphspec.study.jobs import Job
from graphspec.study.report import Report
from graphspec.training import folder
from tests.study.conftest import Here, Notes

pytestmark = pytest.mark.usefixtures("no_pictures")

SPECS = ["apart.yaml", "shared.yaml"]


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What reports are asked to tell; they are not drawn here, which takes longer than training."""
    asked: list[dict[str, Any]] = []

    def write(comparison: Comparison, out: Path, **words: Any) -> Report:
        asked.append({"comparison": comparison, **words})
        page = out / "report.html"
        return Report(out, page, page, page, page, ())

    monkeypatch.setattr(entrance.report, "write", write)
    return asked


def conducted(
    engine: Here | None = None, watcher: Notes | None = None, **section: Any
) -> entrance.Result:
    """Conduct a study in ``studies/tiny``."""
    asked = plan.asked(Study.model_validate({"specs": SPECS, "seeds": 2, **section}))
    return entrance.conduct(asked, Path("studies/tiny"), engine or Here(), watcher or Notes())


def weights(run: Path) -> dict[str, torch.Tensor]:
    """Return the weights that a run ended with."""
    loaded = torch.load(run / folder.BEST, weights_only=True)
    return dict(loaded["model"])


def test_runs_are_trained_seed_by_seed_then_skipped(there: Path) -> None:
    first, watcher = Here(), Notes()
    result = conducted(first, watcher)
    assert first.titles == ["apart, seed 0", "shared, seed 0", "apart, seed 1", "shared, seed 1"]
    assert result.status == "finished"
    assert result.failures == {}
    assert watcher.events[:2] == [("apart, seed 0", "running"), ("apart, seed 0", "finished")]
    runs = sorted(p.name.rsplit("-", 1)[0] for p in Path("studies/tiny/runs").iterdir())
    assert runs == ["apart-seed0", "apart-seed1", "shared-seed0", "shared-seed1"]
    assert result.comparison is not None
    assert [variant.name for variant in result.comparison.variants] == ["apart", "shared"]
    assert result.comparison.baseline == "apart"
    again = Here()
    assert conducted(again).status == "finished"
    assert again.started == []


def test_more_seeds_train_only_what_is_missing(there: Path) -> None:
    conducted(seeds=1)
    more = Here()
    conducted(more, seeds=[0, 4])
    assert more.titles == ["apart, seed 4", "shared, seed 4"]


def test_a_changed_spec_runs_again_and_the_others_do_not(there: Path) -> None:
    conducted()
    path = there / "shared.yaml"
    path.write_text(path.read_text().replace("[=width, =width]", "[=width]"))
    again = Here()
    conducted(again)
    assert again.titles == ["shared, seed 0", "shared, seed 1"]
    assert len(list(Path("studies/tiny/runs").iterdir())) == 6


def test_names_and_comments_do_not_make_another_run(there: Path) -> None:
    conducted()
    path = there / "shared.yaml"
    text = path.read_text().replace("name: shared", "name: renamed\ndescription: A new one.")
    path.write_text("# a comment\n" + text)
    again = Here()
    conducted(again)
    assert again.started == []


def test_a_run_made_elsewhere_counts_when_it_is_the_same(there: Path) -> None:
    from graphspec.training.run import train

    train("shared.yaml", seed=1, out="studies/tiny/runs/by-hand")
    engine = Here()
    conducted(engine)
    assert "shared, seed 1" not in engine.titles
    assert len(engine.started) == 3


def test_an_interrupted_run_goes_on_to_the_same_weights(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphspec.training.pulse import Pulse

    whole = conducted(seeds=1)
    expected = [weights(entry.planned.folder) for entry in whole.board.entries]
    shutil.rmtree("studies")

    beat, count = Pulse.beat, 0

    def press(self: Pulse) -> None:
        nonlocal count
        count += 1
        if count == 8:
            raise KeyboardInterrupt
        beat(self)

    with monkeypatch.context() as patched:
        patched.setattr(Pulse, "beat", press)
        cut = conducted(seeds=1)
    states = [entry.state for entry in cut.board.entries]
    assert states == ["interrupted", "finished"]
    engine = Here()
    ended = conducted(engine, seeds=1)
    assert engine.titles == ["apart, seed 0"]
    for entry, values in zip(ended.board.entries, expected, strict=True):
        found = weights(entry.planned.folder)
        assert found.keys() == values.keys()
        assert all(torch.equal(found[name], values[name]) for name in values)


def test_one_failure_does_not_end_the_others(there: Path, told: list[dict[str, Any]]) -> None:
    def spoil(job: Job) -> None:
        if job.label == "apart" and job.seed == 0:
            job.spec.write_text("graphspec: 1\nnodes: {a: {op: fc, from: nowhere, units: 1}}\n")

    watcher = Notes()
    result = conducted(Here(spoil), watcher)
    assert result.status == "failed"
    assert list(result.failures) == ["apart, seed 0"]
    assert "error[" in result.failures["apart, seed 0"]
    assert [e.state for e in result.board.entries].count("finished") == 3
    assert told[-1]["failures"] == result.failures
    engine = Here()
    assert conducted(engine).status == "finished"
    assert engine.titles == ["apart, seed 0"]


def test_a_worker_that_dies_before_its_run_began_leaves_nothing_in_the_way(there: Path) -> None:
    def litter(job: Job) -> None:
        job.run.mkdir(parents=True)
        (job.run / "last.pt").write_text("half")

    assert conducted(Here(litter), seeds=1).status == "finished"


def test_a_grid_has_every_combination(there: Path) -> None:
    Path("many").mkdir()
    text = "study:\n  specs: ../shared.yaml\n  seeds: 1\n"
    text += "  grid: {train.lr: [1e-2, 0.02], width: 4}\n"
    Path("many/study.yaml").write_text(text)
    read = plan.read(Path("many"))
    result = entrance.conduct(read, Path("many"), Here(), Notes())
    labels = [entry.planned.variant.label for entry in result.board.entries]
    assert labels == ["shared, train.lr=1e-2, width=4", "shared, train.lr=0.02, width=4"]
    assert Path("many/study.yaml").read_text() == text


def test_variants_that_are_the_same_share_their_runs(there: Path) -> None:
    (there / "twin.yaml").write_text("graphspec: 1\nextends: shared.yaml\nname: twin\n")
    engine, watcher = Here(), Notes()
    result = conducted(engine, watcher, specs=["shared.yaml", "twin.yaml"], seeds=1)
    assert engine.titles == ["shared, seed 0"]
    assert watcher.notes == ["twin is the same as shared in all that counts: one run for both"]
    assert [entry.state for entry in result.board.entries] == ["finished", "finished"]


def test_two_processes_do_not_work_on_one_study(there: Path) -> None:
    def again(job: Job) -> None:
        with pytest.raises(SpecError, match="another process is at work on the study") as error:
            conducted()
        assert error.value.diagnostics[0].code == "run-exists"

    assert conducted(Here(again), seeds=1).status == "finished"


def test_the_time_budget_stops_the_study(there: Path) -> None:
    engine = Here()
    result = conducted(engine, budget={"hours": 1e-9})
    assert result.status == "out of time"
    assert engine.started == []
    assert [entry.state for entry in result.board.entries] == ["waiting"] * 4
    assert conducted().status == "finished"
