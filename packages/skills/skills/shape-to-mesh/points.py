"""A solid around a cloud of points: signed distances to the points' tangent planes (Hoppe et al., 1992)."""

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree

NEAR = 12


def estimate_normals(points):
    """Unit normals by the least principal axis of each neighbourhood, turned to agree along a spanning tree."""
    tree = cKDTree(points)
    _, near = tree.query(points, k=min(NEAR, len(points)))
    around = points[near] - points[near].mean(axis=1, keepdims=True)
    _, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", around, around))
    found = axes[:, :, 0]
    rows, columns = np.repeat(np.arange(len(points)), near.shape[1] - 1), near[:, 1:].ravel()
    agreement = np.abs(np.einsum("ij,ij->i", found[rows], found[columns]))
    graph = coo_matrix((1.001 - agreement, (rows, columns)), (len(points),) * 2).tocsr()
    spanning = minimum_spanning_tree(graph.maximum(graph.T))
    spanning = spanning + spanning.T
    for part in range((labels := connected_components(spanning)[1]).max() + 1):
        members = np.flatnonzero(labels == part)
        # The highest point of a closed surface looks up.
        root = members[np.argmax(points[members, 2])]
        found[root] *= np.copysign(1, found[root, 2])
        order, parent = breadth_first_order(spanning, root, directed=False)
        for node in order[1:]:
            if found[node] @ found[parent[node]] < 0:
                found[node] = -found[node]
    return found


def distance_function(points, normals):
    """A function that is negative inside: distances to the nearest points' planes, the nearer the weightier."""
    tree = cKDTree(points)
    spacing = np.median(tree.query(points, k=2)[0][:, 1])

    def function(places):
        distance, near = tree.query(places, k=min(8, len(points)))
        weight = np.exp(-((distance / (distance[:, :1] + spacing)) ** 2) * 2)
        planes = np.einsum("nki,nki->nk", places[:, None, :] - points[near], normals[near])
        return (planes * weight).sum(axis=1) / weight.sum(axis=1)

    return function, spacing
