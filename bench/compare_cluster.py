"""bench/compare --cluster: three durable nodes of weir beside one durable Redis and three of etcd.

    bench/compare --cluster [options]

  --servers LIST    of redis, weir (one durable node), weir3, weir3:lease, etcd
                    (default redis,weir3,weir3:lease,etcd; without etcd, with a word about it, if
                    it is not installed)
  --tests LIST      of set, get (default both). GETs of weir3 are quorum reads, etcd's linearizable
                    Ranges; weir3:lease is measured with get only
  --depths LIST     pipeline depths for those that speak RESP (default 1,16,128)
  --streams LIST    streams a connection for etcd (default 1,20)
  --rounds N        every server is started and measured once a round (default 5)
  --seconds S       wished length of one measurement (default 2)
  --quick           3 rounds of 0.5 seconds
  --client NAME     weir (weir bench, the default) or redis-benchmark, for those that speak RESP
  --json            print the summary as one JSON object instead of the table
  --bin DIR         where weir and fsync_probe are (default: build/release of the source tree, then
                    PATH)
  --output DIR      where the results go (default build/compare/cluster-DATE of the source tree)

Everything is on this machine: the nodes, their disk and the client. The servers are described in
bench/compare_servers.py. Load is 50 connections to the leader, 64 byte values; RESP: 100,000 keys,
drawn at random; etcd: h2load with a gRPC body, so one key, and the key's version afterwards shows
that every Put took place (bench/etcd_load.py).

Rounds are outside and servers inside, so that rivals are close in time. Ratios are medians over the
rounds of the ratios within a round. CPU is utime + stime of the leader's process, and of one
follower's (the mean of both), over the operations. If another node is elected meanwhile, the round
with that kind of server is done again, and that is said: the figures would be of both.

The output directory gets runs.json (every single run), summary.json, table.txt and charts of
throughput and of CPU an operation. The load of the machine is in the table: figures of a machine on
which others work are worth little.

With WEIR_BENCH_SHORT in the environment it is one round of 0.05 seconds at the last of the depths
and streams, whatever the options say. Its figures mean nothing.

Exit status: 0, 1 when a server or the client failed, 2 on wrong usage.
"""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import chart
import cluster_report
import compare_servers
import etcd_load
from compare_programs import (Failure, ROOT, UsageError, describe_host, disk_text, find_program,
                              probe_disk, progress)

LISTS = {"--servers": "", "--tests": "set,get", "--depths": "1,16,128", "--streams": "1,20"}
NUMBERS = {"--rounds": (5, int), "--seconds": (2.0, float)}
TEXTS = {"--bin": None, "--output": None, "--client": "weir"}
FLAGS = ("--json",)
DEFAULT_SERVERS = ("redis", "weir3", "weir3:lease", "etcd")
KEYS, VALUE_BYTES, CONNECTIONS = 100000, etcd_load.VALUE_BYTES, etcd_load.CONNECTIONS
SHORT = "WEIR_BENCH_SHORT" in os.environ
ATTEMPTS_MAX = 5  # at a round with one kind of server, if another node is elected meanwhile
WARM_UP_SHARE = 0.25  # of a measurement, before it
PROBE_REQUESTS = {"floor": 200, "per_stream": 100}


# ---- options ---------------------------------------------------------------------------------

def parse_arguments(arguments):
    values = {**LISTS, **{name: default for name, (default, _) in NUMBERS.items()}, **TEXTS,
              **{name: False for name in FLAGS}}
    words = iter(arguments)
    for word in words:
        if word == "--quick":
            values.update({"--rounds": 3, "--seconds": 0.5})
            continue
        if word in FLAGS:
            values[word] = True
            continue
        name, equals, value = word.partition("=")
        if name not in values or name in FLAGS:
            raise UsageError(f"'{word}' is no option of compare --cluster: see --help")
        if not equals:
            value = next(words, None)
            if value is None:
                raise UsageError(f"{name} needs a value")
        if name in NUMBERS:
            value = number(name, value)
        values[name] = value
    options = {name.lstrip("-"): value for name, value in values.items()}
    for name in LISTS:
        options[name.lstrip("-")] = values[name].split(",") if values[name] else []
    check(options)
    if SHORT:
        options.update(rounds=1, seconds=0.05, depths=options["depths"][-1:],
                       streams=options["streams"][-1:])
    return options


def number(name, text):
    try:
        value = NUMBERS[name][1](text)
    except ValueError:
        raise UsageError(f"{name} '{text}' is no number") from None
    if not value > 0:
        raise UsageError(f"{name} must be above 0")
    return value


