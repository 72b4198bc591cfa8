/*
 * The doorbell of queues/doorbell.h on a processor with store buffers, as x86 has them.
 *
 * A store goes into its processor's own buffer, first in first out, and some time later, when
 * process Buffer moves it, to memory, where others see it. A load goes to memory at once: so it
 * may be done before an earlier store of the same process is seen. (Nobody here loads what it
 * stored itself, except by an exchange, so loads need not look into the own buffer.) A fence
 * and a locked instruction, as the exchange is, wait until the own buffer is empty. membarrier
 * does that to its caller and then to every other process, one after the other, each at a moment
 * of its own.
 *
 * PRODUCERS producers, each with a ring of its own to the one consumer, enqueue ITEMS items each:
 * store tail, barrier, load sleeping; if it is 1, exchange; who gets the 1 wakes. The consumer
 * takes what it finds until it has everything; when it finds nothing it stores sleeping, barrier,
 * looks again, parks if there is still nothing, finishes. Wakes are sticky (a token).
 *
 * Checked in every interleaving:
 *   - no invalid end state: the consumer leaves only with all items, so a state in which nothing
 *     can go on is a lost wake-up, a consumer asleep beside a full ring.
 *   - no more wakes than sleeps. (At most one wake a sleep: the exchange.)
 *   - at the end `sleeping` is 0.
 *
 * Variants, and what must come of them (tests/models/run.sh holds them to it):
 *   FENCE        both sides fence                                  holds
 *   MEMBARRIER   the consumer calls membarrier, producers nothing  holds
 *   (none)       no barrier                                        a lost wake-up
 *   HALF         only the consumer fences                          a lost wake-up
 *   FENCE NO_RECHECK   the consumer does not look again            a lost wake-up
 *   FENCE NO_EXCHANGE  producers store 0 in place of exchanging    a lost wake-up: the 0 of one
 *                sleep, late in its buffer, erases the 1 of the next; and two wakes for one sleep
 *   NO_BUFFERS   no barrier, and stores go straight to memory      holds, and is wrong: what a
 *                model without store buffers would have told us about a doorbell without barriers
 */

#define PRODUCERS 2
#define ITEMS     2
#define CONSUMER  PRODUCERS
#define PROCESSES (PRODUCERS + 1)

/* Memory: the tail of each producer's ring, then `sleeping`. No ring becomes full, so the heads,
 * which only a full ring makes anybody look at, stay the consumer's own. */
#define SLEEPING PRODUCERS
byte memory[PRODUCERS + 1];

byte sleeps;   /* times the consumer said that it sleeps */
byte wakes;    /* times it was woken */
bool token;    /* a wake that no park has taken yet */
byte received; /* items */

#ifdef NO_BUFFERS

#define STORE(self, address, value) memory[address] = value
#define DRAINED(self)               true

#else

chan buffer[PROCESSES] = [2] of { byte, byte }; /* address, value */
#define STORE(self, address, value) buffer[self] ! address, value
#define DRAINED(self)               empty(buffer[self])

/* One processor's buffer: moves its oldest store to memory, whenever it likes. */
active [PROCESSES] proctype Buffer() {
    byte address, value;
end_idle:
    do
    :: atomic { buffer[_pid] ? address, value -> memory[address] = value }
    od
}

#endif

/* What stands between the store and the load of each side. */
inline producer_barrier(self) {
#if defined(FENCE)
    DRAINED(self)
#else
    skip
#endif
}

inline consumer_barrier() {
#if defined(FENCE) || defined(HALF)
    DRAINED(CONSUMER)
#elif defined(MEMBARRIER)
    DRAINED(CONSUMER);
    other = 0;
    do
    :: other < PRODUCERS -> DRAINED(other); other++
    :: else -> break
    od
#else
    skip
#endif
}

proctype Producer(byte self) {
    byte tail;
    bool rings;
    do
    :: tail == ITEMS -> break
    :: else ->
        tail++;
        STORE(self, self, tail);
        producer_barrier(self);
        if
        :: memory[SLEEPING] == 0 -> skip
        :: else ->
#ifdef NO_EXCHANGE
            STORE(self, SLEEPING, 0);
            rings = true;
#else
            atomic { DRAINED(self) -> rings = (memory[SLEEPING] == 1); memory[SLEEPING] = 0 }
#endif
            if
            :: rings -> atomic { wakes++; assert(wakes <= sleeps); token = true }
            :: else -> skip
            fi
        fi
    od
}

/* Looks into one ring after the other. */
inline look() {
    found = false;
    ring = 0;
    do
    :: ring < PRODUCERS ->
        tail_seen = memory[ring];
        if
        :: tail_seen > head[ring] -> found = true; break
        :: else -> ring++
        fi
    :: else -> break
    od
}

proctype Consumer() {
    byte head[PRODUCERS];
    byte ring, tail_seen, other;
    bool found;
    do
    :: received == PRODUCERS * ITEMS -> break
    :: else ->
        look();
        if
        :: found ->
            received = received + tail_seen - head[ring];
            head[ring] = tail_seen
        :: else ->
            atomic { sleeps++; STORE(CONSUMER, SLEEPING, 1) }
            consumer_barrier();
#ifdef NO_RECHECK
            found = false;
#else
            look();
#endif
            if
            :: found -> skip
            :: else -> atomic { token -> token = false } /* park */
            fi;
            atomic { DRAINED(CONSUMER) -> memory[SLEEPING] = 0 } /* finish */
        fi
    od;
    assert(memory[SLEEPING] == 0)
}

/* After the buffers, so that buffer i is process i. */
active proctype Start() {
    atomic {
        byte self = 0;
        do
        :: self < PRODUCERS -> run Producer(self); self++
        :: else -> break
        od;
        run Consumer()
    }
}
