"""What is done to traces: arrays (traces, samples), times in seconds."""

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, sosfiltfilt

ORDER = 4


def band_pass(values, interval, low, high):
    """Butterworth, forwards and backwards: nothing is delayed."""
    filt = butter(ORDER, [low, high], "bandpass", fs=1 / interval, output="sos")
    return sosfiltfilt(filt, values, axis=1, padlen=min(values.shape[1] - 1, 3 * ORDER * 2))


def gain(values, interval, window):
    """Automatic gain control: divides by the root mean square around each sample."""
    samples = max(3, round(window / interval))
    power = uniform_filter1d(values**2, samples, axis=1, mode="nearest")
    level = np.sqrt(np.maximum(power, 0))
    floor = 1e-6 * max(float(level.max()), 1e-30)
    return values / np.maximum(level, floor)


def stack(values, midpoints):
    """The mean of the traces of each midpoint, in the midpoints' order, and how many there were."""
    names, index, fold = np.unique(midpoints, return_inverse=True, return_counts=True)
    total = np.zeros((len(names), values.shape[1]))
    np.add.at(total, index, values)
    return total / fold[:, None], names, fold


def spectrum(values, interval):
    """Frequencies and the traces' mean amplitude."""
    window = np.hanning(values.shape[1])
    amplitude = np.abs(np.fft.rfft(values * window, axis=1)).mean(axis=0) * 2 / max(window.sum(), 1e-30)
    return np.fft.rfftfreq(values.shape[1], interval), amplitude


def first_breaks(values, interval, short=0.02, long=0.15, threshold=5.0):
    """The time at which each trace's energy first rises: the ratio of a short to a long running mean (STA/LTA).

    NaN where it never rises. The pick is taken back to where the rise begins, then to the neighbouring sample above a
    tenth of the first swing.
    """
    energy = values**2
    s, l = max(2, round(short / interval)), max(4, round(long / interval))
    total = np.pad(np.cumsum(energy, axis=1), ((0, 0), (1, 0)))
    at = np.arange(values.shape[1])
    ahead = (total[:, np.minimum(at + s, values.shape[1])] - total[:, at]) / s
    behind = (total[:, at] - total[:, np.maximum(at - l, 0)]) / np.maximum(np.minimum(at, l), 1)
    # A rise counts where it matters: noise far below the strongest swing has none.
    floor = 1e-3 * energy.max(axis=1, keepdims=True) + 1e-300
    ratio = ahead / (behind + floor)
    ratio[:, : max(4, s)] = 0
    over = ratio > threshold
    first = over.argmax(axis=1)
    picks = np.full(len(values), np.nan)
    for n in np.flatnonzero(over.any(axis=1)):
        swing = np.abs(values[n, first[n] : first[n] + 2 * s])
        rise = np.flatnonzero(swing > 0.1 * swing.max())
        picks[n] = (first[n] + (rise[0] if len(rise) else 0)) * interval
    return picks
