// Sessions to be recorded: session_node.js PORT ioredis | redis. Nothing waits for time.
'use strict';

const [, , port, name] = process.argv;

async function ioredis(Redis) {
    const client = new Redis({ port, connectionName: 'work', retryStrategy: null });
    await client.set('key', 'value', 'EX', 100000);
    await client.get('key');
    await client.ttl('key');
    await client.incr('counter');
    await client.mset({ a: '1', b: '2' });
    await client.mget('a', 'none', 'b');
    const pipeline = client.pipeline();
    for (let number = 0; number < 100; number++) {
        pipeline.set(`pipeline:${number}`, number).get(`pipeline:${number}`);
    }
    await pipeline.exec();
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    await client.set('binary', bytes);
    await client.getBuffer('binary');
    await client.scan(0, 'MATCH', 'pipeline:*', 'COUNT', 100000);
    await client.client('GETNAME');
    await client.call('NONSENSE').catch(() => {});
    await client.incr('key').catch(() => {});
    await client.quit();
}

async function node_redis({ createClient }) {
    const socket = { host: '127.0.0.1', port: Number(port) };
    const client = createClient({ socket, name: 'work' });
    await client.connect();
    await client.ping();
    await client.set('key', 'value');
    await client.get('none');
    await client.set('key', 'other', { NX: true });
    await client.incrBy('counter', 7);
    await client.append('key', '!');
    await client.mSet({ a: '1', b: '2' });
    await client.mGet(['a', 'none', 'b']);
    await client.set('brief', 'x', { EX: 100000 });
    await client.ttl('brief');
    await Promise.all(Array.from({ length: 100 }, (_, number) =>
        client.set(`pipeline:${number}`, `${number}`).then(
            () => client.get(`pipeline:${number}`))));
    await client.clientGetName();
    await client.clientId();
    await client.info('server');
    await client.incr('key').catch(() => {});
    const other = client.duplicate();
    await other.connect();
    await other.get('a');
    await other.quit();
    await client.flushAll();
    await client.dbSize();
    await client.quit();
}

const module_of = require(name);
(name === 'ioredis' ? ioredis : node_redis)(module_of).catch((error) => {
    console.error(error);
    process.exit(1);
});
