"""Against files of an independent library, filters of known response, and broken input."""

import json
import struct
import tempfile
import unittest
from pathlib import Path

import numpy as np
import segyio
from queztl_skill.task import EXIT_DATA, InputError
from queztl_skill.test_support import run_program

from main import ricker
from processing import band_pass, first_breaks, gain, spectrum, stack
from segy import read_segy, write_segy

HERE = Path(__file__).parent
INTERVAL = 0.002


def independent_file(path, values, form, cdp):
    """A SEG-Y file as segyio writes it."""
    spec = segyio.spec()
    spec.format, spec.samples, spec.tracecount = form, np.arange(values.shape[1]) * INTERVAL * 1000, len(values)
    with segyio.create(str(path), spec) as file:
        file.bin.update({segyio.BinField.Interval: round(INTERVAL * 1e6), segyio.BinField.Samples: values.shape[1]})
        for n, trace in enumerate(values):
            file.header[n] = {segyio.TraceField.CDP: int(cdp[n]), segyio.TraceField.offset: 25 * n, segyio.TraceField.FieldRecord: 1}
            file.trace[n] = trace.astype(np.float32)


def line(count=24, samples=500):
    t = np.arange(samples) * INTERVAL
    random = np.random.default_rng(0)
    return np.stack([ricker(t - 0.3 - 0.004 * n, 30) for n in range(count)]) + random.normal(0, 0.01, (count, samples))


