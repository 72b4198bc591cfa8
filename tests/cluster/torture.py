#!/usr/bin/env python3
"""A cluster of real processes under faults, with its clients' histories judged.

    torture.py [--faults LIST] [--seconds N] [--seed N] [--nodes N] [--round-seconds N]
               [--kills N] [--snapshots] [--leases] [--keep DIR] [--only NAME[,NAME...]]
    torture.py --list

Faults of the lists processes, network, disks, together (or all) befall a cluster in an order drawn
from the seed, until the time is over; then the cluster is compared with itself and with what its
clients were told (weir check-history). A long run is made of rounds, each with a new cluster, of
three nodes or five. The seed repeats the schedule: which faults, in which order, how long, upon
which role; not what the processes and the clients make of it.

    --kills N      goes on, with kills alone, until so many SIGKILLs were sent
    --snapshots    in every round; otherwise in every other one of a long run
    --leases       lease reads in every round; otherwise in a third of those of a long run
    --keep DIR     histories and what the nodes said are put there, a directory a round
    --only NAMES   these faults alone, in this order, once
    --durability write --expect-loss    nothing is synced, and the run fails unless the checker
                   finds that acknowledged writes are lost: for --only power_all,power_all
"""

import argparse
import itertools
import os
import random
import sys
import time

import faults_disks
import faults_limits
import faults_together
import faults_network
import faults_processes
from limits import missing, remove_stale_groups
from netns import enter
from weir_test import Scratch, skip
from world import World

LISTS = {"processes": faults_processes.FAULTS + faults_limits.FAULTS,
         "network": faults_network.FAULTS, "disks": faults_disks.FAULTS,
         "together": faults_together.FAULTS}
ROUND_S = 180
KILLS = ("kill_leader", "kill_follower", "kill_all", "restart_storm")


def chosen(arguments):
    """The scenarios to draw from, or those that --only names in that order."""
    if arguments.only:
        byname = {scenario.name: scenario for each in LISTS.values() for scenario in each}
        return [byname[name] for name in arguments.only.split(",")]
    names = list(LISTS) if arguments.faults == "all" else arguments.faults.split(",")
    return [scenario for name in names for scenario in LISTS[name]]


def possible(scenarios):
    """Those that this machine can do; it tells of the others."""
    reasons = {scenario.name: missing(scenario.needs) if scenario.needs else None
               for scenario in scenarios}
    for name, reason in reasons.items():
        if reason is not None:
            print(f"skipped: {name}: {reason}", flush=True)
    found = [scenario for scenario in scenarios if reasons[scenario.name] is None]
    if not found:
        skip("no fault of those that were asked for can be had here")
    return found


def schedule(scenarios, rng):
    """All of them in random order, and again in another one, without end."""
    while True:
        yield from rng.sample(scenarios, len(scenarios))


class Run:
    def __init__(self, arguments):
        self.arguments = arguments
        self.scenarios = possible(chosen(arguments))
        self.end = time.monotonic() + arguments.seconds
        self.is_long = arguments.seconds > ROUND_S
        self.kills = 0
        self.played = {}

    def over(self):
        return time.monotonic() > self.end

    def round(self, number):
        """One cluster, from its start to the verdict."""
        seed = f"{self.arguments.seed} {number}"
        rng = random.Random(seed)
        count = self.arguments.nodes or (rng.choice([3, 3, 5]) if self.is_long else 3)
        snapshots = self.arguments.snapshots or (self.is_long and number % 2 == 1)
        leases = self.arguments.leases or (self.is_long and rng.random() < 1 / 3)
        order = self.scenarios if self.arguments.only else schedule(self.fitting(count), rng)
        with Scratch() as scratch, \
                World(scratch, seed, count, snapshots, leases, self.arguments.durability) as world:
            try:
                return self.play(world.start(), order)
            finally:
                if self.arguments.keep:
                    world.keep(f"{self.arguments.keep}/round-{number}")

    def fitting(self, count):
        """Those for so many nodes, and for what is left of the time."""
        found = [scenario for scenario in self.scenarios if scenario.nodes <= count and
                 (self.is_long or scenario.takes == "short")]
        if self.over():
            found = [scenario for scenario in found if scenario.name in KILLS]
        assert found, "no fault fits"
        return found

    def play(self, world, order):
        is_last = self.over()  # then it is about kills
        end = time.monotonic() + self.arguments.round_seconds
        for index, scenario in enumerate(order):
            world.play(scenario, index)
            self.played[scenario.name] = self.played.get(scenario.name, 0) + 1
            enough = self.kills + world.kills >= self.arguments.kills
            if not self.arguments.only and time.monotonic() > end or \
                    (self.over() and not is_last) or (is_last and enough):
                break
        self.kills += world.kills
        return world.finish(may_lose=self.arguments.expect_loss)

    def run(self):
        for number in itertools.count():
            status = self.round(number)
            if self.arguments.expect_loss and status == 1:
                print("lost, as was to be expected")
                return 0
            if self.arguments.only or (self.over() and self.kills >= self.arguments.kills):
                break
        print(f"{self.kills} SIGKILLs; played: " +
              ", ".join(f"{name} {count}" for name, count in sorted(self.played.items())))
        return 1 if self.arguments.expect_loss else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--faults", default="all")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--round-seconds", type=float, default=ROUND_S)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--nodes", type=int, choices=range(3, 8))
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--snapshots", action="store_true")
    parser.add_argument("--leases", action="store_true")
    parser.add_argument("--durability", default="fsync")
    parser.add_argument("--expect-loss", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--keep", default=os.environ.get("WEIR_CLUSTER_KEEP"))
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        for name, scenarios in LISTS.items():
            for scenario in scenarios:
                print(f"{name:9}  {scenario.name}: {scenario.what}: {scenario.holds}"
                      f"{' (%d nodes)' % scenario.nodes if scenario.nodes > 3 else ''}")
        return 0
    enter()
    remove_stale_groups()
    print(f"seed {arguments.seed}", flush=True)
    return Run(arguments).run()


if __name__ == "__main__":
    sys.exit(main())
