"""A closed solid under a heightmap: the terrain, four walls and a floor."""

import numpy as np
from PIL import Image, UnidentifiedImageError
from queztl_skill.task import InputError

EDGE_MAX = 1500


def read_heights(path):
    """A picture's brightness, 0 to 1, row 0 the northernmost."""
    Image.MAX_IMAGE_PIXELS = 100_000_000
    try:
        picture = Image.open(path)
        picture.load()
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise InputError(f"{path.name} is not a picture that can be read: {error}") from None
    deep = picture.mode.startswith(("I", "F"))
    values = np.asarray(picture.convert("F" if deep else "L"), float)
    if min(values.shape) < 2:
        raise InputError(f"{path.name} has {values.shape[1]} x {values.shape[0]} pixels; a heightmap needs at least 2 x 2")
    shrink = int(np.ceil(max(values.shape) / EDGE_MAX))
    values = values[::shrink, ::shrink]
    low, high = (0.0, 65535.0 if values.max() > 255 else 255.0) if deep else (0.0, 255.0)
    return (values - low) / (high - low)


def solid_of_heights(heights, size, height):
    """Vertices and triangles; the longer edge is `size` metres, white is `height` above black, the floor a bit below."""
    rows, columns = heights.shape
    step = size / (max(rows, columns) - 1)
    x, y = np.meshgrid(step * np.arange(columns), step * np.arange(rows)[::-1])
    floor = -max(0.05 * height, 1e-3 * size)
    count = rows * columns
    vertices = np.r_[np.c_[x.ravel(), y.ravel(), height * heights.ravel()], np.c_[x.ravel(), y.ravel(), np.full(count, floor)]]
    ids = np.arange(count).reshape(rows, columns)
    a, b, c, d = ids[:-1, :-1].ravel(), ids[:-1, 1:].ravel(), ids[1:, 1:].ravel(), ids[1:, :-1].ravel()
    top = np.r_[np.c_[a, d, c], np.c_[a, c, b]]
    ring = np.r_[ids[0, ::-1], ids[1:, 0], ids[-1, 1:], ids[-2:0:-1, -1]]
    after = np.roll(ring, -1)
    walls = np.r_[np.c_[ring, ring + count, after + count], np.c_[ring, after + count, after]]
    middle = len(vertices)
    centre = np.array([[x.mean(), y.mean(), floor]])
    bottom = np.c_[ring + count, np.full(len(ring), middle), after + count]
    used, triangles = np.unique(np.r_[top, walls, bottom], return_inverse=True)
    return np.r_[vertices, centre][used], triangles.reshape(-1, 3)
