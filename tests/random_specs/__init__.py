"""Random valid specs as text, drawn by hypothesis, that use the whole language.

`types` says what a readable name stands for, so that a spec is valid by construction; `bodies`
writes nodes, `sharing` second uses of them, `blocks` sub-graphs and their instances, `specs` the
rest of the file.
"""

from tests.random_specs.specs import Drawn as Drawn
from tests.random_specs.specs import drawn_specs as drawn_specs