class Files(unittest.TestCase):
    def test_reads_what_segyio_writes(self):
        values = line()
        for form in (1, 5):
            with tempfile.TemporaryDirectory() as home:
                path = Path(home, "a.sgy")
                independent_file(path, values, form, np.arange(24) // 4)
                found, interval, fields = read_segy(path)
            self.assertEqual(interval, INTERVAL)
            self.assertLess(np.abs(found - values.astype(np.float32)).max(), 2e-7 * np.abs(values).max() * 16)
            self.assertEqual(fields["cdp"].tolist(), (np.arange(24) // 4).tolist())
            self.assertEqual(fields["offset"].tolist(), (25 * np.arange(24)).tolist())

    def test_segyio_reads_what_is_written(self):
        values = line()
        fields = {key: np.arange(24) for key in ("field_record", "trace_in_record", "cdp", "offset")}
        with tempfile.TemporaryDirectory() as home:
            path = Path(home, "a.sgy")
            write_segy(path, values, INTERVAL, fields, "test")
            with segyio.open(str(path), strict=False) as file:
                self.assertEqual(segyio.dt(file), 2000)
                self.assertEqual(file.text[0][:8].decode(), "C 1 test")
                self.assertTrue(np.array_equal(file.trace.raw[:], values.astype(np.float32)))
                self.assertEqual(file.attributes(segyio.TraceField.CDP)[:].tolist(), list(range(24)))

    def test_broken_files(self):
        values = line(3, 100)
        fields = {key: np.arange(3) for key in ("field_record", "trace_in_record", "cdp", "offset")}
        with tempfile.TemporaryDirectory() as home:
            path = Path(home, "a.sgy")
            write_segy(path, values, INTERVAL, fields, "test")
            good = path.read_bytes()
            claim = good[:3220] + struct.pack(">H", 60_000) + good[3222:]
            nan = good[: 3600 + 240] + struct.pack(">f", float("nan")) + good[3600 + 244 :]
            for content, words in [
                (good[:1000], "ends within its headers"),
                (good[:-7], "no whole number of traces"),
                (claim, "no whole number of traces"),
                (good[:3224] + b"\0\x63" + good[3226:], "sample format 99"),
                (good[:3504] + b"\xff\xff" + good[3506:], "extended headers"),
                (nan, "trace 1 holds"),
            ]:
                path.write_bytes(content)
                with self.assertRaisesRegex(InputError, words):
                    read_segy(path)


class Processing(unittest.TestCase):
    def test_band_passes_and_stops_as_butterworth_says(self):
        t = np.arange(4000) * INTERVAL
        for hertz, expected in [(30, 1.0), (8, 0.5), (80, 0.5), (2, 0.0), (150, 0.0)]:
            wave = np.sin(2 * np.pi * hertz * t)[None, :]
            passed = band_pass(wave, INTERVAL, 8, 80)[:, 1000:-1000]
            # Twice through a filter that is at 1/sqrt(2) on its corners.
            self.assertAlmostEqual(float(np.abs(passed).max()), expected, delta=0.02, msg=f"{hertz} Hz")

    def test_nothing_is_delayed(self):
        t = np.arange(500) * INTERVAL
        wavelet = ricker(t - 0.5, 30)[None, :]
        self.assertEqual(band_pass(wavelet, INTERVAL, 5, 100).argmax(), wavelet.argmax())

    def test_gain_levels(self):
        t = np.arange(2000) * INTERVAL
        decaying = (np.exp(-t) * np.sin(2 * np.pi * 25 * t))[None, :]
        level = gain(decaying, INTERVAL, 0.4)
        rms = [np.sqrt((part**2).mean()) for part in np.array_split(level[0, 200:-200], 5)]
        self.assertLess(np.ptp(rms), 0.03)

    def test_stack_lowers_noise_by_the_root_of_the_fold(self):
        random = np.random.default_rng(1)
        signal = np.sin(np.arange(400) / 9)
        values = signal + random.normal(0, 1, (160, 400))
        stacked, names, fold = stack(values, np.arange(160) // 16)
        self.assertEqual((len(names), set(fold)), (10, {16}))
        self.assertAlmostEqual(float((stacked - signal).std()), 0.25, delta=0.02)

    def test_spectrum_of_a_sine(self):
        t = np.arange(1000) * INTERVAL
        frequency, amplitude = spectrum(3 * np.sin(2 * np.pi * 40 * t)[None, :], INTERVAL)
        self.assertEqual(frequency[amplitude.argmax()], 40)
        self.assertAlmostEqual(float(amplitude.max()), 3, delta=0.01)

    def test_first_breaks(self):
        random = np.random.default_rng(2)
        times = np.linspace(0.2, 0.6, 30)
        t = np.arange(500) * INTERVAL
        values = np.where(t > times[:, None], np.sin(2 * np.pi * 30 * (t - times[:, None])), 0) + random.normal(0, 0.01, (30, 500))
        self.assertLess(np.abs(first_breaks(values, INTERVAL) - times).max(), 0.006)
        self.assertTrue(np.isnan(first_breaks(np.zeros((2, 200)), INTERVAL)).all())


class Program(unittest.TestCase):
    def test_synthetic_line_shows_its_reflectors(self):
        ended, files = run_program(HERE, {"survey_id": "LINE-1", "traces": 120})
        self.assertEqual(ended.returncode, 0, ended.stderr)
        result = json.loads(files["result.json"])
        self.assertEqual(result["stacked"], {"traces": 10, "fold": 12})
        with tempfile.TemporaryDirectory() as home:
            path = Path(home, "a.sgy")
            path.write_bytes(files["processed.sgy"])
            section, interval, _ = read_segy(path)
        mean = section.mean(axis=0)
        for time in result["known"]["reflectors_s"]:
            near = slice(round((time - 0.05) / interval), round((time + 0.05) / interval))
            self.assertAlmostEqual((near.start + mean[near].argmax()) * interval, time, delta=interval)
        self.assertLess(abs(result["peak_hz"] - 30), 10)
        self.assertIn(b"SYNTHETIC", files["report.html"])

    def test_file_of_an_independent_library(self):
        with tempfile.TemporaryDirectory() as home:
            path = Path(home, "a.sgy")
            independent_file(path, line(), 1, np.arange(24) // 4)
            ended, files = run_program(HERE, {"high": 100}, {"a.sgy": path.read_bytes()})
        self.assertEqual(ended.returncode, 0, ended.stderr)
        result = json.loads(files["result.json"])
        self.assertEqual((result["traces"], result["stacked"]["traces"], result["picked"]), (24, 6, 24))

    def test_wrong_wishes_are_refused_in_words(self):
        with tempfile.TemporaryDirectory() as home:
            path = Path(home, "a.sgy")
            write_segy(path, np.zeros((24, 100)), INTERVAL, {key: np.arange(24) for key in ("field_record", "trace_in_record", "cdp", "offset")}, "")
            silent = {"a.sgy": path.read_bytes()}
        for data, files, words in [
            ({"low": 90, "high": 80}, {}, "does not lie below"),
            ({"high": 400}, {}, "half the sampling rate"),
            ({"low": 1e-9}, {}, "nothing can be cut below"),
            ({}, silent, "nothing but zeros"),
        ]:
            ended, left = run_program(HERE, data, files)
            self.assertEqual(ended.returncode, EXIT_DATA, ended.stderr)
            self.assertIn(words, ended.stdout)
            self.assertEqual(left, {})


if __name__ == "__main__":
    unittest.main()
