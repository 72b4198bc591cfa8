#ifndef WEIR_BENCH_LOAD_H
#define WEIR_BENCH_LOAD_H

/*
 * `weir bench`: a load generator for any server that speaks RESP.
 *
 * Closed loop (the default): each of C connections sends P requests at once and the next P when all
 * of them are answered, as redis-benchmark does. The server sets the pace; a slow moment of the
 * server also slows the questions down, so latencies of a closed loop flatter a server that stalls.
 *
 * Open loop (--rate N): requests are meant to be sent on a schedule that does not look at the
 * server (bench/schedule.h), each on the next connection with fewer than P requests unanswered.
 * Latency counts from the intended moment. A rate that was not held is said, and is a failure.
 *
 * A request that is never answered enters the latencies with the time waited for it, so losing
 * requests cannot make a percentile look better.
 *
 * One thread by default, because the load generator usually shares a small machine with the server:
 * a thread has its own epoll set, connections, histogram and schedule, and shares with the others
 * only the moment of the last reply and the end of the run.
 */

/*
 * Runs the command. argv[0] is the command's own name; the results go to standard output, progress
 * (on a terminal only) and errors to standard error. Blocks until the run is over; a first SIGINT
 * ends it early, with a report.
 *
 * Returns the exit status: 0, every request was answered without an error and the rate was held;
 * 1, the server could not be reached, requests failed, or the rate was missed; 2, wrong usage.
 */
int load_main(int argc, char **argv);

#endif
