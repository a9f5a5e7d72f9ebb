"""The study: several topologies over several seeds, compared fairly.

`graphspec.study.gathering` finds the runs that exist and says which variant each is of,
`comparison` holds them against a baseline with `statistics`, `answer` puts that into sentences and
`report` writes it down.
"""
