"""Training: from a spec and a data set to a run folder with weights, metrics and a report.

`run` is the entrance (`train`, `evaluate`, `Run`). It lets `setup` read what a run is made of and
`assembly` make its `Job` (what stays) and its `State` (what a checkpoint holds), hands these to
`loop` (fit, epoch) and `step`, and lets `results` measure and write down what came out. Each part
of a recipe has a file: `optimizers`, `groups`, `schedules`, `ema`, `precision`, `compiling`,
`judging`, `balancing`. `folder` and `checkpoint` know how a run lies on disk; `check` finds
mistakes in a recipe before anything is loaded. Read `loop` first.
"""

from __future__ import annotations
