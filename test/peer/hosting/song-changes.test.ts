/**
 * Files that change, vanish or fail while they are sent: no foreign byte ever leaves, and nothing broken looks whole.
 */
import { once } from 'node:events';
import { appendFile, open, rename, truncate, unlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import t from 'tap';
import { queueKey, readSendQueues } from '../../../peer/hosting/send-queues.js';
import { encode } from '../../../protocol/tsp/codec.js';
import { hostSongs, MIB, over, play, range, songBytes, watchedFiles } from '../../support/hosted-songs.js';
import { connectTsp } from '../../support/tsp-client.js';
import { until } from '../../support/until.js';

// The six ways in which a file can change while it is sent. A slow listener has the first bytes when it happens.
const CHANGES: readonly [how: string, change: (path: string, foreign: Buffer) => Promise<unknown>][] = [
  ['truncated', path => truncate(path, 100_000)],
  ['appended to', (path, foreign) => appendFile(path, foreign)],
  ['overwritten in place', (path, foreign) => overwrite(path, foreign)],
  ['truncated and written anew', (path, foreign) => writeFile(path, foreign)],
  [
    'replaced by rename',
    async (path, foreign) => {
      await writeFile(`${path}.new`, foreign);
      await rename(`${path}.new`, path);
    },
  ],
  ['removed', path => unlink(path)],
];

async function overwrite(path: string, foreign: Buffer): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(foreign, 0, foreign.length, 0);
  await file.close();
}

for (const [how, change] of CHANGES) {
  for (const cacheBytes of [0, 64 * MIB]) {
    t.test(
      `no foreign byte leaves when the file is ${how} mid-song, ${cacheBytes === 0 ? 'without' : 'with'} a cache`,
      async t => {
        const bytes = songBytes(12 * MIB);
        const host = await hostSongs(t, { 1: bytes }, { cacheBytes });
        const { path, hash } = host.songs.get(1)!;
        const client = connect({ host: '127.0.0.1', port: host.port });
        t.teardown(() => client.destroy());
        await once(client, 'connect');
        const endpoints = { localPort: host.port, remotePort: client.localPort! };
        const chunks: Buffer[] = [];
        client.on('data', chunk => chunks.push(chunk)).on('error', () => {});
        client.write(encode(play(1)));
        await once(client, 'data');
        client.pause();
        await change(path, songBytes(12 * MIB, 99));
        client.resume();
        await until(
          'all has come, or the connection is reset',
          () => client.destroyed || client.bytesRead === bytes.length + 9,
        );
        const received = Buffer.concat(chunks).subarray(9);
        t.ok(received.equals(bytes.subarray(0, received.length)), 'what came is the song');
        if (received.length < bytes.length && process.platform === 'linux') {
          // A side that closes in good order first is remembered by the kernel for a minute; a reset leaves nothing.
          t.notOk((await readSendQueues()).has(queueKey(endpoints)), 'it ended in a reset');
        }

        const late = await connectTsp(t, host.port);
        late.send(play(1));
        const answer = await late.next();
        if (answer.type === 'ERROR') t.match(answer, { error: { code: 'song-changed' } });
        else t.ok((answer as unknown as { payload: Buffer }).payload.equals(bytes));
        t.ok(host.rechecked.includes(hash), 'the library is told');
      },
    );
  }
}

t.test('a file that changed before it was asked for is song-changed', async t => {
  for (const [how, change] of CHANGES) {
    const host = await hostSongs(t, { 1: songBytes(200_000) });
    const { path, hash } = host.songs.get(1)!;
    await change(path, songBytes(200_000, 99));
    const client = await connectTsp(t, host.port);
    client.send(play(1), range(1, 0, 0, hash));
    t.match(await client.receive('ERROR'), { error: { code: 'song-changed' } }, how);
    t.match(await client.receive('ERROR'), { error: { code: 'song-changed' } }, how);
    t.ok(host.rechecked.includes(hash));
  }
});

t.test('out of descriptors: unavailable, and the song plays when there are some again', async t => {
  let open = 0;
  let allowed = 0;
  const emfile = () => Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
  const files = watchedFiles(step => {
    if (step === 'open' && open >= allowed) throw emfile();
    if (step === 'opened') open += 1;
    if (step === 'close') open -= 1;
  });
  const host = await hostSongs(t, { 1: songBytes(5_000, 1), 2: songBytes(6_000, 2) }, { files });
  const client = await connectTsp(t, host.port);
  client.send(play(1));
  t.match(await client.receive('ERROR'), { error: { code: 'unavailable', retryAfterMs: Number } });
  allowed = 1;
  client.send(play(1), play(2), play(1));
  t.equal((await client.receive('SONG_DATA')).length, 5_000);
  t.equal((await client.receive('SONG_DATA')).length, 6_000, 'an idle descriptor makes room');
  t.equal((await client.receive('SONG_DATA')).length, 5_000);
  await host.server.stop();
  t.equal(open, 0);
});

t.test('a disk that fails before the first byte is internal, after it a reset', async t => {
  let reads = 0;
  let failFrom = 1;
  const files = watchedFiles(step => {
    if (step !== 'read') return;
    reads += 1;
    if (reads >= failFrom) throw Object.assign(new Error('EIO'), { code: 'EIO' });
  });
  const host = await hostSongs(t, { 1: songBytes(3 * MIB) }, { files });
  const client = await connectTsp(t, host.port);
  client.send(play(1));
  t.match(await client.receive('ERROR'), { error: { code: 'internal', type: 0x03 } });
  failFrom = reads + 3;
  client.send(play(1));
  await over(client);
  // A reset that comes behind data is an end to Node; who writes after it learns the truth.
  client.write('\x05\0\0\0\0');
  client.end();
  t.equal(await client.closed, 'reset');
  t.match(host.logger.messages('error'), [/could not be answered/, /an answer failed/]);
});
