#!/usr/bin/env python3
"""bench/chart.py: draw a line or bar chart as SVG from JSON. Only the standard library.

    bench/chart.py [INPUT.json] [-o OUTPUT.svg]       (default: standard input and output)

The input is one object:

    {"title": "...", "kind": "line" | "bar", "x_label": "...", "y_label": "...",
     "x": [1, 16, 128]            places on the x axis, evenly spaced, in this order
     "series": [{"name": "redis", "y": [89000, 508000, null], "low": [...], "high": [...]}, ...],
     "y_log": false, "note": "small print below"}

"low" and "high" (optional) draw the spread of the runs; null leaves a gap.
Colours are told apart by colour-blind readers (Okabe and Ito); lines also differ in their marks.
"""

import json
import math
import sys
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 500
LEFT, RIGHT, TOP, BOTTOM = 90, 190, 56, 84
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"]
MARKS = ["circle", "square", "diamond", "triangle"]
FONT = "font-family='DejaVu Sans, Helvetica, sans-serif'"


def human(value):
    """12345678 as 12.3M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def nice_step(span, count=6):
    """A step of 1, 2, 2.5 or 5 times a power of ten that divides the span into about `count`."""
    if span <= 0:
        return 1.0
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in (1, 2, 2.5, 5, 10):
        if raw <= factor * power * 1.0000001:
            return factor * power
    return 10 * power


def linear_ticks(top):
    step = nice_step(top)
    return [step * i for i in range(int(math.ceil(top / step - 1e-9)) + 1)]


def log_ticks(bottom, top):
    first, last = math.floor(math.log10(bottom)), math.ceil(math.log10(top))
    last = max(last, first + 1)
    factors = (1, 2, 5) if last - first <= 3 else (1,)
    return [factor * 10.0 ** power for power in range(first, last) for factor in factors] + [
        10.0 ** last]


class Scale:
    """Maps values to the height of the drawing."""

    def __init__(self, chart):
        values = [value for series in chart["series"] for key in ("y", "low", "high")
                  for value in series.get(key, []) if value is not None]
        self.log = bool(chart.get("y_log")) and bool(values) and min(values) > 0
        top = max(values, default=1) or 1
        self.ticks = log_ticks(min(values), top) if self.log else linear_ticks(top)
        self.bottom, self.top = self.ticks[0], self.ticks[-1]

    def y(self, value):
        if self.log:
            share = math.log(value / self.bottom) / math.log(self.top / self.bottom)
        else:
            share = (value - self.bottom) / (self.top - self.bottom)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def mark(kind, x, y, colour):
    if kind == "circle":
        return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4.5' fill='{colour}'/>"
    points = {"square": [(-4, -4), (4, -4), (4, 4), (-4, 4)],
              "diamond": [(0, -6), (6, 0), (0, 6), (-6, 0)],
              "triangle": [(0, -6), (5.5, 4.5), (-5.5, 4.5)]}[kind]
    text = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in points)
    return f"<polygon points='{text}' fill='{colour}'/>"


def spread(series, index, x, scale, colour):
    low, high = series.get("low"), series.get("high")
    if not low or not high or low[index] is None or high[index] is None:
        return []
    y_low, y_high = scale.y(low[index]), scale.y(high[index])
    return [f"<path d='M{x:.1f} {y_low:.1f}V{y_high:.1f}M{x - 5:.1f} {y_low:.1f}h10"
            f"M{x - 5:.1f} {y_high:.1f}h10' stroke='{colour}' stroke-width='1.2' fill='none'/>"]


def draw_axes(chart, scale):
    out = [f"<text x='{LEFT}' y='30' {FONT} font-size='17' font-weight='bold'>"
           f"{escape(chart.get('title', ''))}</text>"]
    for tick in scale.ticks:
        y = scale.y(tick)
        out.append(f"<path d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}' stroke='#dddddd'/>")
        out.append(f"<text x='{LEFT - 8}' y='{y + 4:.1f}' {FONT} font-size='12' "
                   f"text-anchor='end'>{human(tick)}</text>")
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out.append(f"<text transform='translate(22 {middle:.0f}) rotate(-90)' {FONT} font-size='13' "
               f"text-anchor='middle'>{escape(chart.get('y_label', ''))}</text>")
    out.append(f"<text x='{(LEFT + WIDTH - RIGHT) / 2:.0f}' y='{HEIGHT - BOTTOM + 42}' {FONT} "
               f"font-size='13' text-anchor='middle'>{escape(chart.get('x_label', ''))}</text>")
    out.append(f"<text x='{LEFT}' y='{HEIGHT - 12}' {FONT} font-size='11' fill='#555555'>"
               f"{escape(chart.get('note', ''))}</text>")
    out.append(f"<path d='M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}' stroke='#333333' "
               "fill='none'/>")
    return out


def place(chart, index):
    """The x of a group: the middle of its share of the axis."""
    step = (WIDTH - LEFT - RIGHT) / len(chart["x"])
    return LEFT + step * (index + 0.5)


def draw_line(chart, series, number, scale):
    colour, kind = COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
    out, path, pen_down = [], "", False
    for index, value in enumerate(series["y"]):
        if value is None:
            pen_down = False
            continue
        x, y = place(chart, index), scale.y(value)
        path += f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}"
        pen_down = True
        out += spread(series, index, x, scale, colour)
        out.append(mark(kind, x, y, colour))
    return [f"<path d='{path}' stroke='{colour}' stroke-width='2.2' fill='none'/>"] + out


def draw_bars(chart, series, number, scale):
    colour = COLOURS[number % len(COLOURS)]
    group = 0.76 * (WIDTH - LEFT - RIGHT) / len(chart["x"])
    width = group / len(chart["series"])
    out = []
    for index, value in enumerate(series["y"]):
        if value is None:
            continue
        x, y = place(chart, index) - group / 2 + number * width, scale.y(value)
        height = HEIGHT - BOTTOM - y
        out.append(f"<rect x='{x:.1f}' y='{y:.1f}' width='{width * 0.9:.1f}' "
                   f"height='{height:.1f}' fill='{colour}'/>")
        high = (series.get("high") or series["y"])[index]
        label_y = min(y, scale.y(high)) - 5 if high is not None else y - 5
        out.append(f"<text x='{x + width * 0.45:.1f}' y='{label_y:.1f}' {FONT} font-size='10' "
                   f"text-anchor='middle'>{human(value)}</text>")
        out += spread(series, index, x + width * 0.45, scale, "#333333")
    return out


def draw(chart):
    """Returns the SVG text of a chart as described at the top of this file."""
    for series in chart["series"]:
        if len(series["y"]) != len(chart["x"]):
            raise ValueError(f"series {series.get('name')} has {len(series['y'])} values for "
                             f"{len(chart['x'])} places")
    scale = Scale(chart)
    bars = chart.get("kind", "line") == "bar"
    out = [f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{HEIGHT}' "
           f"viewBox='0 0 {WIDTH} {HEIGHT}'>", f"<rect width='{WIDTH}' height='{HEIGHT}' "
           "fill='#ffffff'/>"]
    out += draw_axes(chart, scale)
    for index, label in enumerate(chart["x"]):
        out.append(f"<text x='{place(chart, index):.1f}' y='{HEIGHT - BOTTOM + 20}' {FONT} "
                   f"font-size='12' text-anchor='middle'>{escape(str(label))}</text>")
    for number, series in enumerate(chart["series"]):
        out += (draw_bars if bars else draw_line)(chart, series, number, scale)
        x, y = WIDTH - RIGHT + 20, TOP + 14 + 22 * number
        kind = "square" if bars else MARKS[number % len(MARKS)]
        out.append(mark(kind, x, y - 4, COLOURS[number % len(COLOURS)]))
        out.append(f"<text x='{x + 14}' y='{y}' {FONT} font-size='12'>"
                   f"{escape(series['name'])}</text>")
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main(arguments):
    output = None
    if "--help" in arguments:
        print(__doc__.strip())
        return 0
    if "-o" in arguments:
        place_of = arguments.index("-o")
        if place_of + 1 == len(arguments):
            print("chart: -o needs a file name", file=sys.stderr)
            return 2
        output = arguments[place_of + 1]
        arguments = arguments[:place_of] + arguments[place_of + 2:]
    if len(arguments) > 1:
        print(f"chart: one input at a time, not {len(arguments)}: see --help", file=sys.stderr)
        return 2
    try:
        if arguments:
            with open(arguments[0], encoding="utf-8") as file:
                chart = json.load(file)
        else:
            chart = json.load(sys.stdin)
        text = draw(chart)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"chart: cannot draw {arguments[0] if arguments else 'the input'}: {error!r}",
              file=sys.stderr)
        return 1
    if output:
        with open(output, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
