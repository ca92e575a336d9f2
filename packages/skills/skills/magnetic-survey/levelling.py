"""Takes off what is not geology: diurnal drift, errors of whole lines."""

import numpy as np
from scipy.sparse import coo_matrix, eye, hstack, vstack
from scipy.sparse.linalg import lsqr
from scipy.spatial import cKDTree


def remove_drift(survey):
    """The base station's change since its median is taken off at each point's time."""
    if survey.base is None or survey.time is None:
        return survey.field, 0.0
    time, value = survey.base
    change = np.interp(survey.time, time, value - np.median(value))
    return survey.field - change, float(np.ptp(change))


def crossings(survey, values, reach):
    """Pairs of a line point and the nearest tie point within reach, the closest pair of each line and tie."""
    ties = np.flatnonzero(survey.tie)
    lines = np.flatnonzero(~survey.tie)
    if len(ties) == 0 or len(lines) == 0:
        return np.empty((0, 2), int), np.empty(0)
    tree = cKDTree(np.c_[survey.x[ties], survey.y[ties]])
    distance, nearest = tree.query(np.c_[survey.x[lines], survey.y[lines]], distance_upper_bound=reach)
    near = np.flatnonzero(np.isfinite(distance))
    a, b = lines[near], ties[nearest[near]]
    order = np.argsort(distance[near], kind="stable")
    pairs = np.c_[a, b][order]
    _, first = np.unique(survey.line[pairs], axis=0, return_index=True)
    pairs = pairs[np.sort(first)]
    return pairs, values[pairs[:, 0]] - values[pairs[:, 1]]


def level(survey, values, reach):
    """Each line gets the offset and slope that make it agree with the ties where they cross, in least squares.

    Slopes are held small by a weak wish, offsets sum to about zero. Without crossings nothing changes. Returns the levelled
    values and the mis-ties' root mean square before and after.
    """
    pairs, misfit = crossings(survey, values, reach)
    if len(pairs) < 3:
        return values, (0.0, 0.0)
    numbers, index = np.unique(survey.line, return_inverse=True)
    count = len(numbers)
    start = np.zeros(count)
    length = np.ones(count)
    along = survey.x + survey.y
    for number in range(count):
        own = along[index == number]
        start[number], length[number] = own.mean(), max(np.ptp(own), 1.0)
    place = (along - start[index]) / length[index]
    row = np.repeat(np.arange(len(pairs)), 2)
    column = index[pairs].ravel()
    sign = np.tile([1.0, -1.0], len(pairs))
    offsets = coo_matrix((sign, (row, column)), (len(pairs), count))
    slopes = coo_matrix((sign * place[pairs].ravel(), (row, column)), (len(pairs), count))
    system = hstack([offsets, slopes])
    wish = hstack([0.05 * eye(count), coo_matrix((count, count))]), hstack([coo_matrix((count, count)), 0.5 * eye(count)])
    solution = lsqr(vstack([system, *wish]).tocsr(), np.r_[misfit, np.zeros(2 * count)], atol=1e-10, btol=1e-10)[0]
    levelled = values - solution[index] - solution[count + index] * place
    after = levelled[pairs[:, 0]] - levelled[pairs[:, 1]]
    return levelled, (float(np.sqrt((misfit**2).mean())), float(np.sqrt((after**2).mean())))
