"""The engines' names, options and packages, as users get them wrong."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from graphspec.errors import SpecError
from graphspec.study import engines
from graphspec.study.engines import options, ray, slurm
from graphspec.study.engines.ray import RayOptions
from graphspec.study.engines.slurm import SlurmOptions


def mistake(name: str, **given: str) -> str:
    """Return what is said of an engine with options."""
    with pytest.raises(SpecError) as caught:
        engines.make(name, None, given)
    return str(caught.value)


def test_an_engine_that_does_not_exist() -> None:
    assert mistake("slrum") == (
        "error[bad-option]: there is no engine `slrum`\n"
        "   did you mean `slurm`? engines: local, ray, slurm"
    )


def test_this_machine_has_no_options() -> None:
    assert mistake("local", cpus="2") == (
        "error[bad-option]: the engine `local` has no options, got `cpus`\n"
        "   `--engine ray` and `--engine slurm` have some"
    )


def test_an_option_that_does_not_exist() -> None:
    assert mistake("ray", adress="x:1") == (
        "error[bad-option]: the engine `ray` has no option `adress`\n"
        "   did you mean `address`? its options: address, cpus, gpus, memory, grows"
    )
    assert "did you mean `partition`?" in mistake("slurm", partitoin="gpu")


@pytest.mark.parametrize(
    ("engine", "name", "value", "expected"),
    [
        ("ray", "cpus", "two", "`--engine-option cpus=two`: input should be a valid integer"),
        ("ray", "cpus", "0", "`--engine-option cpus=0`: input should be greater than or equal to"),
        ("ray", "gpus", "-1", "`--engine-option gpus=-1`: input should be greater than or equal"),
        ("ray", "grows", "often", "`--engine-option grows=often`: input should be a valid boolean"),
        ("slurm", "time", "long", "`--engine-option time=long`: it is not a time"),
        ("slurm", "time", "0:30", "`--engine-option time=0:30`: a job takes a minute at least"),
        ("slurm", "mem", "0G", "`--engine-option mem=0G`: it is not an amount of memory"),
        ("slurm", "executor", "pbs", "`--engine-option executor=pbs`: input should be 'slurm' or"),
    ],
)
def test_a_value_that_an_option_does_not_take(
    engine: str, name: str, value: str, expected: str
) -> None:
    said = mistake(engine, **{name: value})
    assert said.startswith(f"error[bad-option]: {expected}")
    assert f"\n   `{name}`: " in said


def test_the_hint_is_what_the_option_means() -> None:
    hint = "`mem`: Memory of each run, in GB or like 16G or 800M"
    assert mistake("slurm", mem="much").splitlines()[1].strip() == hint


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        *(("90", 90), ("90:30", 90), ("4:00:00", 240), ("0:90:00", 90), ("1-12", 2160)),
        *(("1-12:00", 2160), ("2-00:30:00", 2910)),
    ],
)
def test_times_are_written_as_for_sbatch(text: str, minutes: int) -> None:
    assert options.read(SlurmOptions, {"time": text}, "slurm").time == minutes


@pytest.mark.parametrize(
    ("text", "gigabytes"),
    [("16", 16.0), ("16G", 16.0), ("16GB", 16.0), ("512M", 0.5), ("0.5T", 512.0), ("2 GiB", 2.0)],
)
def test_memory_is_written_as_for_sbatch(text: str, gigabytes: float) -> None:
    assert options.read(SlurmOptions, {"mem": text}, "slurm").mem == gigabytes


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_package_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, engine: str, package: str
) -> None:
    monkeypatch.setattr(options, "find_spec", lambda name: None if name == package else object())
    assert mistake(engine) == (
        f"error[missing-package]: `--engine {engine}` needs `{package}`, not installed here\n"
        f"   pip install 'graphspec[{engine}]'"
    )


def test_a_machine_without_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert mistake("slurm", partition="gpu") == (
        "error[bad-option]: this machine has no Slurm: there is no `srun`\n"
        "   call it on a login node of the cluster, or try it here with "
        "`--engine-option executor=local`"
    )


def test_slurm_takes_all_runs_and_this_machine_as_many_as_it_has_cores_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setattr(slurm, "cores", lambda: 6)
    here = {"executor": "local", "cpus": "4"}
    assert (engines.make("slurm", None, here).slots, engines.make("slurm", 3, here).slots) == (1, 3)
    assert engines.make("slurm", None, here).threads == 4
    assert list(Path().glob("slurm*")) == []


class Cluster(types.ModuleType):
    """Ray, as far as its cluster is asked what it has."""

    def __init__(self, *machines: dict[str, float]) -> None:
        super().__init__("ray")
        dead = {"Resources": {"CPU": 99.0, "GPU": 9.0}, "Alive": False}
        self._nodes = [{"Resources": m, "Alive": True} for m in machines] + [dead]

    def nodes(self) -> list[dict[str, Any]]:
        return self._nodes


SMALL = {"CPU": 4.0, "memory": 8.0 * 2**30}
LARGE = {"CPU": 16.0, "memory": 64.0 * 2**30, "GPU": 2.0}


@pytest.mark.parametrize(
    ("machines", "given", "expected"),
    [
        ([SMALL], {}, (1, 0.0, None)),
        ([SMALL, LARGE], {}, (1, 1.0, None)),
        ([SMALL, LARGE], {"gpus": "0.5", "cpus": "8", "memory": "2"}, (8, 0.5, 2**31)),
        ([SMALL, LARGE], {"gpus": "0"}, (1, 0.0, None)),
        ([SMALL], {"cpus": "32", "grows": "true"}, (32, 0.0, None)),
    ],
)
def test_what_ray_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    machines: list[dict[str, float]],
    given: dict[str, str],
    expected: tuple[int, float, int | None],
) -> None:
    monkeypatch.setitem(sys.modules, "ray", Cluster(*machines))
    asked = ray._demand(options.read(RayOptions, given, "ray"))
    assert (asked["num_cpus"], asked["num_gpus"], asked["memory"]) == expected
    assert asked["max_retries"] == 0


def test_a_run_that_is_too_large_for_any_machine_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", Cluster(SMALL, LARGE))
    asked = options.read(RayOptions, {"cpus": "16", "gpus": "4", "memory": "20"}, "ray")
    with pytest.raises(SpecError) as caught:
        ray._demand(asked)
    assert str(caught.value) == (
        "error[bad-option]: no machine of the Ray cluster is large enough for a run with 16 CPUs, "
        "4 GPUs, 20 GiB; the most that one has: 16 CPUs, 2 GPUs, 64 GiB\n"
        "   ask for less, or set `--engine-option grows=true` if it starts machines on demand"
    )
