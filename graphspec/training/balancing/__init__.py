"""Balancing: how the losses of several tasks become one gradient.

`balancer` says what a balancer is and has the plain one, a weighted sum with fixed weights.
"""
