#ifndef WEIR_RAFT_MUTANT_H
#define WEIR_RAFT_MUTANT_H

/*
 * Planted defects.
 *
 * A test that was never seen to fail proves nothing.  MUTANT(number, wrong, right) is `right`
 * everywhere but in the build with -DRAFT_MUTANT=number, made for one purpose: tests/raft/mutants
 * builds the core once per number and demands that the tests of the core fail.  In every other
 * build the macro leaves no trace.  The numbers stand in tests/raft/mutants.txt, each with what it
 * breaks.
 */

#ifndef RAFT_MUTANT
#define RAFT_MUTANT 0
#endif

/* `wrong` if the number was chosen at compile time, otherwise `right`. */
#define MUTANT(number, wrong, right) (RAFT_MUTANT == (number) ? (wrong) : (right))

#endif
