"""Marching tetrahedra over a regular lattice: a closed surface for any function, with no ambiguous case.

Each cube is cut into six tetrahedra along its diagonal (Kuhn); neighbouring cubes cut their common face alike.
"""

from itertools import permutations

import numpy as np

# Directions of the lattice's edges, all from a corner to a higher one: three axes, three face diagonals, one body diagonal.
DIRECTIONS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]])
KIND = {tuple(direction): kind for kind, direction in enumerate(DIRECTIONS)}


def parity(order):
    """+1 or -1 of a permutation."""
    return 1 if sum(a > b for i, a in enumerate(order) for b in order[i + 1 :]) % 2 == 0 else -1


def _cases():
    """Triangles of a positively oriented tetrahedron, as pairs of its corners, for each set of corners inside."""
    table = []
    for inside in range(16):
        ins = [v for v in range(4) if inside >> v & 1]
        outs = [v for v in range(4) if v not in ins]
        order = ins + outs
        if len(ins) in (0, 4):
            table.append([])
            continue
        if len(ins) == 3:
            order = outs + ins
        i, j, k, l = order
        if len(ins) == 2:
            triangles = [[(i, k), (i, l), (j, l)], [(i, k), (j, l), (j, k)]]
        else:
            triangles = [[(i, j), (i, k), (i, l)]]
        flip = (parity(order) < 0) != (len(ins) == 3)
        table.append([t[::-1] if flip else t for t in triangles])
    return table


CASES = _cases()
TETRAHEDRA = [
    (np.array([[0, 0, 0], np.eye(3, dtype=int)[a], np.eye(3, dtype=int)[a] + np.eye(3, dtype=int)[b], [1, 1, 1]]), parity((a, b, c)))
    for a, b, c in permutations(range(3))
]


def surface(values, origin, step, function=None):
    """The surface where values on a lattice [x, y, z] change sign, negative inside: vertices (n, 3), triangles (m, 3).

    The lattice's own boundary counts as outside, so that the surface is closed. With the function, vertices are moved onto
    it by two secant steps.
    """
    values = values.copy()
    for axis in range(3):
        edge = np.moveaxis(values, axis, 0)
        edge[0], edge[-1] = np.maximum(edge[0], 1e-3 * step), np.maximum(edge[-1], 1e-3 * step)
    shape = np.array(values.shape)
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    flat = values.ravel()
    inside = flat < 0
    grid = inside.reshape(shape)
    count = sum(grid[a : a + shape[0] - 1, b : b + shape[1] - 1, c : c + shape[2] - 1].astype(np.uint8)
                for a in (0, 1) for b in (0, 1) for c in (0, 1))
    cubes = np.argwhere((count > 0) & (count < 8)) @ strides
    faces = []
    for corners, sign in TETRAHEDRA:
        ids = cubes[:, None] + corners @ strides
        case = inside[ids] @ np.array([1, 2, 4, 8])
        for number, triangles in enumerate(CASES):
            chosen = ids[case == number]
            for triangle in triangles if len(chosen) else []:
                edges = []
                for a, b in triangle if sign > 0 else triangle[::-1]:
                    low, high = min(a, b), max(a, b)
                    edges.append(chosen[:, low] * 7 + KIND[tuple(corners[high] - corners[low])])
                faces.append(np.stack(edges, axis=1))
    if not faces:
        return np.empty((0, 3)), np.empty((0, 3), int)
    edges, triangles = np.unique(np.concatenate(faces), return_inverse=True)
    low = edges // 7
    direction = DIRECTIONS[edges % 7]
    high = low + direction @ strides
    start = np.stack(np.unravel_index(low, shape), axis=1).astype(float)
    share = _crossing(flat[low], flat[high])
    place = lambda t: origin + step * (start + t[:, None] * direction)
    if function is not None:
        share = _refine(function, place, share, flat[low], flat[high])
    return place(share), triangles.reshape(-1, 3)


def _crossing(a, b):
    # Kept off the ends: a vertex that meets its neighbours makes triangles without area.
    return np.clip(a / (a - b), 0.02, 0.98)


def _refine(function, place, share, a, b):
    low, high = np.zeros_like(share), np.ones_like(share)
    for _ in range(2):
        value = function(place(share))
        left = (value < 0) == (a < 0)
        low, a = np.where(left, share, low), np.where(left, value, a)
        high, b = np.where(left, high, share), np.where(left, b, value)
        span = np.where(a == b, 1, a - b)
        share = low + (high - low) * np.clip(a / span, 0, 1)
    return np.clip(share, 0.02, 0.98)
