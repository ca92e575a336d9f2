"""SEG-Y, revision 1 (SEG Technical Standards Committee, 2002): big-endian, traces of one length."""

import numpy as np
from queztl_skill.task import InputError

TEXT, BINARY, TRACE = 3200, 400, 240
SAMPLES_MAX = 200_000_000
# Sample formats: 1 IBM float, 2 and 3 and 8 integers, 5 IEEE float.
FORMATS = {1: ">u4", 2: ">i4", 3: ">i2", 5: ">f4", 8: ">i1"}
# Fields of a trace header, 1-based byte positions as the standard numbers them.
FIELDS = {"field_record": (9, ">i4"), "trace_in_record": (13, ">i4"), "cdp": (21, ">i4"), "offset": (37, ">i4"),
          "samples": (115, ">i2"), "interval": (117, ">i2")}


def read_segy(path):
    """Samples (traces, samples), the interval in seconds, and the trace headers' fields."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(TEXT + BINARY)
        if len(head) < TEXT + BINARY:
            raise InputError(f"{path.name} ends within its headers")
        number = lambda at: int.from_bytes(head[at - 1 : at + 1], "big")
        interval, samples, form, extended = number(3217), number(3221), number(3225), number(3505)
        if form not in FORMATS:
            raise InputError(f"{path.name}: sample format {form} is none of {', '.join(map(str, FORMATS))}")
        if interval == 0 or samples == 0:
            raise InputError(f"{path.name} names no sample interval or no samples a trace")
        if extended > 100:
            raise InputError(f"{path.name} claims {extended} extended headers")
        width = np.dtype(FORMATS[form]).itemsize
        start, record = TEXT + BINARY + TEXT * extended, TRACE + samples * width
        count, rest = divmod(size - start, record)
        if count < 1 or rest:
            raise InputError(f"{path.name}: {size - start} bytes are no whole number of traces of {samples} samples; it is cut off or its traces differ in length")
        if count * samples > SAMPLES_MAX:
            raise InputError(f"{path.name} has {count * samples} samples, at most {SAMPLES_MAX} are read")
        file.seek(start)
        raw = np.fromfile(file, np.dtype([("header", f"V{TRACE}"), ("samples", FORMATS[form], samples)]), count)
    headers = np.frombuffer(raw["header"].tobytes(), np.uint8).reshape(count, TRACE)
    fields = {name: _field(headers, at, kind) for name, (at, kind) in FIELDS.items()}
    values = _ibm(raw["samples"]) if form == 1 else raw["samples"].astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise InputError(f"{path.name}: trace {bad[0] + 1} holds something that is not a finite number")
    return values, interval / 1e6, fields


def write_segy(path, values, interval, fields, note):
    """Writes traces as IEEE floats."""
    count, samples = values.shape
    text = "".join(f"C{i + 1:2d} {line}".ljust(80)[:80] for i, line in enumerate([note] + [""] * 37 + ["SEG Y REV1", "END TEXTUAL HEADER"]))
    binary = bytearray(BINARY)
    put = lambda at, value: binary.__setitem__(slice(at - 3201, at - 3199), int(value).to_bytes(2, "big"))
    put(3213, 1), put(3217, round(interval * 1e6)), put(3221, samples), put(3225, 5), put(3501, 0x0100), put(3503, 1)
    headers = np.zeros((count, TRACE), np.uint8)
    fields = {**fields, "samples": np.full(count, samples), "interval": np.full(count, round(interval * 1e6))}
    fields["sequence"] = np.arange(1, count + 1)
    for name, (at, kind) in {**FIELDS, "sequence": (1, ">i4")}.items():
        width = np.dtype(kind).itemsize
        headers[:, at - 1 : at - 1 + width] = np.asarray(fields[name]).astype(kind).reshape(-1, 1).view(np.uint8)
    records = np.zeros(count, [("header", f"V{TRACE}"), ("samples", ">f4", samples)])
    records["header"] = np.frombuffer(headers.tobytes(), f"V{TRACE}")
    records["samples"] = values
    with open(path, "wb") as file:
        file.write(text.encode("cp037") + bytes(binary))
        records.tofile(file)


def _field(headers, at, kind):
    width = np.dtype(kind).itemsize
    return headers[:, at - 1 : at - 1 + width].copy().view(kind)[:, 0].astype(np.int64)


def _ibm(words):
    """IBM System/360 floats: a sign, seven bits of exponent of 16, a 24-bit fraction."""
    words = words.astype(np.uint32)
    sign = np.where(words >> 31, -1.0, 1.0)
    exponent = ((words >> 24) & 0x7F).astype(np.int64) - 64
    return sign * (words & 0xFFFFFF) / float(1 << 24) * np.exp2(4.0 * exponent)
