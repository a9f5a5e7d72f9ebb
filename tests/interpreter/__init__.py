"""A second, naive reading of the language: from YAML text and weights to numbers.

It shares no code with graphspec, not even the reader: PyYAML as it comes, Python's own `eval` for
expressions, torch's functions for ops. It is slow, trusts the spec to be valid, and works on real
tensors instead of types, so that a fault would have to be made twice to go unseen. `structure` says
which calls a spec stands for, `weights` whose tensors each of them uses, `ops` what an op computes.
"""

from tests.interpreter.machine import Interpreter as Interpreter
from tests.interpreter.machine import Result as Result
