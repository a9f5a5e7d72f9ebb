"""Structure without repetition: blocks, groups, repeats and conditions, worked off.

It takes the trees under ``nodes:`` and ``blocks:`` and gives flat nodes with full names. Begin with
`structure`; `declare` says what a block is, `members` what may stand under a name, `instances` and
`clones` make sub-graphs, `references` and `flat` resolve what every node reads.
"""

from graphspec.language.blocks.structure import Structure as Structure
from graphspec.language.blocks.structure import Unrolled as Unrolled
from graphspec.language.blocks.structure import unroll as unroll
