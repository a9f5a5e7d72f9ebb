"""The pictures: learning curves, and a run with all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphspec.training import curves
from graphspec.training.run import train

RECORDS: list[dict[str, Any]] = [
    {"epoch": e, "split": s, "loss": 1 / e, "fine/top1": 0.1 * e, "fine/top5": 0.2 * e}
    for e in (1, 2, 3)
    for s in ("train", "validation")
]


def test_curves_are_a_png_and_the_same_for_the_same_records() -> None:
    picture = curves.draw(RECORDS, 2)
    assert picture.startswith(b"\x89PNG")
    assert curves.draw(RECORDS, 2) == picture
    assert curves.draw(RECORDS, 2, dark=True) != picture


def test_a_run_has_its_diagram_and_its_curves(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    assert (run.folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    diagram = (run.folder / "graph.svg").read_text()
    assert "<svg" in diagram
    assert "fine_label" in diagram
