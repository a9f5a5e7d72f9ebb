"""Jobs of Slurm: with programs that pretend to be Slurm's, and with submitit's local executor."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
import torch

from graphspec.errors import SpecError
from graphspec.study import jobs
from graphspec.study.board import Board
from graphspec.study.engines import queue, remote
from graphspec.study.engines.slurm import Slurm
from graphspec.study.jobs import STOP, Job
from tests.study.conftest import Here, Notes
from tests.study.engines.conftest import Program
from tests.study.engines.studies import conducted, weights

pytest.importorskip("submitit")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "FRESH_S", 0.0)
    monkeypatch.setattr(queue, "REFRESH_S", 0.0)


@pytest.fixture
def cluster(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """A Slurm that takes jobs and never starts one."""
    monkeypatch.setattr(remote, "LOOK_S", 0.0)
    program("srun", "")
    program("sbatch", f'cp "$1" {tmp_path}/sent.sh; echo "Submitted batch job 7"')
    program("squeue", 'echo "7 PENDING"')
    program("scancel", "")
    program("scontrol", "exit 1")
    program("sacct", "exit 1")
    return program


def calls(folder: Path, name: str) -> list[str]:
    """Return how a program was called."""
    lines = (folder / "calls").read_text().splitlines()
    return [line for line in lines if line.split()[0] == name]


def test_options_become_those_of_sbatch(cluster: Program, job: Job, tmp_path: Path) -> None:
    given = {
        "partition": "gpu",
        "time": "1-12:00",
        "mem": "16G",
        "cpus": "8",
        "gpus": "2",
        "setup": "module load cuda",
        "sbatch.reservation": "mine",
        "warn_s": "120",
    }
    engine = Slurm(None, given)
    assert (engine.slots, engine.threads) == (None, 8)
    engine.start(job)
    sent = (tmp_path / "sent.sh").read_text()
    for line in (
        *("--partition=gpu", "--time=2160", "--mem=16GB", "--cpus-per-task=8"),
        *("--gpus-per-node=2", "--reservation=mine", "--signal=USR2@120", "--requeue"),
        f"--job-name={job.run.name}",
    ):
        assert f"#SBATCH {line}\n" in sent
    assert "\nmodule load cuda\n" in sent
    assert " --cpus-per-task=8 " in sent.splitlines()[-1]  # srun does not take it over
    submitted = next((job.files / "slurm").glob("7_submitted.pkl"))
    assert submitted.is_file()


def test_what_slurm_refuses_is_said_in_its_words(cluster: Program, job: Job) -> None:
    cluster("sbatch", 'echo "sbatch: error: invalid partition specified: gpuu" >&2; exit 1')
    with pytest.raises(SpecError) as caught:
        Slurm(None, {"partition": "gpuu"}).start(job)
    assert str(caught.value) == (
        "error[bad-option]: Slurm refuses shared, seed 0: invalid partition specified: gpuu\n"
        "   see what the cluster offers with `sinfo` and `sacctmgr show qos`, and change the "
        "`--engine-option`s"
    )


def test_a_job_in_the_queue_is_found_again_by_the_next_call(
    cluster: Program, job: Job, tmp_path: Path
) -> None:
    assert Slurm().start(job).poll() is None
    again = Slurm().start(job)
    assert again.poll() is None
    assert len(calls(tmp_path, "sbatch")) == 1
    cluster("squeue", "echo")
    Slurm().start(job)
    assert len(calls(tmp_path, "sbatch")) == 2


def test_a_job_in_the_queue_is_cancelled_by_ctrl_c(
    cluster: Program, job: Job, tmp_path: Path
) -> None:
    handle = Slurm().start(job)
    handle.stop()
    assert calls(tmp_path, "scancel") == ["scancel --state=PENDING 7"]
    assert job.asked() == STOP
    assert handle.poll() is None
    cluster("squeue", "echo")
    assert handle.poll() == 130
    assert jobs.Outcome.of(job, 130).status == "interrupted"


def test_a_run_at_work_is_left_to_write_its_checkpoint(cluster: Program, job: Job) -> None:
    handle = Slurm().start(job)
    cluster("squeue", 'echo "7 RUNNING"')
    handle.stop()
    assert handle.poll() is None
    job.tell("interrupted")
    assert handle.poll() == 130


def test_a_preempted_run_waits_for_its_next_turn(cluster: Program, job: Job) -> None:
    handle = Slurm().start(job)
    job.tell("interrupted")
    assert handle.poll() is None
    job.tell("finished")
    assert handle.poll() == 0


@pytest.mark.parametrize(
    ("scontrol", "sacct", "state"),
    [
        ('echo "JobId=7 JobName=x JobState=NODE_FAIL Reason=None"', "exit 1", ", as NODE_FAIL"),
        ("exit 1", 'echo "  TIMEOUT "', ", as TIMEOUT"),
        ("exit 1", "exit 1", ""),
    ],
)
def test_a_job_that_slurm_ends_has_failed(
    cluster: Program, job: Job, scontrol: str, sacct: str, state: str
) -> None:
    handle = Slurm().start(job)
    cluster("squeue", "echo")
    cluster("scontrol", scontrol)
    cluster("sacct", sacct)
    assert handle.poll() == 2
    outcome = jobs.Outcome.of(job, 2)
    expected = f"its job 7 was ended{state}; what it printed is in {job.files}/slurm/7_0_log.out"
    assert (outcome.status, outcome.message) == ("failed", expected)


def test_a_slurm_that_does_not_answer_is_waited_for(cluster: Program, job: Job) -> None:
    handle = Slurm().start(job)
    cluster("squeue", "exit 1")
    assert handle.poll() is None


def test_a_second_ctrl_c_cancels_a_run_at_work(cluster: Program, job: Job, tmp_path: Path) -> None:
    handle = Slurm().start(job)
    handle.kill()
    assert calls(tmp_path, "scancel") == ["scancel 7"]


class Preempting(Notes):
    """A watcher that tells the first run that its machine is about to be taken away."""

    def __init__(self) -> None:
        super().__init__()
        self.signalled = 0

    def tick(self, board: Board) -> None:
        if self.signalled or not any("epoch" in entry.progress for entry in board.entries):
            return
        for process in psutil.Process().children(recursive=True):
            if "submitit.core._submit" in " ".join(process.cmdline()):
                self.signalled = process.pid
                process.send_signal(signal.SIGUSR2)
                return


class Pressing(Notes):
    """A watcher that presses Ctrl-C when a run has got some way."""

    def tick(self, board: Board) -> None:
        if any(entry.progress.get("epoch", 0) > 2 for entry in board.entries):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_study_by_submitit_is_the_same_to_the_bit(there: Path) -> None:
    expected = weights(conducted(Here(), "here"))
    result = conducted(Slurm(2, {"executor": "local"}), "slurm")
    assert (result.status, result.failures) == ("finished", {})
    found = weights(result)
    assert len(found) == 4
    assert found.keys() == expected.keys()
    for run, values in found.items():
        assert all(torch.equal(value, expected[run][name]) for name, value in values.items())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.parametrize("watcher", [Preempting(), Pressing()], ids=["preempted", "ctrl-c"])
def test_a_run_that_is_cut_short_goes_on_to_the_same_bits(there: Path, watcher: Notes) -> None:
    section = {"specs": ["shared.yaml"], "seeds": 1, "budget": {"epochs": 150}}
    expected = weights(conducted(Here(), "here", **section))
    result = conducted(Slurm(1, {"executor": "local"}), "slurm", watcher, **section)
    [entry] = result.board.entries
    if isinstance(watcher, Preempting):
        assert watcher.signalled
        log = (Path("slurm/jobs") / f"{entry.planned.identity}.log").read_text()
        assert log.count("shared on ") == 2  # it was submitted again
    else:
        assert (result.status, entry.state) == ("interrupted", "interrupted")
        result = conducted(Slurm(1, {"executor": "local"}), "slurm", **section)
    assert result.status == "finished"
    for run, values in weights(result).items():
        assert all(torch.equal(value, expected[run][name]) for name, value in values.items())
