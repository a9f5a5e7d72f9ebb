from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_regressions.file_regression import FileRegressionFixture

import graphspec as gs
from graphspec.backends import mermaid
from tests.backends import drawn_graphs as drawn

GOLDEN = Path(__file__).parents[1] / "golden" / "diagrams"
SPECS = Path(__file__).parents[2] / "specs"

STATEMENTS = (
    r"flowchart TB",
    r"  n\d+(\(\[|\[\[|\[|\()\"[^\"]+\"(\]\)|\]\]|\]|\)):::c\d+",
    r"  n\d+ -->\|\"[^\"]+\"\| n\d+",
    r"  subgraph legend \[\"[^\"]+\"\]",
    r"    k\d+\[\"[^\"]+\"\]:::c\d+",
    r"  end",
    r"  style legend fill:#\w{6},stroke:#\w{6},color:#\w{6}",
    r"  classDef c\d+ fill:#\w{6},stroke:#\w{6},stroke-width:\dpx,color:#\w{6}"
    r"(,stroke-dasharray:5 4)?",
)


@pytest.mark.parametrize("number", range(1, 7))
def test_the_six_are_drawn_as_agreed(number: int, file_regression: FileRegressionFixture) -> None:
    graph = gs.analyze(gs.load(SPECS / f"arch{number}.yaml"))
    golden = GOLDEN / f"arch{number}.mmd"
    file_regression.check(mermaid.write(graph), fullpath=golden, encoding="utf-8")


@pytest.mark.parametrize("name", ["siamese", "recurrent", "odd_names"])
def test_other_topologies_are_drawn_as_agreed(
    name: str, file_regression: FileRegressionFixture
) -> None:
    text = mermaid.write(getattr(drawn, name)())
    file_regression.check(text, fullpath=GOLDEN / f"{name}.mmd", encoding="utf-8")


@pytest.mark.parametrize("name", ["siamese", "recurrent", "odd_names", "crowd"])
def test_every_line_is_a_statement_of_a_flowchart(name: str) -> None:
    text = mermaid.write(getattr(drawn, name)())
    for line in text.splitlines():
        assert any(re.fullmatch(form, line) for form in STATEMENTS), line
    used = set(re.findall(r":::(c\d+)", text))
    assert used == set(re.findall(r"classDef (c\d+)", text))


def test_special_characters_are_written_by_number() -> None:
    text = mermaid.write(drawn.odd_names())
    assert "<b>say #34;hi#34;</b>" in text
    assert "<b>a#60;b#62;#38;c</b>" in text
    assert "<b>#35;quot;</b>" in text
    assert "<b>50#37;#37;</b>" in text
    assert "<b>back∖slash∖n</b>" in text


def test_shared_weights_and_heads_are_told_in_words_too() -> None:
    text = mermaid.write(drawn.siamese())
    assert text.count("<b>shared ×2</b>") == 4
    assert "weights of left" in text
    assert '[["<b>verdict</b><br/>head same: 2 classes<br/>258 parameters"]]' in text


def test_the_order_of_the_file_changes_nothing() -> None:
    graph = drawn.crowd()
    names = list(graph.nodes)
    random.Random(5).shuffle(names)
    shuffled = replace(graph, nodes={name: graph.nodes[name] for name in names})
    assert mermaid.write(shuffled) == mermaid.write(graph)
