"""Images a second of a training run: `graphspec train` and the loops that people write themselves.

Begin with `__main__.py`, which says what is measured; `contest.py` has the rules of a round.
"""
