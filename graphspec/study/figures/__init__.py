"""The pictures of a comparison, each an SVG that follows the reader's theme and prints well.

`canvas` has what they share; `graphspec.study.illustrations` knows which a comparison has.
"""
