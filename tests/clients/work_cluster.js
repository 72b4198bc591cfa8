// What clients.py does with the cluster classes of npm's clients: work_cluster.js PORT MODULE
// [RESP].
'use strict';

const assert = require('assert');
const [, , text, module_name, resp] = process.argv;
const port = Number(text);

// Reads may go to replicas: there are none.
async function connect() {
    if (module_name === 'ioredis') {
        const Redis = require(module_name);
        return new Redis.Cluster([{ host: '127.0.0.1', port }], {
            clusterRetryStrategy: null, scaleReads: 'all',
        });
    }
    const client = require(module_name).createCluster({
        rootNodes: [{ socket: { host: '127.0.0.1', port } }], useReplicas: true,
        ...(resp && { RESP: Number(resp) }),
    });
    client.on('error', (error) => { throw error; });
    await client.connect();
    return client;
}

async function work() {
    const client = await connect();
    await Promise.all(Array.from({ length: 1000 }, async (_, number) => {
        assert.strictEqual(await client.set(`key:${number}`, `${number}`), 'OK');
        assert.strictEqual(await client.get(`key:${number}`), `${number}`);
    }));
    assert.strictEqual(await client.incr('counter'), 1);
    assert.strictEqual(await client.set('word', 'x'), 'OK');
    await assert.rejects(client.incr('word'), /not an integer/);
    await client.quit();
}

work().then(() => console.log('done'), (error) => {
    console.error(error);
    process.exit(1);
});
