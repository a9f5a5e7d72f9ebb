"""The report's files: what they say, that nothing is run or fetched, and that CSV is whole."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from graphspec.errors import SpecError
from graphspec.study import report
from graphspec.study.comparison import compare
from graphspec.study.figures.tradeoffs import front
from graphspec.study.gathering import gather
from graphspec.study.report import Report
from graphspec.study.spreadsheet import COLUMNS
from tests.study.run_folders import make, study
from tests.study.test_comparison import CLEAR

NASTY = "<script>alert('x')</script> & | `code` \"quoted\" ünï"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Report:
    root = tmp_path_factory.mktemp("report")
    study(root / "runs", CLEAR, description=NASTY)
    found = compare(gather([root / "runs"]).entries)
    return report.write(
        found,
        root / "out",
        title=f"Three {NASTY}",
        question="What helps <i>most</i>?",
        notes=["a note <b>", "a sentence."],
        commands=["graphspec study <i>"],
        failures={"arch9, seed 1": "out of memory & time"},
    )


class _Page(HTMLParser):
    """Collects what a page asks for, its ids and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data", "action"):
                self.addresses.append(str(value))
            if name == "id":
                self.ids.append(str(value))
            assert not name.startswith("on")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_else_and_runs_nothing(written: Report) -> None:
    page = _Page(written.html.read_text())
    assert page.addresses
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page.addresses)
    assert "script" not in page.tags
    assert "@import" not in page.text
    assert "url(" not in page.text
    assert len(page.ids) == len(set(page.ids))


def test_question_and_notes_are_sentences(written: Report) -> None:
    for text in (_Page(written.html.read_text()).text, written.markdown.read_text()):
        assert "What helps" in text
        assert text.index("What helps") < text.index("a sentence")
        assert "a sentence.." not in text


def test_the_page_answers_first_and_escapes_what_users_wrote(written: Report) -> None:
    page = _Page(written.html.read_text())
    text = " ".join(page.text.split())
    answered = text.index("Compared with arch1: arch2 is better on fine")
    assert answered < text.index("plain 95 %")
    for said in (
        f"Three {NASTY}", "a note <b>.", "graphspec study <i>", "out of memory & time",
        "Failed: arch9, seed 1", "A <fast> one, 2 CPUs", "odd & old", "f00d", "▲ better",
        f"arch2: {NASTY}", "Conflicts between tasks", "Confusion of coarse", "seed: 0",
    ):  # fmt: skip
        assert said in text, said


def test_markdown_says_the_same_beside_pictures(written: Report) -> None:
    text = written.markdown.read_text()
    assert text.startswith(r"# Three &lt;script&gt;alert('x')&lt;/script&gt; &amp; \| \`code\`")
    assert "**Compared with arch1: arch2 is better on fine;" in text
    shown = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert [written.folder / name for name in shown] == list(written.figures)
    assert {path.stem for path in written.figures} == {
        "forest", "seeds", "curves", "tradeoffs", "hierarchy", "conflicts",
        "topology-1", "topology-2", "topology-3",
    }  # fmt: skip
    for path in written.figures[:6]:
        svg = path.read_text()
        assert svg.startswith("<svg")
        assert "prefers-color-scheme" in svg
        assert re.search(r"(href|src)=\"(?!#)", svg) is None


def test_tables_of_markdown_have_as_many_cells_in_every_row(written: Report) -> None:
    blocks = re.findall(r"(?:^\|.*\n)+", written.markdown.read_text(), flags=re.MULTILINE)
    assert len(blocks) >= 6
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_results_have_a_line_for_each_run(written: Report) -> None:
    rows = list(csv.DictReader(written.results.read_text().splitlines()))
    assert [(row["variant"], row["seed"]) for row in rows] == [
        (name, str(seed)) for name, scores in CLEAR.items() for seed in range(len(scores))
    ]
    assert float(rows[1]["fine/top1"]) == CLEAR["arch1"][1][0]
    assert int(rows[0]["flops"]) > 0


def test_the_comparison_has_a_line_for_each_variant_and_metric(written: Report) -> None:
    rows = list(csv.DictReader(written.comparison.read_text().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    by_key = {(row["variant"], row["metric"]): row for row in rows}
    assert len(by_key) == len(rows)
    row = by_key["arch2", "fine/top1"]
    assert (row["verdict"], row["pairs"], row["family"]) == ("better", "4", "tasks")
    assert float(row["corrected_low"]) < float(row["plain_low"]) < float(row["difference"]) < 0.11
    assert by_key["arch2", "fine/loss"]["p_corrected"] == ""
    assert by_key["arch1", "fine/top1"]["difference"] == ""
    assert by_key["arch2", "delta_p"]["mean"]


def test_writing_again_gives_the_same_pictures(written: Report, tmp_path: Path) -> None:
    found = compare(gather([written.folder.parent / "runs"]).entries)
    again = report.write(found, tmp_path / "out", title="Again")
    for one, other in zip(written.figures, again.figures, strict=True):
        assert one.read_text() == other.read_text()
    assert written.comparison.read_text() == again.comparison.read_text()


def test_a_run_keeps_its_own_report(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    with pytest.raises(SpecError) as caught:
        report.write(compare(gather([run]).entries), run, title="x")
    assert caught.value.diagnostics[0].code.value == "run-exists"


def test_one_run_alone_is_a_report_too(tmp_path: Path) -> None:
    """Without differences, hierarchy, conflicts, confusion or a diagram."""
    task = {"type": "multilabel", "classes": 3, "parent": None, "test": {"loss": 0.5, "f1": 0.4}}
    changes = {"tasks": {"tags": task}, "hierarchy": {}, "confusion": None}
    run = make(tmp_path / "run", conflicts=False, splits=("test",), summary=changes)
    (run / "graph.svg").unlink()
    (run / "metrics.jsonl").write_text("")
    found = report.write(compare(gather([run]).entries), tmp_path / "out", title="One")
    assert [path.stem for path in found.figures] == ["seeds", "tradeoffs"]
    assert "There is one variant, arch1" in found.html.read_text()


def test_the_front_is_what_nothing_beats() -> None:
    points = {"a": (3.0, 5.0), "b": (1.0, 4.0), "c": (2.0, 4.0), "d": (4.0, 5.0), "e": (1.0, 3.0)}
    assert front(points) == ["b", "a"]
    assert front({"a": (1.0, 1.0), "b": (1.0, 1.0)}) == ["a", "b"]
    assert front({}) == []
