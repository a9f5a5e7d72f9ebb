"""Balancing: how the losses of several tasks become one gradient.

`balancer` says what a balancer is and has the plain one, a weighted sum with fixed weights;
`methods` and `aggregators` are the table of the others, one file a family; `choice` checks and
makes what a recipe names, for a `site`: a model, and which losses reach which of its parameters.
"""
