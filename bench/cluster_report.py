"""What bench/compare --cluster says of its runs: medians, ratios by round, aims, a table, charts.

Pure functions over the list of run records. A record has: server, test, depth (for etcd: streams a
connection), round, throughput_per_s, p50_ms, p99_ms, max_ms, leader_cpu_us, follower_cpu_us (of one
follower), nodes.
"""

import statistics_of_runs

# Who is compared with whom, at which depths, and what is aimed at: (test, server, depth, rival,
# its depth or streams, aim, stretch or None), each a ratio of throughput.
AIMS = [
    ("set", "weir3", 1, "redis", 1, 0.65, 0.8), ("set", "weir3", 16, "redis", 16, 2, 2.5),
    ("set", "weir3", 128, "redis", 128, 4, 5), ("set", "weir3", 1, "etcd", 1, 4.5, None),
    ("set", "weir3", 16, "etcd", 20, 28, None), ("get", "weir3", 1, "redis", 1, 0.7, None),
    ("get", "weir3", 16, "redis", 16, 1.5, None), ("get", "weir3", 128, "redis", 128, 2.5, None),
    ("get", "weir3:lease", 1, "redis", 1, None, None),
    ("get", "weir3:lease", 16, "redis", 16, None, None),
    ("get", "weir3:lease", 128, "redis", 128, None, None),
    ("get", "weir3", 1, "etcd", 1, None, None), ("get", "weir3", 16, "etcd", 20, None, None),
    ("set", "weir3", 1, "weir", 1, None, None), ("set", "weir3", 16, "weir", 16, None, None),
    ("set", "weir3", 128, "weir", 128, None, None),
]
FIELDS = ("throughput_per_s", "p50_ms", "p99_ms", "leader_cpu_us", "follower_cpu_us")


def cells(runs):
    """Runs by (test, server, depth), then round."""
    table = {}
    for run in runs:
        key = (run["test"], run["server"], run["depth"])
        table.setdefault(key, {})[run["round"]] = run
    return table


def summarize(runs):
    """One row for each test, server and depth: medians and spread."""
    rows = []
    for (test, server, depth), rounds in sorted(cells(runs).items(),
                                                key=lambda item: (item[0][0], item[0][2],
                                                                  item[0][1])):
        rates = [run["throughput_per_s"] for run in rounds.values()]
        row = {"test": test, "server": server, "depth": depth, "rounds": len(rates),
               "low": min(rates), "high": max(rates),
               "nodes": next(iter(rounds.values()))["nodes"]}
        for name in FIELDS:
            row[name] = statistics_of_runs.median([run[name] for run in rounds.values()])
        rows.append(row)
    return rows


def aims(runs):
    """The ratios of AIMS for which there are runs: median, lowest and highest over the rounds."""
    table = cells(runs)
    found = []
    for test, server, depth, rival, rival_depth, aim, stretch in AIMS:
        ours = table.get((test, server, depth), {})
        theirs = table.get((test, rival, rival_depth), {})
        common = sorted(set(ours) & set(theirs))
        if not common:
            continue
        ratios = [ours[r]["throughput_per_s"] / theirs[r]["throughput_per_s"] for r in common]
        median = statistics_of_runs.median(ratios)
        found.append({"test": test, "server": server, "depth": depth, "rival": rival,
                      "rival_depth": rival_depth, "aim": aim, "stretch": stretch, "ratio": median,
                      "low": min(ratios), "high": max(ratios), "verdict": verdict(median, aim,
                                                                                 stretch)})
    return found


def verdict(ratio, aim, stretch):
    if aim is None:
        return "-"
    if ratio < aim:
        return "missed"
    return "stretch" if stretch is not None and ratio >= stretch else "reached"


COLUMNS = [("test", 5), ("depth", 6), ("server", 12), ("ops/s", 11), ("low..high", 23),
           ("p50 ms", 9), ("p99 ms", 9), ("leader us/op", 13), ("follower us/op", 15)]


def table_text(rows):
    """The rows for a person."""
    lines = [f"durable, everything on this machine, medians of {rows[0]['rounds']} rounds; depth "
             "is streams for etcd; CPU is of the leader, and of one follower",
             "".join(name.rjust(width) for name, width in COLUMNS)]
    for row in rows:
        fields = [row["test"], str(row["depth"]), row["server"],
                  f"{row['throughput_per_s']:,.0f}", f"{row['low']:,.0f}..{row['high']:,.0f}",
                  f"{row['p50_ms']:.3f}", f"{row['p99_ms']:.3f}", f"{row['leader_cpu_us']:.2f}",
                  "-" if row["nodes"] == 1 else f"{row['follower_cpu_us']:.2f}"]
        lines.append("".join(text.rjust(width) for text, (_, width) in zip(fields, COLUMNS)))
    return "\n".join(lines) + "\n"


def aims_text(found):
    lines = ["ratios of throughput, medians over the rounds"]
    for row in found:
        aim = "" if row["aim"] is None else f"aim {row['aim']:g}"
        if row["stretch"] is not None:
            aim += f", stretch {row['stretch']:g}"
        lines.append(f"{row['test']:>5}  {row['server']} at {row['depth']} over {row['rival']} at "
                     f"{row['rival_depth']}: {row['ratio']:.2f} ({row['low']:.2f} to "
                     f"{row['high']:.2f})" + (f"  {aim}: {row['verdict']}" if aim else ""))
    return "\n".join(lines) + "\n"


def charts(rows, note):
    """Throughput by depth for each test, and CPU an operation: (name, chart) pairs."""
    result = []
    for test in sorted({row["test"] for row in rows}):
        members = [row for row in rows if row["test"] == test]
        places = sorted({row["depth"] for row in members})
        names = sorted({row["server"] for row in members})
        labels = [place_label(place, members) for place in places]
        result.append((f"throughput-{test}", {
            "title": f"{test.upper()}, durable, all on one machine", "kind": "line", "y_log": True,
            "x": labels, "x_label": "requests in flight per connection",
            "y_label": "operations per second", "note": note,
            "series": [throughput_series(name, members, places) for name in names]}))
        result.append((f"cpu-{test}", {
            "title": f"{test.upper()}: CPU an operation", "kind": "line", "y_log": True,
            "x": labels, "x_label": "requests in flight per connection",
            "y_label": "microseconds of CPU an operation", "note": note,
            "series": [series for name in names
                       for series in cpu_series(name, members, places)]}))
    return result


def place_label(place, members):
    only = {row["server"] for row in members if row["depth"] == place}
    return f"{place} (etcd)" if only == {"etcd"} else str(place)


def column(name, members, places, key):
    found = {row["depth"]: row[key] for row in members if row["server"] == name}
    return [found.get(place) for place in places]


def throughput_series(name, members, places):
    return {"name": name, **{field: column(name, members, places, key) for field, key in
                             (("y", "throughput_per_s"), ("low", "low"), ("high", "high"))}}


def cpu_series(name, members, places):
    nodes = {row["nodes"] for row in members if row["server"] == name}
    series = [{"name": name + (" leader" if nodes != {1} else ""),
               "y": positive(column(name, members, places, "leader_cpu_us"))}]
    if nodes != {1}:
        series.append({"name": name + " follower",
                       "y": positive(column(name, members, places, "follower_cpu_us"))})
    return series


def positive(values):
    """A logarithmic axis has no place for what was too little to be counted."""
    return [value if value else None for value in values]
