"""The regional field: a smooth surface under what is sought."""

import numpy as np


def regional(x, y, values, order):
    """A polynomial surface, fitted so that anomalies do not pull it (Huber weights); returns it at the points."""
    u, v = (x - x.mean()) / max(np.ptp(x), 1.0), (y - y.mean()) / max(np.ptp(y), 1.0)
    terms = np.stack([u**i * v**j for i in range(order + 1) for j in range(order + 1 - i)], axis=1)
    weight = np.ones(len(x))
    for _ in range(12):
        root = np.sqrt(weight)
        fit = terms @ np.linalg.lstsq(terms * root[:, None], values * root, rcond=None)[0]
        rest = np.abs(values - fit)
        scale = max(1.4826 * np.median(rest), 1e-9)
        weight = np.minimum(1, 1.345 * scale / np.maximum(rest, 1e-12))
    return fit
