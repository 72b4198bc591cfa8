// What clients.py does with ioredis: work_ioredis.js PORT. Its ready check reads INFO.
'use strict';

const assert = require('assert');
const Redis = require('ioredis');

async function work(port) {
    const client = new Redis({ port, connectionName: 'work', retryStrategy: null });
    assert.strictEqual(await client.set('key', 'value', 'EX', 100), 'OK');
    assert.strictEqual(await client.get('key'), 'value');
    assert.ok((await client.ttl('key')) > 90);
    assert.strictEqual(await client.incr('counter'), 1);
    await client.mset({ a: '1', b: '2' });
    assert.deepStrictEqual(await client.mget('a', 'none', 'b'), ['1', null, '2']);
    const pipeline = client.pipeline();
    for (let number = 0; number < 1000; number++) {
        pipeline.set(`pipeline:${number}`, number).get(`pipeline:${number}`);
    }
    const replies = await pipeline.exec();
    assert.strictEqual(replies.length, 2000);
    replies.forEach(([error, reply], index) => {
        assert.strictEqual(error, null);
        assert.strictEqual(reply, index % 2 ? `${(index - 1) / 2}` : 'OK');
    });
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    await client.set('binary', bytes);
    assert.ok(bytes.equals(await client.getBuffer('binary')));
    const [cursor, keys] = await client.scan(0, 'MATCH', 'pipeline:*', 'COUNT', 100000);
    assert.strictEqual(cursor, '0');
    assert.strictEqual(keys.length, 1000);
    assert.strictEqual(await client.client('GETNAME'), 'work');
    await assert.rejects(client.call('NONSENSE'), /unknown command/);
    await assert.rejects(client.incr('key'), /not an integer/);
    assert.strictEqual(await client.quit(), 'OK');
}

work(Number(process.argv[2])).then(() => console.log('done'), (error) => {
    console.error(error);
    process.exit(1);
});
