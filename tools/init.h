#ifndef WEIR_TOOLS_INIT_H
#define WEIR_TOOLS_INIT_H

/*
 * weir init: writes the files of a cluster (tools/init_cluster.h), and creates the data directory
 * of a node.
 *
 *     weir init --cluster NAME --members 1=HOST:PORT,2=HOST:PORT,3=HOST:PORT --out DIR
 *     weir init --config FILE
 *     weir init --data DIR --cluster NAME --id N --members 1=HOST:PORT,2=HOST:PORT
 *
 * Nothing else gives a node its identity: a node that lost its disk and found an empty directory
 * must not begin to vote under its old name (storage/identity.h).  Blocks; exit status 0, 1 (the
 * directory holds something already, is locked, or cannot be written), 2 (usage).
 */
int init_main(int argc, char **argv);

#endif
