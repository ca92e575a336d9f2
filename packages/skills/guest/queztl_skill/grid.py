"""Regular grids, and minimum-curvature gridding of scattered values."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.sparse.linalg import LinearOperator, cg

from .task import InputError

CELLS_MAX = 4_000_000


@dataclass
class Grid:
    """Values on a regular grid: row 0 is the southernmost, column 0 the westernmost; metres."""

    x0: float
    y0: float
    step: float
    values: np.ndarray

    @property
    def x(self):
        return self.x0 + self.step * np.arange(self.values.shape[1])

    @property
    def y(self):
        return self.y0 + self.step * np.arange(self.values.shape[0])

    def like(self, values):
        """Other values on the same grid."""
        return Grid(self.x0, self.y0, self.step, values)

    def at(self, x, y):
        """Values between the nodes, linearly; the edge's beyond it."""
        rows, columns = (np.asarray(y) - self.y0) / self.step, (np.asarray(x) - self.x0) / self.step
        return map_coordinates(self.values, [rows, columns], order=1, mode="nearest")

    def write_ascii(self, path):
        """ESRI ASCII grid: the northernmost row first."""
        rows, columns = self.values.shape
        header = (
            f"ncols {columns}\nnrows {rows}\nxllcenter {self.x0:.6f}\nyllcenter {self.y0:.6f}\n"
            f"cellsize {self.step:.6f}\nNODATA_value -99999"
        )
        np.savetxt(path, self.values[::-1], fmt="%.4f", header=header, comments="")


def extent(x, y, step):
    """The grid's origin and shape that hold all points."""
    x0, y0 = np.floor(x.min() / step) * step, np.floor(y.min() / step) * step
    columns, rows = int(np.ceil((x.max() - x0) / step)) + 1, int(np.ceil((y.max() - y0) / step)) + 1
    if rows * columns > CELLS_MAX:
        raise InputError(f"a step of {step:g} m makes {rows * columns} cells, at most {CELLS_MAX} are made; take a larger one")
    if min(rows, columns) < 4:
        raise InputError(f"the points span {x.max() - x.min():g} by {y.max() - y.min():g} m: too little for a step of {step:g} m")
    return x0, y0, rows, columns


def minimum_curvature(x, y, values, step, tolerance=1e-4):
    """The smoothest surface through scattered values (Briggs, 1974): least total squared curvature.

    Values are averaged in each cell first. The energy's equations are solved by conjugate gradients, from a coarse grid to
    the final one, each starting from the one before it. A plane comes back exactly.
    """
    x0, y0, rows, columns = extent(x, y, step)
    plane = np.linalg.lstsq(np.c_[np.ones_like(x), x - x0, y - y0], values, rcond=None)[0]
    rest = values - (plane[0] + plane[1] * (x - x0) + plane[2] * (y - y0))
    coarsest = int(max(0, np.floor(np.log2(max(1, min(rows, columns) / 8)))))
    surface = None
    for level in range(coarsest, -1, -1):
        size = step * 2**level
        shape = (-(-(rows - 1) // 2**level) + 1, -(-(columns - 1) // 2**level) + 1)
        start = np.zeros(shape) if surface is None else _refine(surface, shape)
        surface = _solve(x - x0, y - y0, rest, size, start, tolerance)
    grid = Grid(x0, y0, step, surface[:rows, :columns])
    return grid.like(grid.values + plane[0] + plane[1] * (grid.x - x0) + plane[2] * (grid.y - y0)[:, None])


def _refine(coarse, shape):
    rows, columns = np.arange(shape[0]) / 2, np.arange(shape[1]) / 2
    return map_coordinates(coarse, np.meshgrid(rows, columns, indexing="ij"), order=1, mode="nearest")


def _solve(x, y, values, size, start, tolerance):
    """Minimises sum (surface at a point - value)^2 * weight + curvature, bilinear between nodes."""
    rows, columns = start.shape
    fx, fy = x / size, y / size
    i, j = np.minimum(fy.astype(int), rows - 2), np.minimum(fx.astype(int), columns - 2)
    v, u = fy - i, fx - j
    base = i * columns + j
    corners = np.stack([base, base + 1, base + columns, base + columns + 1])
    shares = np.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v])
    # One mean a cell: the points' shares and values are averaged, so that dense lines weigh no more than sparse ones.
    count = np.bincount(base, minlength=rows * columns)
    cells = np.flatnonzero(count)
    shares = np.stack([np.bincount(base, share, rows * columns)[cells] / count[cells] for share in shares])
    target = np.bincount(base, values, rows * columns)[cells] / count[cells]
    corners = np.stack([cells, cells + 1, cells + columns, cells + columns + 1])
    weight = 100.0

    def apply(flat):
        surface = flat.reshape(rows, columns)
        misfit = weight * (shares * flat[corners]).sum(axis=0)
        out = np.bincount(corners.ravel(), (shares * misfit).ravel(), rows * columns)
        return out + _curvature(surface).ravel()

    right = np.bincount(corners.ravel(), (shares * (weight * target)).ravel(), rows * columns)
    diagonal = 20.0 + np.bincount(corners.ravel(), (weight * shares**2).ravel(), rows * columns)
    operator = LinearOperator((rows * columns,) * 2, matvec=apply, dtype=float)
    jacobi = LinearOperator((rows * columns,) * 2, matvec=lambda flat: flat / diagonal, dtype=float)
    solution, _ = cg(operator, right, x0=start.ravel(), M=jacobi, maxiter=400, tol=tolerance, atol=0)
    return solution.reshape(rows, columns)


def _curvature(s):
    """Gradient of the squared second differences in x, y and xy."""
    out = np.zeros_like(s)
    if s.shape[1] > 2:
        d = s[:, :-2] - 2 * s[:, 1:-1] + s[:, 2:]
        out[:, :-2] += d
        out[:, 1:-1] -= 2 * d
        out[:, 2:] += d
    if s.shape[0] > 2:
        d = s[:-2] - 2 * s[1:-1] + s[2:]
        out[:-2] += d
        out[1:-1] -= 2 * d
        out[2:] += d
    d = 2 * (s[:-1, :-1] - s[:-1, 1:] - s[1:, :-1] + s[1:, 1:])
    out[:-1, :-1] += d
    out[:-1, 1:] -= d
    out[1:, :-1] -= d
    out[1:, 1:] += d
    return out
