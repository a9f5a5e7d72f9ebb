"""The graph: from a `Spec` to typed nodes.

In stage order: `ir` (the values), `expand` (spec to graph), `check` (names, cycles, lint), `shapes`
(types on the meta device, with `parts` and `complaints`), `analysis` (parameters, FLOPs, sharing,
tasks), `passes` (rewrites).
"""
