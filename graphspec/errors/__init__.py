"""The room of mistakes: what is wrong, where, and what to do about it.

Every room may import this one; it imports none. A stage takes a `Sink`, reports into it and goes
on; `Sink.raise_if_errors` ends in the one exception that graphspec raises for a user's mistake,
`SpecError`. `render_text`, `render_json` and `render_github` turn diagnostics into what is shown.
"""

from graphspec.errors.diagnostics import Code as Code
from graphspec.errors.diagnostics import Diagnostic as Diagnostic
from graphspec.errors.diagnostics import Related as Related
from graphspec.errors.diagnostics import Severity as Severity
from graphspec.errors.diagnostics import Source as Source
from graphspec.errors.diagnostics import Span as Span
from graphspec.errors.diagnostics import arrows as arrows
from graphspec.errors.diagnostics import did_you_mean as did_you_mean
from graphspec.errors.diagnostics import sort as sort
from graphspec.errors.diagnostics import suggest as suggest
from graphspec.errors.rendering import MAX_SHOWN as MAX_SHOWN
from graphspec.errors.rendering import render_github as render_github
from graphspec.errors.rendering import render_json as render_json
from graphspec.errors.rendering import render_text as render_text
from graphspec.errors.reporting import Sink as Sink
from graphspec.errors.reporting import SpecError as SpecError
from graphspec.errors.reporting import fail as fail
