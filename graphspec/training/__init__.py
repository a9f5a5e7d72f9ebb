"""Training: from a spec and a data set to a run folder with weights, metrics and a report.

`run` is the entrance (`train`, `evaluate`, `Run`). It lets `setup` build everything a run needs,
hands that to `loop` (fit, epoch, step) and lets `results` measure and write down what came out.
`folder` and `checkpoint` know how a run lies on disk; `check` finds mistakes in a recipe before
anything is loaded. Read `loop` first.
"""

from __future__ import annotations
