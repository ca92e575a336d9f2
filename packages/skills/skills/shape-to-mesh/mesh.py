"""Triangle meshes: measures, and decimation by quadric errors (Garland and Heckbert, 1997)."""

import numpy as np
from scipy.sparse import coo_matrix


def edges_of(triangles):
    """Every directed edge of the triangles."""
    return triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)


def measures(vertices, triangles):
    """Whether the mesh is closed and oriented, its Euler characteristic, volume and area."""
    edges = edges_of(triangles)
    count = len(vertices)
    keys, back = edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0]
    unique, uses = np.unique(keys, return_counts=True)
    closed = bool((uses == 1).all() and np.isin(back, unique).all())
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    cross = np.cross(b - a, c - a)
    middle = vertices.mean(axis=0) if count else 0
    return {
        "watertight": closed and len(triangles) > 0,
        "euler_characteristic": int(len(np.unique(triangles)) - len(unique) // 2 + len(triangles)),
        "volume": float(np.einsum("ij,ij->", a - middle, np.cross(b - middle, c - middle)) / 6),
        "area": float(np.linalg.norm(cross, axis=1).sum() / 2),
    }


def normals(vertices, triangles):
    """A unit normal a vertex: its triangles' by area."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    cross = np.cross(b - a, c - a)
    total = np.stack(
        [np.bincount(triangles.ravel(), np.repeat(cross[:, i], 3), len(vertices)) for i in range(3)], axis=1
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.maximum(length, 1e-300), [0.0, 0.0, 1.0])


def compact(vertices, triangles):
    """Without the vertices that no triangle uses."""
    used, index = np.unique(triangles, return_inverse=True)
    return vertices[used], index.reshape(-1, 3)


def decimate(vertices, triangles, target, progress=None):
    """Collapses edges, cheapest first, until about `target` triangles are left; the surface stays closed.

    Each pass collapses many edges whose neighbourhoods do not touch. An edge may go only where its ends share exactly two
    neighbours (so that the topology stays) and no triangle turns over.
    """
    start, told = len(triangles), 0
    while len(triangles) > target:
        wanted = (len(triangles) - target + 1) // 2
        vertices, triangles, done = _collapse_some(vertices, triangles, wanted)
        part = min(1, (start - len(triangles)) / (start - target))
        if progress and part - told >= 0.1:
            progress(told := part, len(triangles))
        if done == 0:
            break
    return compact(vertices, triangles)


def _quadrics(vertices, triangles):
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    cross = np.cross(b - a, c - a)
    length = np.linalg.norm(cross, axis=1)
    n = cross / np.maximum(length, 1e-300)[:, None]
    plane = np.c_[n, -np.einsum("ij,ij->i", n, a)]
    each = plane[:, :, None] * plane[:, None, :] * (length / 2)[:, None, None]
    total = np.zeros((len(vertices), 16))
    for corner in range(3):
        for i in range(16):
            total[:, i] += np.bincount(triangles[:, corner], each.reshape(-1, 16)[:, i], len(vertices))
    return total.reshape(-1, 4, 4)


def _collapse_some(vertices, triangles, wanted):
    count = len(vertices)
    directed = edges_of(triangles)
    pairs = np.unique(np.sort(directed, axis=1), axis=0)
    a, b = pairs.T
    quadric = _quadrics(vertices, triangles)
    both = quadric[a] + quadric[b]
    place = _best(both, vertices[a], vertices[b])
    homogeneous = np.c_[place, np.ones(len(place))]
    cost = np.einsum("ni,nij,nj->n", homogeneous, both, homogeneous)
    # A little for length, so that flat regions shrink evenly instead of growing slivers.
    cost = np.abs(cost) + 1e-6 * ((vertices[a] - vertices[b]) ** 2).sum(axis=1) ** 2
    # On even surfaces costs rise along the lattice, and few edges would be the cheapest around: a little chance mends that.
    cost *= np.random.default_rng(len(triangles)).uniform(0.6, 1.4, len(cost))
    neighbours = coo_matrix((np.ones(len(directed)), directed.T), (count, count)).tocsr()
    neighbours.data[:] = 1
    shared = np.asarray((neighbours[a].multiply(neighbours[b])).sum(axis=1)).ravel()
    # Only the cheaper ones compete in a pass, so that costs are followed closely.
    limit = max(6 * wanted, len(cost) // 3)
    likely = np.flatnonzero(shared == 2)
    likely = likely[np.argsort(cost[likely], kind="stable")[:limit]]
    likely = likely[_keeps_facing(vertices, triangles, a[likely], b[likely], place[likely])]
    if len(likely) == 0:
        return vertices, triangles, 0
    # An edge is taken where no cheaper one has a triangle in common with it.
    rank = np.arange(len(likely), dtype=float)
    lowest = np.full(count, np.inf)
    np.minimum.at(lowest, a[likely], rank)
    np.minimum.at(lowest, b[likely], rank)
    around = lowest.copy()
    np.minimum.at(around, a, lowest[b])
    np.minimum.at(around, b, lowest[a])
    chosen = likely[(rank <= around[a[likely]]) & (rank <= around[b[likely]])][:wanted]
    vertices = vertices.copy()
    vertices[a[chosen]] = place[chosen]
    target = np.arange(count)
    target[b[chosen]] = a[chosen]
    moved = target[triangles]
    whole = (moved[:, 0] != moved[:, 1]) & (moved[:, 1] != moved[:, 2]) & (moved[:, 2] != moved[:, 0])
    return vertices, moved[whole], len(chosen)


def _best(quadric, p, q):
    """Where the quadric is least, if that is near the edge; else the edge's middle."""
    matrix, right = quadric[:, :3, :3], -quadric[:, :3, 3]
    middle, length = (p + q) / 2, np.linalg.norm(p - q, axis=1)
    scale = np.trace(matrix, axis1=1, axis2=2)
    regular = np.abs(np.linalg.det(matrix)) > 1e-4 * np.maximum(scale, 1e-300) ** 3
    place = middle.copy()
    if regular.any():
        place[regular] = np.linalg.solve(matrix[regular], right[regular][:, :, None])[:, :, 0]
    near = np.linalg.norm(place - middle, axis=1) <= length
    return np.where(near[:, None], place, middle)


def _keeps_facing(vertices, triangles, a, b, place):
    """Which collapses of edges a-b to a place turn no triangle by more than about 80 degrees."""
    flat = triangles.ravel()
    order = np.argsort(flat, kind="stable")
    first = np.searchsorted(flat[order], np.arange(len(vertices) + 1))
    good = np.ones(len(a), bool)
    for end, other in ((a, b), (b, a)):
        uses = first[end + 1] - first[end]
        owner = np.repeat(np.arange(len(end)), uses)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(uses) - uses, uses)
        corner = order[first[end[owner]] + within]
        faces = triangles[corner // 3]
        # The triangles on the edge itself vanish.
        stays = (faces != other[owner, None]).all(axis=1)
        faces, owner, corner = faces[stays], owner[stays], corner[stays] % 3
        before = vertices[faces]
        after = before.copy()
        after[np.arange(len(faces)), corner] = place[owner]
        n0 = np.cross(before[:, 1] - before[:, 0], before[:, 2] - before[:, 0])
        n1 = np.cross(after[:, 1] - after[:, 0], after[:, 2] - after[:, 0])
        size = np.linalg.norm(n0, axis=1) * np.linalg.norm(n1, axis=1)
        turned = (np.einsum("ij,ij->i", n0, n1) < 0.2 * size) | (size < 1e-24)
        good[owner[turned]] = False
    return good
