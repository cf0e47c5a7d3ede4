/** What `import … from 'torero'` gives: a tracker, a peer and a client that find each other in one program. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import * as torero from '../../src/index.js';
import { mp3Bytes } from '../support/mp3.js';
import { tempFolder } from '../support/temp-folder.js';
import { until } from '../support/until.js';

t.test('a tracker, a hosting peer and a client, by a few lines each', async t => {
  const folder = await tempFolder(t);
  const music = join(folder, 'music');
  await mkdir(music);
  const bytes = mp3Bytes({ title: 'Blue Moon', artist: 'The Band', seconds: 2 });
  await writeFile(join(music, 'a.mp3'), bytes);

  const tracker = torero.openTracker({ host: '127.0.0.1', port: 0 });
  const { port } = await tracker.start();
  t.teardown(() => tracker.stop());
  const peer = torero.openPeer({
    tracker: `127.0.0.1:${port}`,
    library: [music],
    dataDir: join(folder, 'data'),
  });
  t.teardown(() => peer.stop());
  await peer.start();
  await peer.settled();

  const client = torero.openClient({ tracker: { host: '127.0.0.1', port } });
  t.teardown(() => client.close());
  const [song] = await until('the song is listed', async () => {
    const songs = await client.list();
    return songs.length > 0 && songs;
  });
  t.match(song, { title: 'Blue Moon', artist: 'The Band' });
  t.match(await client.find('moon'), [{ id: song!.id, size: bytes.length }]);
  t.match(await client.info(song!.id), { size: bytes.length });
  await t.rejects(client.info(99), { code: 'no-such-song' });
  await t.rejects(client.info(0), { code: 'no-such-song' }, 'not the first of all');

  const stream = client.fetch(song!);
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  t.ok(Buffer.concat(chunks).equals(bytes));
  t.match(stream.report(), { verified: true, failed: [] });
  const rest: Uint8Array[] = [];
  for await (const chunk of client.fetch(song!, 1_000)) rest.push(chunk);
  t.ok(Buffer.concat(rest).equals(bytes.subarray(1_000)));
});

t.test('a tracker that is stopped while it starts does not go on, and starts once', async t => {
  const tracker = torero.openTracker({ host: '127.0.0.1', port: 0 });
  t.teardown(() => tracker.stop());
  const starting = tracker.start();
  await tracker.stop();
  const early = torero.openClient({ tracker: { host: '127.0.0.1', port: (await starting).port } });
  await t.rejects(early.list(), { name: 'TransportError' });
  const [one, two] = await Promise.all([tracker.start(), tracker.start()]);
  t.same(one, two);
  await tracker.stop();
  const late = torero.openClient({ tracker: { host: '127.0.0.1', port: one.port } });
  await t.rejects(late.list(), { name: 'TransportError' });
});

t.test('a peer that was stopped does not start: nobody could stop it any more', async t => {
  const peer = torero.openPeer({ tracker: '127.0.0.1:1', dataDir: await tempFolder(t) });
  await peer.stop();
  await t.rejects(peer.start(), { name: 'LocalProtocolError' });
});

t.test('an address that is none is said at once', async t => {
  t.throws(() => torero.openClient({ tracker: 'a b c' }), { name: 'ConfigError' });
  t.throws(() => torero.openPeer({ tracker: ':::', dataDir: '/tmp' }), { name: 'ConfigError' });
});

t.test('the protocol is there too: a message there and back', async t => {
  const framer = new torero.Framer();
  framer.push(torero.encode({ type: 'FIND', words: 'moon' }));
  t.match(framer.next(), { kind: 'message', message: { type: 'FIND', words: 'moon' } });
  t.equal(torero.describe({ type: 'PLAY', song: 10 as torero.SongId }), 'PLAY 10');
  t.match(torero.version(), /^\d+\.\d+\.\d+/);
});
