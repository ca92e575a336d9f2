"""Gravity corrections in mGal; heights in metres, densities in kg per cubic metre."""

import numpy as np

G = 6.67430e-11
TO_MGAL = 1e5
NEAR_CELLS = 12


def normal_gravity(latitude):
    """On the ellipsoid GRS80, by Somigliana's closed formula (Moritz, 1980)."""
    s2 = np.sin(np.radians(latitude)) ** 2
    return 978_032.67715 * (1 + 0.001931851353 * s2) / np.sqrt(1 - 0.0066943800229 * s2)


def free_air(latitude, height):
    """How much less gravity is at a height, to second order (Hinze et al., 2005)."""
    s2 = np.sin(np.radians(latitude)) ** 2
    return -(0.3087691 - 0.0004398 * s2) * height + 7.2125e-8 * height**2


def slab(height, density):
    """The pull of an endless slab between sea level and the station."""
    return 2 * np.pi * G * density * height * TO_MGAL


def prism(x, y, z, density):
    """The downward pull at the origin of a right prism between x, y, z (each low, high; z positive down).

    Nagy's formula (Nagy, 1966), for arrays of prisms; the origin may lie on an edge or outside, not inside a face.
    """
    total = 0.0
    for i, xi in enumerate(x):
        for j, yj in enumerate(y):
            for k, zk in enumerate(z):
                r = np.sqrt(xi * xi + yj * yj + zk * zk)
                sign = (-1) ** (i + j + k)
                with np.errstate(divide="ignore", invalid="ignore"):
                    term = (
                        xi * np.log(np.maximum(yj + r, 1e-300))
                        + yj * np.log(np.maximum(xi + r, 1e-300))
                        - zk * np.arctan2(xi * yj, zk * r)
                    )
                total = total + sign * np.where(r > 0, term, 0.0)
    return G * density * total * TO_MGAL


def terrain(x, y, height, dem, density):
    """What hills above and valleys below each station take off its gravity; never negative.

    `dem` is a grid of heights. Cells within 12 cells are prisms between the station's level and the ground, those beyond are
    lines of mass in their middle; the cell the station stands on is left out.
    """
    px, py = np.meshgrid(dem.x, dem.y)
    px, py, pz = px.ravel(), py.ravel(), dem.values.ravel()
    correction = np.zeros(len(x))
    half = dem.step / 2
    for n in range(len(x)):
        dx, dy, dz = px - x[n], py - y[n], pz - height[n]
        distance = np.hypot(dx, dy)
        far = distance > NEAR_CELLS * dem.step
        area = dem.step**2
        r = distance[far]
        total = (G * density * TO_MGAL) * area * (1 / r - 1 / np.sqrt(r * r + dz[far] ** 2)).sum()
        near = ~far & ((np.abs(dx) > half) | (np.abs(dy) > half))
        ex, ey, ez = dx[near], dy[near], np.abs(dz[near])
        # Hills pull up, valleys lack a pull down: both are prisms of their height difference, seen from its foot.
        pull = prism((ex - half, ex + half), (ey - half, ey + half), (np.zeros_like(ez), ez), density)
        correction[n] = total + np.abs(pull).sum()
    return correction


def sphere(x, y, depth, mass):
    """The pull of a sphere of excess mass, kg, with its centre at a depth below the origin's level."""
    return G * mass * depth / (x * x + y * y + depth * depth) ** 1.5 * TO_MGAL