def check(options):
    for name, known in (("servers", compare_servers.KINDS), ("tests", ("set", "get"))):
        for value in options[name]:
            if value not in known:
                raise UsageError(f"--{name}: '{value}' is none of {', '.join(known)}")
    if options["client"] not in ("weir", "redis-benchmark"):
        raise UsageError(f"--client: '{options['client']}' is neither weir nor redis-benchmark")
    for name, what in (("depths", "depth"), ("streams", "number of streams")):
        for value in options[name]:
            if not value.isdigit() or int(value) < 1:
                raise UsageError(f"--{name}: '{value}' is no {what}")
        options[name] = [int(value) for value in options[name]]


def choose_servers(options, usual=DEFAULT_SERVERS):
    """Those asked for must be there; of the usual ones etcd may be missing, and that is said."""
    asked = options["servers"]
    options["servers"] = []
    for kind in asked or usual:
        missing = compare_servers.missing(kind, options)
        if missing and (asked or kind != "etcd"):
            raise Failure(missing)
        if missing:
            print(f"compare: without etcd: {missing}", file=sys.stderr)
        else:
            options["servers"].append(kind)
    if options["client"] == "redis-benchmark":
        find_program("redis-benchmark", options)


# ---- one measurement -------------------------------------------------------------------------

def run_weir_bench(port, test, depth, seconds, options, extra=()):
    command = [find_program("weir", options), "bench", "--server", f"127.0.0.1:{port}", "--mix",
               test, "--depth", str(depth), "--connections", str(CONNECTIONS), "--keys", str(KEYS),
               "--value-size", str(VALUE_BYTES), "--json", *extra]
    if seconds is not None:
        command += ["--duration", f"{max(1, round(seconds * 1000))}ms"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=False)
    try:
        said = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise Failure(f"weir bench failed ({' '.join(command)}): "
                      f"{(done.stderr or done.stdout)[-500:]}") from None
    if done.returncode != 0 or said["errors"] or not said["operations"]:
        raise Failure(f"weir bench: {said['errors']} of {said['operations']} requests failed "
                      f"({' '.join(command)}): {said['errors_by_kind']} {done.stderr[-500:]}")
    return {"operations": said["operations"], "throughput_per_s": said["throughput_per_s"],
            **{f"{name}_ms": said["latency_us"][name] / 1e3 for name in ("p50", "p99", "max")}}


def run_redis_benchmark(port, test, depth, operations, options):
    command = [find_program("redis-benchmark", options), "-p", str(port), "-t", test, "-n",
               str(operations), "-P", str(depth), "--csv", "-c", str(CONNECTIONS), "-r", str(KEYS),
               "-d", str(VALUE_BYTES)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=False)
    rows = [row for row in csv.DictReader(io.StringIO(done.stdout)) if row.get("rps")]
    if done.returncode != 0 or len(rows) != 1 or float(rows[0]["rps"]) <= 0:
        raise Failure(f"redis-benchmark failed ({' '.join(command)}): "
                      f"{(done.stderr or done.stdout)[-500:]}")
    return {"operations": operations, "throughput_per_s": float(rows[0]["rps"]),
            **{f"{name}_ms": float(rows[0][f"{name}_latency_ms"])
               for name in ("p50", "p99", "max")}}


def load(servers, test, depth, amount, options):
    """Load on the leader: `amount` is seconds for weir bench, and requests for the others."""
    if servers.kind == "etcd":
        run = etcd_load.run_put if test == "set" else etcd_load.run_range
        return run(servers.port, depth, amount, servers.scratch, options)
    if options["client"] == "weir":
        return run_weir_bench(servers.port, test, depth, amount, options)
    return run_redis_benchmark(servers.port, test, depth, amount, options)


def warm_up(servers, test, depth, options):
    """A short run before the measured one; returns how much makes the wished time."""
    seconds = options["seconds"]
    if servers.kind != "etcd" and options["client"] == "weir":
        load(servers, test, depth, seconds * WARM_UP_SHARE, options)
        return seconds
    probe = PROBE_REQUESTS["floor"] + PROBE_REQUESTS["per_stream"] * depth
    rate = load(servers, test, depth, probe, options)["throughput_per_s"]
    rate = load(servers, test, depth, max(probe, int(rate * seconds * WARM_UP_SHARE)),
                options)["throughput_per_s"]
    return max(probe, int(rate * seconds))


def measure(servers, test, depth, round_number, options):
    amount = warm_up(servers, test, depth, options)
    leader_before, followers_before = servers.processor_seconds()
    result = load(servers, test, depth, amount, options)
    leader, followers = servers.processor_seconds()
    each_us = 1e6 / result["operations"]
    others = max(1, len(servers.processes) - 1)
    return {"server": servers.kind, "test": test, "depth": depth, "round": round_number, **result,
            "leader_cpu_us": (leader - leader_before) * each_us,
            "follower_cpu_us": (followers - followers_before) * each_us / others,
            "nodes": len(servers.processes), "load_average": os.getloadavg()[0]}


