"""Models as specs: from an ``nn.Module`` to the text of a topology.

Files, in the order of the work: `targets` finds what the user names, `signature` its inputs;
`tracing` follows the forward pass; `layers`, `calls`, `functions`, `shapes`, `weighted` know which
op a call is; `translate` makes a `drafts.Draft` of each; `outputs` makes heads, `relations` finds
what is shared, `sequences` and `folding` (with `items`, `bodies`) make it short, `writing` writes
it, `comparison` runs both; `importer` has the order.
"""

from graphspec.importing.importer import Imported as Imported
from graphspec.importing.importer import import_model as import_model
