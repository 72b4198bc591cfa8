// What work_kill.py does, with the cluster class of ioredis, which itself sends again what was
// under way on a connection that was closed, with a pause: work_kill.js PORT...
'use strict';

const assert = require('assert');
const Redis = require('ioredis');

const LIMIT_MS = 30000;
const ports = process.argv.slice(2).map(Number);
let ends = false;
process.stdin.on('data', () => {}).on('end', () => { ends = true; });

async function work() {
    const client = new Redis.Cluster(ports.map((port) => ({ host: '127.0.0.1', port })));
    client.on('error', () => {}); // of a connection; who asked is told by his promise
    let acked = 0;
    let silentSince = Date.now();
    while (!ends) {
        try {
            const counted = await client.incr('counter');
            assert(acked < counted, `${acked} ${counted}`);
            acked = counted;
            assert.strictEqual(Number(await client.get('counter')), acked);
            console.log(`acked ${acked}`);
            silentSince = Date.now();
        } catch (error) {
            if (error instanceof assert.AssertionError) {
                throw error;
            }
            console.log(`again after ${error.constructor.name}: ${error.message}`);
            assert(Date.now() - silentSince < LIMIT_MS, error);
        }
    }
    const last = Number(await client.get('counter'));
    assert(acked <= last);
    console.log(`done ${last}`);
    process.exit(0);
}

work().catch((error) => {
    console.error(error);
    process.exit(1);
});
