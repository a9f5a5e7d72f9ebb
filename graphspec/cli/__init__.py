"""The command line: thin, one file a command; begin with `graphspec.cli.main`.

A command turns its options into overrides, calls the Python API, and prints. Mistakes are raised as
`SpecError` and end in one place, the error boundary of `graphspec.cli.main.main`.
"""
