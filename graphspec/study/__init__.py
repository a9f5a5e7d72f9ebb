"""The study: several topologies over several seeds, compared fairly.

`plan` says what a study consists of (``study.yaml``), `variants` makes checked specs of it,
`identity` tells runs apart by their content, `ledger` finds those that are done, `runner` trains
the others through an engine (`engines`), each by a `worker` process; `entrance` has these in order.

`gathering` finds runs that exist and says which variant each is of, `comparison` holds them against
a baseline with `statistics`, `answer` puts that into sentences and `report` writes it down.
"""
