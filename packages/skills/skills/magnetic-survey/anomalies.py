"""Finds anomalies and how deep their sources lie."""

import numpy as np
from scipy.ndimage import maximum_filter


def peaks(signal, count, apart):
    """The strongest local maxima of a grid at least `apart` metres from each other: rows, columns."""
    radius = max(1, round(apart / signal.step))
    values = signal.values
    top = (values == maximum_filter(values, size=2 * radius + 1)) & (values > max(4 * np.median(values), 0.03 * values.max()))
    edge = max(1, radius // 4)
    top[:edge] = top[-edge:] = False
    top[:, :edge] = top[:, -edge:] = False
    rows, columns = np.nonzero(top)
    order = np.argsort(-values[rows, columns], kind="stable")[:count]
    return list(zip(rows[order], columns[order], strict=True))


def euler(grid, derivatives, row, column, radius, index):
    """Euler deconvolution in a window (Reid et al., 1990): x, y, depth below the sensor, depth's standard error.

    Solves x0 Tx + y0 Ty + z0 Tz + N B = x Tx + y Ty + z Tz + N T with z = 0 and positive down. None where the window says
    nothing or the answer lies outside it.
    """
    rows = slice(max(0, row - radius), row + radius + 1)
    columns = slice(max(0, column - radius), column + radius + 1)
    tx, ty, tz = (d.values[rows, columns].ravel() for d in derivatives)
    t = grid.values[rows, columns].ravel()
    x, y = (a.ravel() for a in np.meshgrid(grid.x[columns] - grid.x[column], grid.y[rows] - grid.y[row]))
    system = np.stack([tx, ty, tz, np.full_like(tx, index)], axis=1)
    right = x * tx + y * ty + index * t
    solution, _, rank, _ = np.linalg.lstsq(system, right, rcond=1e-10)
    if rank < 4 or len(right) <= 4:
        return None
    rest = right - system @ solution
    variance = (rest**2).sum() / (len(right) - 4) * np.linalg.inv(system.T @ system)[2, 2]
    reach = radius * grid.step
    if not (0 < solution[2] < 4 * reach and np.hypot(solution[0], solution[1]) < 2 * reach):
        return None
    return grid.x[column] + solution[0], grid.y[row] + solution[1], solution[2], float(np.sqrt(variance))
