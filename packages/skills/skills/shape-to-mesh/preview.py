"""A picture of a mesh: seen from above the front corner, lit from the left, nearer points hide farther ones."""

import numpy as np
from PIL import Image

SIZE = 512


def draw_preview(path, vertices, normals, triangles):
    right, up, back = _camera(azimuth=35, elevation=28)
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    span = np.linalg.norm(vertices - middle, axis=1).max()
    scale = SIZE * 0.48 / max(span, 1e-12)
    local = (vertices - middle) @ np.stack([right, up, back], axis=1)
    screen = np.c_[SIZE / 2 + scale * local[:, 0], SIZE / 2 - scale * local[:, 1], scale * local[:, 2]]
    facing = np.cross(screen[triangles[:, 1]] - screen[triangles[:, 0]], screen[triangles[:, 2]] - screen[triangles[:, 0]])[:, 2] < 0
    triangles = triangles[facing]
    light = np.array([-0.4, 0.6, 0.7]) / np.linalg.norm([-0.4, 0.6, 0.7])
    shade = 0.25 + 0.75 * np.clip(normals @ (np.stack([right, up, back], axis=1) @ light), 0, 1)
    depth, colour = np.full(SIZE * SIZE, -np.inf), np.full((SIZE * SIZE, 3), 250.0)
    corners = screen[triangles]
    longest = np.abs(corners - np.roll(corners, 1, axis=1))[:, :, :2].max(axis=(1, 2)) if len(triangles) else np.zeros(0)
    samples = np.ceil(longest * 1.3).astype(int) + 1
    for n in np.unique(samples):
        chosen = np.flatnonzero(samples == n)
        i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1))
        keep = i + j <= n
        weights = np.stack([i[keep], j[keep], n - i[keep] - j[keep]], axis=1) / n
        for batch in np.array_split(chosen, -(-len(chosen) * len(weights) // 2_000_000)):
            points = np.einsum("wk,tkd->twd", weights, corners[batch]).reshape(-1, 3)
            light_at = np.einsum("wk,tk->tw", weights, shade[triangles[batch]]).ravel()
            _splat(points, light_at, depth, colour)
    Image.fromarray(colour.reshape(SIZE, SIZE, 3).astype(np.uint8)).save(path)


def _splat(points, light, depth, colour):
    x, y = points[:, 0].astype(int), points[:, 1].astype(int)
    inside = (x >= 0) & (x < SIZE) & (y >= 0) & (y < SIZE)
    pixel, z, light = (y * SIZE + x)[inside], points[inside, 2], light[inside]
    order = np.argsort(z, kind="stable")
    pixel, z, light = pixel[order], z[order], light[order]
    last = np.zeros(len(depth), int)
    last[pixel] = np.arange(len(pixel))
    pixels = np.unique(pixel)
    best = last[pixels]
    nearer = z[best] > depth[pixels]
    pixels, best = pixels[nearer], best[nearer]
    depth[pixels] = z[best]
    colour[pixels] = light[best, None] * np.array([178.0, 202.0, 226.0])


def _camera(azimuth, elevation):
    a, e = np.radians(azimuth), np.radians(elevation)
    back = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    return right, np.cross(back, right), back