def populate(servers, options):
    """Every key once; etcd's one key is there already."""
    if servers.kind != "etcd":
        run_weir_bench(servers.port, "set", 64, None, options,
                       ("--operations", str(KEYS), "--distribution", "sequential"))


def led_throughout(servers, work, *arguments):
    """What `work` returns; LeaderChanged if another was elected, whatever else went wrong."""
    try:
        return work(*arguments)
    finally:
        servers.check_leader()


def run_session(kind, round_number, output, options):
    """All measurements of one round with one kind of server; again, if another was elected."""
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return run_session_once(kind, round_number, output, options)
        except compare_servers.LeaderChanged as change:
            if attempt == ATTEMPTS_MAX:
                raise
            print(f"compare: again: {str(change).splitlines()[0]}", file=sys.stderr)
    raise AssertionError("the last attempt returns or raises")


def run_session_once(kind, round_number, output, options):
    runs = []
    with compare_servers.make(kind, os.path.join(output, "scratch"), options) as servers:
        led_throughout(servers, populate, servers, options)
        for depth in options["streams" if kind == "etcd" else "depths"]:
            for test in options["tests"]:
                if kind == "weir3:lease" and test != "get":
                    continue
                progress(f"round {round_number + 1} of {options['rounds']}: {kind}, {test}, "
                         f"depth {depth}")
                runs.append(led_throughout(servers, measure, servers, test, depth, round_number,
                                           options))
    return runs


# ---- the whole -------------------------------------------------------------------------------

def client_text(options):
    if options["client"] == "weir":
        return f"weir bench, {CONNECTIONS} connections"
    return f"redis-benchmark -c {CONNECTIONS} -r {KEYS} -d {VALUE_BYTES}"


def write_results(output, host, options, disk, runs):
    def write(name, text):
        with open(os.path.join(output, name), "w", encoding="utf-8") as file:
            file.write(text)

    rows = cluster_report.summarize(runs)
    aims = cluster_report.aims(runs)
    loads = sorted(run["load_average"] for run in runs)
    note = (f"{host['cpu']}, {host['cpus']} CPUs, Linux {host['kernel']}, {host['date']}, "
            f"{client_text(options)}" + ("; TOO SHORT TO MEAN ANYTHING" if SHORT else ""))
    versions = f"Redis {host['redis']}, etcd {host['etcd']}; load average {loads[0]:.1f} to " \
               f"{loads[-1]:.1f} (the measured servers and their client make some 2 of it)"
    table = (note + "\n" + versions + "\n" + disk_text(disk) + "\n" +
             cluster_report.table_text(rows) + "\n" + cluster_report.aims_text(aims))
    summary = {"host": host, "options": options, "disk": disk, "rows": rows, "aims": aims,
               "load_average": [loads[0], loads[-1]], "short": SHORT}
    write("runs.json", json.dumps({"host": host, "options": options, "disk": disk, "runs": runs},
                                  indent=1) + "\n")
    write("summary.json", json.dumps(summary, indent=1) + "\n")
    write("table.txt", table)
    for name, drawing in cluster_report.charts(rows, note):
        write(f"{name}.svg", chart.draw(drawing))
    return table, summary


def etcd_version(options):
    try:
        done = subprocess.run([find_program("etcd", options), "--version"], capture_output=True,
                              text=True, check=False)
    except Failure:
        return "not installed"
    return done.stdout.partition("etcd Version:")[2].split("\n")[0].strip() or "unknown"


def compare(options):
    choose_servers(options)
    output = os.path.abspath(options["output"] or os.path.join(
        ROOT, "build", "compare", time.strftime("cluster-%Y%m%d-%H%M%S")))
    os.makedirs(output, exist_ok=True)
    host, runs = {**describe_host(), "etcd": etcd_version(options)}, []
    disk = probe_disk(output, options)
    result = None
    try:
        for round_number in range(options["rounds"]):
            for kind in options["servers"]:
                runs += run_session(kind, round_number, output, options)
    finally:
        progress("")
        if runs:
            result = write_results(output, host, options, disk, runs)
    table, summary = result
    if options["json"]:
        print(json.dumps(summary))
    else:
        print(table + f"\nall runs and charts: {output}")


def main(arguments):
    if "--help" in arguments or "-h" in arguments:
        print(__doc__.strip())
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that servers are stopped
    try:
        compare(parse_arguments(arguments))
    except UsageError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    except Failure as failure:
        print(f"compare: {failure}", file=sys.stderr)
        return 1
    return 0
