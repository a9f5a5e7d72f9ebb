"""Backends: what a typed graph is turned into.

One file a target, strangers to each other. `drawing` describes a diagram without saying in which
language it is written; `dot` and `mermaid` write it, `picture` turns DOT into SVG and PNG.
"""
