"""The language: from text to a validated `Spec`. Nothing here imports torch.

In stage order: `reader` (text to a tree of located values), `compose` (extends and overrides),
`expressions` (vars and ``=...``), `models` (the spec as pydantic models). `recipe` holds the data
and train sections, `signature` what a data set offers to the compiler.
"""
