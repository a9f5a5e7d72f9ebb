"""Aggregators whose direction does not depend on how large the gradients are.

The papers' equations do not either, but solvers work within absolute limits: torchjd takes rows of
a squared norm below 1e-4 for zeros (CAGrad then gives no gradient at all), and the convex problems
of Nash-MTL are not solved where gradients are small. Small gradients are usual, though: of a
regression of small numbers, or late in training. So the matrix is scaled first, which changes the
weights of its rows by a known factor. All of it is done with the Gramian, of one row for each task.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchjd.aggregation import NashMTL, Weighting
from torchjd.linalg import PSDMatrix


class Scaled(Weighting[PSDMatrix]):
    r"""A weighting of torchjd that sees the Gramian with a trace of 1.

    Args:
        weighting: The weighting, for a Gramian :math:`G`.
        power: The weights of :math:`G / t` times :math:`t^{-\mathrm{power}}` are those of
            :math:`G`; 0 where they do not depend on the scale.
    """

    def __init__(self, weighting: Weighting[PSDMatrix], power: float = 0.0) -> None:
        super().__init__()
        self.weighting = weighting
        self._power = power

    def forward(self, gramian: PSDMatrix, /) -> Tensor:
        """Return the weights of the rows, of shape ``(tasks,)``."""
        trace = gramian.diagonal().sum()
        # of zeros any factor gives zeros
        size = torch.where(trace > torch.finfo(trace.dtype).tiny, trace, 1.0)
        return self.weighting(gramian / size) * size**-self._power


class Bargaining(Weighting[PSDMatrix]):
    r"""The weights of Nash-MTL: positive :math:`\alpha` with :math:`G \alpha = 1 / \alpha`.

    For rows divided by their norms :math:`n` the solution is :math:`n \alpha`, so torchjd's solver
    is given the cosines between the tasks, whatever the gradients' sizes. It keeps to itself that
    it found nothing and returns what it began with; here that is an error.

    Args:
        tasks: The number of rows.
        max_norm: Largest norm of the weighted sum of the rows; 0: no limit.
        optim_niter: Most convex problems solved at a step.

    Source:
        Navon et al.: Multi-Task Learning as a Bargaining Game, ICML 2022, algorithm 1.
    """

    def __init__(self, tasks: int, max_norm: float, optim_niter: int) -> None:
        super().__init__()
        self._solver = NashMTL(tasks, max_norm=0.0, optim_niter=optim_niter).weighting
        self._max_norm = max_norm

    @property
    def memory(self) -> Tensor:
        """What the next solution is looked for from, of shape ``(tasks,)``."""
        return torch.from_numpy(self._solver.prvs_alpha.copy())

    def begin(self, memory: Tensor | None = None) -> None:
        """Go back to a `memory`, or to none; the problem is set up anew at the next step."""
        self._solver.reset()
        if memory is not None:
            self._solver.prvs_alpha = memory.numpy().copy()

    def forward(self, gramian: PSDMatrix, /) -> Tensor:
        """Return the weights of the rows, of shape ``(tasks,)``.

        Raises:
            ArithmeticError: If there is no solution, as between two opposite gradients.
        """
        exact = gramian.detach().cpu().double()
        norms = exact.diagonal().sqrt()
        cosines = exact / torch.outer(norms, norms)
        # the solver stops by what it would only want of a Gramian whose norm is 1
        size = torch.linalg.matrix_norm(cosines)
        values, vectors = torch.linalg.eigh(cosines / size)
        alpha = self._solver(vectors * values.clamp(min=0.0).sqrt())
        if not str(self._solver.prob.status).startswith("optimal") or not (alpha > 0.0).all():
            self.begin()
            message = "there is no Nash bargaining solution"
            raise ArithmeticError(message)
        alpha = alpha / (norms * size.sqrt())
        length = float((alpha @ exact @ alpha).sqrt())
        if 0.0 < self._max_norm < length:
            alpha = alpha * (self._max_norm / length)
        return torch.as_tensor(alpha).to(gramian)
