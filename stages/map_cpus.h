#ifndef WEIR_STAGES_MAP_CPUS_H
#define WEIR_STAGES_MAP_CPUS_H

/*
 * Where the CPUs of a process come from.
 *
 * The affinity mask says on which CPUs a thread may run, the cgroup's quota how many CPUs' worth
 * of time all threads together get.  A container usually has the second only: it sees all CPUs
 * of its host and is stopped for the rest of each period when it used them.
 *
 *   cgroup v2   cpu.max in the group and in each of its ancestors: "<quota> <period>" or
 *               "max <period>", microseconds
 *   cgroup v1   cpu.cfs_quota_us (-1: none) and cpu.cfs_period_us, likewise
 *
 * The group is named by /proc/self/cgroup ("0::/path" for v2, "3:cpu,cpuacct:/path" for v1), as
 * seen from the host's root or from the container's; where that path is not mounted, only the
 * mount's root is looked at, which is the group itself in a container.  The smallest quota on the
 * way from the group to the root counts.
 *
 * Start-up; these are the only system calls under stages/ that are not made by io/.
 */

/* CPUs' worth of time that the cgroup grants, or 0 if it sets no limit (or there is none to be
 * read).  `root` stands in front of /proc and /sys: "" but in tests.  Blocks. */
double map_quota_read(const char *root);

#endif
