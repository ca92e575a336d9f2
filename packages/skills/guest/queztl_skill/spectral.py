"""Potential-field transforms in the wavenumber domain (Blakely, Potential Theory, chapters 11 and 12)."""

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2


class Spectrum:
    """A grid's transform: the mean taken off, the edges led smoothly to zero in a margin all around."""

    def __init__(self, grid):
        self.grid = grid
        rows, columns = grid.values.shape
        self.margin = (rows // 4 + 2, columns // 4 + 2)
        shape = [next_fast_len(n + 2 * m, real=True) for n, m in zip((rows, columns), self.margin, strict=True)]
        after = [s - n - m for s, n, m in zip(shape, (rows, columns), self.margin, strict=True)]
        padding = [(m, a) for m, a in zip(self.margin, after, strict=True)]
        padded = np.pad(grid.values - grid.values.mean(), padding, mode="reflect", reflect_type="odd")
        taper = [_taper(n, m, a) for n, (m, a) in zip((rows, columns), padding, strict=True)]
        self.shape = shape
        self.values = rfft2(padded * taper[0][:, None] * taper[1])
        self.ky = 2 * np.pi * np.fft.fftfreq(shape[0], grid.step)[:, None]
        self.kx = 2 * np.pi * np.fft.rfftfreq(shape[1], grid.step)[None, :]
        self.k = np.hypot(self.kx, self.ky)

    def filtered(self, factor):
        """The grid after a multiplication in the wavenumber domain."""
        rows, columns = self.grid.values.shape
        full = irfft2(self.values * factor, self.shape)
        top, left = self.margin
        return self.grid.like(full[top : top + rows, left : left + columns])

    def derivatives(self):
        """East, north and down: the last is positive towards the sources."""
        return self.filtered(1j * self.kx), self.filtered(1j * self.ky), self.filtered(self.k)


def direction(inclination, declination):
    """Unit vector east, north, down of a field; degrees, the inclination positive downwards."""
    i, d = np.radians(inclination), np.radians(declination)
    return np.array([np.cos(i) * np.sin(d), np.cos(i) * np.cos(d), np.sin(i)])


def reduce_to_pole(spectrum, inclination, declination, source=None):
    """What the same sources would show under a vertical field.

    `source` is the magnetisation's inclination and declination where it is not induced. Below about 20 degrees the factor
    grows without bound across the declination; it is held to that of 20 degrees there (MacLeod et al., 1993).
    """

    def theta(inclination, declination):
        east, north, down = direction(inclination, declination)
        k = np.where(spectrum.k == 0, 1, spectrum.k)
        return down + 1j * (east * spectrum.kx + north * spectrum.ky) / k

    field = theta(_held(inclination), declination)
    magnetisation = theta(*source) if source else field
    return spectrum.filtered(np.where(spectrum.k == 0, 1, 1 / (field * magnetisation)))


def _held(inclination):
    return np.copysign(max(abs(inclination), 20), inclination)


def _taper(inside, before, after):
    def rise(n):
        return 0.5 - 0.5 * np.cos(np.pi * (np.arange(n) + 0.5) / max(n, 1))

    return np.concatenate([rise(before), np.ones(inside), rise(after)[::-1]])
