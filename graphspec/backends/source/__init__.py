"""A typed graph as one file of plain PyTorch, as a person would have written it.

The file needs torch alone. Its model has the names of the spec, so it loads the checkpoints of the
compiled one, and computes the same. Files, in the order of the work:

- `lean`: without what no node calls; `layers`: constructor calls, noted while modules are made, as
  `parts` that can be compared; `modules`: the weights of the graph as such;
- `tree`: the names by their dots; `units`: which of them become classes, which only hold modules;
- `relations`: what is shared, tied, copied, frozen; `calls`: functions and edges;
- `bodies`: what each class holds and does; `optional` and `classes`: alike ones as one class;
- `code`: lines as ruff lays them out; `names`; `copies`: what is copied from graphspec and plugins,
  of which `library` is the part that is only for this; `file`: the whole text.
"""

from graphspec.backends.source.file import write as write
