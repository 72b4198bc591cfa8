"""What bench/compare says of its runs: medians, ratios by round, a table and charts.

Pure functions over the list of run records that bench/compare keeps. A record has: server,
durability, pinning, test, depth, round, throughput_per_s, cpu_us_per_operation,
switches_per_operation, p50_ms, p99_ms.
"""

import statistics_of_runs

REFERENCES = ("null", "redis")


def cells(runs):
    """Runs by (pinning, durability, test, depth), then server, then round."""
    table = {}
    for run in runs:
        key = (run["pinning"], run["durability"], run["test"], run["depth"])
        table.setdefault(key, {}).setdefault(run["server"], {})[run["round"]] = run
    return table


def median_of(rounds, field):
    return statistics_of_runs.median([run[field] for run in rounds.values()])


def ratio(numerator, denominator, field):
    """Median over the rounds that both have: two runs of a round are close in time."""
    common = sorted(set(numerator) & set(denominator))
    values = [numerator[r][field] / denominator[r][field] for r in common
              if denominator[r][field] > 0]
    return statistics_of_runs.median(values) if values else None


def with_null(table):
    """The null server keeps nothing in either mode: its memory rows serve the durable ones."""
    for (pinning, durability, test, depth), servers in list(table.items()):
        null = table.get((pinning, "memory", test, depth), {}).get("null")
        if durability == "durable" and null and "null" not in servers:
            servers["null"] = null
    return table


def summarize(runs):
    """One row for each cell and server: medians, spread, and ratios to null and to redis."""
    rows = []
    for key, servers in sorted(with_null(cells(runs)).items(), key=lambda item: item[0]):
        for server, rounds in servers.items():
            rates = [run["throughput_per_s"] for run in rounds.values()]
            row = dict(zip(("pinning", "durability", "test", "depth"), key))
            row.update(server=server, rounds=len(rates), low=min(rates), high=max(rates))
            for field in ("throughput_per_s", "cpu_us_per_operation", "switches_per_operation",
                          "p50_ms", "p99_ms"):
                row[field] = median_of(rounds, field)
            for reference in REFERENCES:
                known = reference in servers and reference != server
                row["rate_over_" + reference] = (
                    ratio(rounds, servers[reference], "throughput_per_s") if known else None)
                row["cpu_over_" + reference] = (
                    ratio(rounds, servers[reference], "cpu_us_per_operation") if known else None)
            rows.append(row)
    return rows


def number(value, digits=2):
    return "-" if value is None else f"{value:.{digits}f}"


COLUMNS = [("test", 5), ("depth", 6), ("server", 12), ("ops/s", 11), ("low..high", 23),
           ("p50 ms", 8), ("p99 ms", 8), ("CPU us/op", 10), ("switch/op", 10), ("/null", 7),
           ("/redis", 7), ("CPU/redis", 10)]


def table_text(rows):
    """The rows for a person, one block for each pinning and durability."""
    lines = []
    block = None
    for row in rows:
        here = (row["pinning"], row["durability"])
        if here != block:
            block = here
            what = ("nothing survives a crash" if here[1] == "memory" else
                    "fsync before each reply; the null row keeps nothing")
            lines += ["", f"{here[1]} ({what}), {here[0]}, medians of {row['rounds']} rounds",
                      "".join(name.rjust(width) for name, width in COLUMNS)]
        fields = [row["test"], str(row["depth"]), row["server"],
                  f"{row['throughput_per_s']:,.0f}", f"{row['low']:,.0f}..{row['high']:,.0f}",
                  number(row["p50_ms"], 3), number(row["p99_ms"], 3),
                  number(row["cpu_us_per_operation"]), number(row["switches_per_operation"], 3),
                  number(row["rate_over_null"]), number(row["rate_over_redis"]),
                  number(row["cpu_over_redis"])]
        lines.append("".join(text.rjust(width) for text, (_, width) in zip(fields, COLUMNS)))
    return "\n".join(lines[1:]) + "\n"


def charts(rows, note):
    """Throughput by depth: a chart for each pinning, durability and test; (name, chart) pairs."""
    result = []
    groups = sorted({(row["pinning"], row["durability"], row["test"]) for row in rows})
    for pinning, durability, test in groups:
        members = [row for row in rows
                   if (row["pinning"], row["durability"], row["test"]) == (pinning, durability,
                                                                          test)]
        depths = sorted({row["depth"] for row in members})
        series = []
        for server in sorted({row["server"] for row in members}):
            found = {row["depth"]: row for row in members if row["server"] == server}
            column = {key: [found[depth][key] if depth in found else None for depth in depths]
                      for key in ("throughput_per_s", "low", "high")}
            series.append({"name": server, "y": column["throughput_per_s"], "low": column["low"],
                           "high": column["high"]})
        result.append((f"{test}-{durability}-{pinning}", {
            "title": f"{test.upper()}, {durability}, {pinning}", "kind": "line", "y_log": True,
            "x": depths, "x_label": "requests in flight per connection (pipeline depth)",
            "y_label": "operations per second", "series": series, "note": note}))
    return result
