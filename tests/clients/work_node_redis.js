// What clients.py does with node-redis, Debian's and npm's: work_node_redis.js PORT [MODULE
// [RESP]].
// Version 4 speaks RESP 2 only; version 5 is also asked to speak RESP 3.
'use strict';

const assert = require('assert');
const [, , port, module_name = 'redis', resp] = process.argv;
const { createClient } = require(module_name);

async function work() {
    const client = createClient({
        socket: { host: '127.0.0.1', port: Number(port) }, name: 'work',
        ...(resp && { RESP: Number(resp) }),
    });
    client.on('error', (error) => { throw error; });
    await client.connect();
    assert.strictEqual(await client.ping(), 'PONG');
    assert.strictEqual(await client.set('key', 'value'), 'OK');
    assert.strictEqual(await client.get('key'), 'value');
    assert.strictEqual(await client.get('none'), null);
    assert.strictEqual(await client.set('key', 'other', { NX: true }), null);
    assert.strictEqual(await client.incrBy('counter', 7), 7);
    assert.strictEqual(await client.append('key', '!'), 6);
    await client.mSet({ a: '1', b: '2' });
    assert.deepStrictEqual(await client.mGet(['a', 'none', 'b']), ['1', null, '2']);
    assert.strictEqual(await client.set('brief', 'x', { EX: 100 }), 'OK');
    assert.ok((await client.ttl('brief')) > 90);
    const replies = await Promise.all(Array.from({ length: 1000 }, (_, number) =>
        client.set(`pipeline:${number}`, `${number}`).then(
            () => client.get(`pipeline:${number}`))));
    replies.forEach((reply, number) => assert.strictEqual(reply, `${number}`));
    const keys = [];
    for await (const found of client.scanIterator({ MATCH: 'pipeline:*', COUNT: 100 })) {
        keys.push(...[].concat(found));
    }
    assert.strictEqual(new Set(keys).size, 1000);
    assert.strictEqual(await client.clientGetName(), 'work');
    assert.ok((await client.clientId()) > 0);
    assert.match(await client.info('server'), /redis_version/);
    assert.match(await client.sendCommand(['CLIENT', 'INFO']), new RegExp(` resp=${resp || 2} `));
    await assert.rejects(client.sendCommand(['NONSENSE']), /unknown command/);
    await assert.rejects(client.incr('key'), /not an integer/);
    const other = client.duplicate();
    await other.connect();
    assert.strictEqual(await other.get('a'), '1');
    await other.quit();
    await client.flushAll();
    assert.strictEqual(await client.dbSize(), 0);
    await client.quit();
}

work().then(() => console.log('done'), (error) => {
    console.error(error);
    process.exit(1);
});
