"""Maps and charts as PNG files, drawn with Pillow."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Anchors of colour scales from low to high: perceptually even ones, and one that is white in the middle.
SCALES = {
    "even": ["440154", "482878", "3e4a89", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"],
    "diverging": ["2166ac", "4393c3", "92c5de", "d1e5f0", "f7f7f7", "fddbc7", "f4a582", "d6604d", "b2182b"],
    "grey": ["000000", "ffffff"],
}
INK, PAPER = (30, 30, 30), (255, 255, 255)
LEFT, TOP, BOTTOM, RIGHT = 78, 30, 44, 92


def colours(values, low, high, scale="even"):
    """RGB bytes for values; what lies outside takes the end's colour."""
    anchors = np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in SCALES[scale]], float)
    at = np.clip((np.asarray(values, float) - low) / max(high - low, 1e-300), 0, 1) * (len(anchors) - 1)
    return np.stack([np.interp(at, np.arange(len(anchors)), anchors[:, i]) for i in range(3)], axis=-1).astype(np.uint8)


def draw_map(path, grid, title, unit, scale="even", marks=(), size=640):
    """A grid as a map with axes in km and a colour bar; `marks` are (x, y, text) in metres."""
    low, high = np.percentile(grid.values, [1, 99])
    if scale == "diverging":
        high = max(abs(low), abs(high), 1e-12)
        low = -high
    rows, columns = grid.values.shape
    zoom = size / max(rows, columns)
    width, height = max(1, round(columns * zoom)), max(1, round(rows * zoom))
    picture = Image.fromarray(colours(grid.values[::-1], low, high, scale)).resize((width, height), Image.BILINEAR)
    canvas, draw = _canvas(width, height, title)
    canvas.paste(picture, (LEFT, TOP))
    east, north = (grid.x0, grid.x0 + grid.step * (columns - 1)), (grid.y0, grid.y0 + grid.step * (rows - 1))
    _axes(draw, width, height, [v / 1000 for v in east], [v / 1000 for v in north], "east, km", "north, km")
    bar = Image.fromarray(colours(np.linspace(high, low, height)[:, None].repeat(14, 1), low, high, scale))
    canvas.paste(bar, (LEFT + width + 12, TOP))
    for value in ticks(low, high, 6):
        y = TOP + height * (1 - (value - low) / max(high - low, 1e-300))
        draw.text((LEFT + width + 30, y - 5), f"{value:g}", INK, _font())
    draw.text((LEFT + width + 12, TOP - 14), unit, INK, _font())
    for x, y, text in marks:
        px = LEFT + (x - east[0]) / max(east[1] - east[0], 1e-12) * width
        py = TOP + height - (y - north[0]) / max(north[1] - north[0], 1e-12) * height
        draw.ellipse([px - 5, py - 5, px + 5, py + 5], outline=PAPER, width=3)
        draw.ellipse([px - 5, py - 5, px + 5, py + 5], outline=INK, width=1)
        draw.text((px + 8, py - 5), text, INK, _font(), stroke_width=2, stroke_fill=PAPER)
    canvas.save(path)


def draw_lines(path, series, title, x_label, y_label, size=(640, 360)):
    """Lines over a common pair of axes; `series` is [(name, x, y)]."""
    width, height = size
    canvas, draw = _canvas(width, height, title)
    x = np.concatenate([np.asarray(s[1], float) for s in series])
    y = np.concatenate([np.asarray(s[2], float) for s in series])
    xs, ys = _range(x), _range(y)
    _axes(draw, width, height, xs, ys, x_label, y_label)
    for index, (name, sx, sy) in enumerate(series):
        ink = tuple(int(v) for v in colours(index / max(1, len(series) - 0.5), 0, 1))
        px = LEFT + (np.asarray(sx, float) - xs[0]) / (xs[1] - xs[0]) * width
        py = TOP + height - (np.asarray(sy, float) - ys[0]) / (ys[1] - ys[0]) * height
        keep = np.linspace(0, len(px) - 1, min(len(px), 4 * width)).astype(int)
        draw.line(list(zip(px[keep], py[keep], strict=True)), fill=ink, width=2)
        draw.text((LEFT + width + 8, TOP + 4 + 14 * index), str(name)[:13], ink, _font())
    canvas.save(path)


def ticks(low, high, count):
    """Round values between two others."""
    if not high > low:
        return [low]
    raw = (high - low) / max(1, count)
    unit = 10.0 ** np.floor(np.log10(raw))
    step = unit * next((m for m in (1, 2, 5, 10) if raw <= m * unit * 1.0001), 10)
    return [float(f"{v:.10g}") + 0.0 for v in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step]


def _canvas(width, height, title):
    canvas = Image.new("RGB", (LEFT + width + RIGHT, TOP + height + BOTTOM), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((LEFT, 6), title, INK, _font())
    return canvas, draw


def _axes(draw, width, height, xs, ys, x_label, y_label):
    draw.rectangle([LEFT - 1, TOP - 1, LEFT + width, TOP + height], outline=INK)
    for value in ticks(*xs, 6):
        x = LEFT + (value - xs[0]) / max(xs[1] - xs[0], 1e-300) * width
        draw.line([x, TOP + height, x, TOP + height + 4], INK)
        draw.text((x - 3 * len(f"{value:g}"), TOP + height + 6), f"{value:g}", INK, _font())
    for value in ticks(*ys, 6):
        y = TOP + height - (value - ys[0]) / max(ys[1] - ys[0], 1e-300) * height
        draw.line([LEFT - 5, y, LEFT - 1, y], INK)
        draw.text((LEFT - 10 - 6 * len(f"{value:g}"), y - 5), f"{value:g}", INK, _font())
    draw.text((LEFT + width // 2 - 3 * len(x_label), TOP + height + 24), x_label, INK, _font())
    draw.text((4, 6), y_label, INK, _font())


def _range(values):
    low, high = float(np.min(values)), float(np.max(values))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _font():
    return ImageFont.load_default()
