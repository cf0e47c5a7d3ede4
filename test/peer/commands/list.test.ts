/** The commands that only ask: list, info, find; and hash. With every way in which a tracker can fail to be one. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { runHash } from '../../../peer/commands/hash.js';
import { runFind, runInfo, runList } from '../../../peer/commands/list.js';
import type { PeerConfig } from '../../../peer/config.js';
import { exitCodeOfSignal, failureOf } from '../../../peer/failures/failure.js';
import { listenError } from '../../../peer/failures/listen-error.js';
import { DecoderError } from '../../../peer/playback/decoders/decoder.js';
import { OutputError } from '../../../peer/playback/outputs/output.js';
import { LightClient } from '../../../peer/tracker-client/light-client.js';
import {
  ConfigError,
  LocalProtocolError,
  RemoteProtocolError,
  RequestError,
  TransportError,
} from '../../../protocol/errors.js';
import { MAX_REQUEST_BYTES } from '../../../protocol/tsp/constants.js';
import type { SongId } from '../../../protocol/tsp/messages.js';
import { openWireTrace } from '../../../src/wire-trace.js';
import { within } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { songRow } from '../prompt/fake-peer.js';
import { FakeTracker, serverAt } from './fake-tracker.js';
import { configIn, failureFrom, TestWorld } from './test-world.js';

async function folder(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'torero-commands-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function setUp(t: Test, changes: Partial<PeerConfig> = {}) {
  const fake = new FakeTracker();
  fake.rows = [songRow(10, 'Blue Moon', 'Somebody'), songRow(11, 'Red Sun')];
  const tracker = await fake.start(t);
  return { fake, tracker, world: new TestWorld(), config: configIn('/nowhere', { tracker, ...changes }) };
}

t.test('list prints a table, or the songs that have the words', async t => {
  const { config, world } = await setUp(t);
  t.equal(await runList(config, { words: [] }, world), 0);
  t.same(world.lines, [
    'ID  Title      Artist    Length  Hosts',
    '10  Blue Moon  Somebody    3:07      1',
    '11  Red Sun                3:07      1',
    '2 songs.',
  ]);
  const other = new TestWorld();
  await runList(config, { words: ['red', 'sun'] }, other);
  t.match(other.stdout.text, /^11 {2}Red Sun/m);
  t.notMatch(other.stdout.text, /Blue/);
});

t.test('a long list waits for its reader, piece by piece, and leaves nobody listening', async t => {
  const { config, world, fake } = await setUp(t, { json: true });
  fake.rows = Array.from({ length: 4_000 }, (_, n) => songRow(n + 1, 'x'.repeat(200)));
  world.stdout._write = (_chunk, _encoding, done) => void setImmediate(done);
  let listening = 0;
  world.stdout.on('newListener', () => {
    listening = Math.max(listening, world.stdout.listenerCount('close'), world.stdout.listenerCount('error'));
  });
  t.equal(await runList(config, { words: [] }, world), 0);
  t.ok(listening > 0, 'it did wait');
  t.ok(listening <= 2, `${listening} at once`);
});

t.test('a signal ends the wait for a reader that reads no more', async t => {
  const { config, world, fake } = await setUp(t, { json: true });
  fake.rows = Array.from({ length: 1_000 }, (_, n) => songRow(n + 1, 'x'.repeat(200)));
  world.stdout._write = () => world.end('SIGINT');
  await within('the end', runList(config, { words: [] }, world));
  t.pass();
});

t.test('with --json list, info and find print a row a line, as on the wire', async t => {
  const { config, world, fake } = await setUp(t, { json: true });
  await runList(config, { words: [] }, world);
  await runInfo(config, { words: ['11'] }, world);
  await runFind(config, { words: ['moon'] }, world);
  t.same(
    world.lines.map(line => JSON.parse(line)),
    [...fake.rows, fake.rows[1], fake.rows[0]],
  );
});

t.test('a long list is written whole', async t => {
  const { config, world, fake } = await setUp(t, { json: true });
  fake.rows = Array.from({ length: 5_000 }, (_, index) => songRow(index + 1, `Song ${index}`));
  await runList(config, { words: [] }, world);
  t.equal(world.lines.length, 5_000);
  t.ok(world.stdout.chunks.length < 50, 'in few writes');
});

t.test('info of all, of one, of none, and of what is no ID', async t => {
  const { config, world } = await setUp(t);
  await runInfo(config, { words: [] }, world);
  t.match(world.stdout.text, /Title +Blue Moon[\s\S]*Title +Red Sun/);
  t.match(await failureFrom(runInfo(config, { words: ['99'] }, world)), {
    code: 'no-such-song',
    exitCode: 1,
  });
  for (const text of ['abc', '0', '4294967296', '-1', '1.5']) {
    t.match(
      await failureFrom(runInfo(config, { words: [text] }, world)),
      { code: 'usage', exitCode: 2 },
      text,
    );
  }
});

t.test('find that finds nothing says so and is no failure', async t => {
  const { config, world } = await setUp(t);
  t.equal(await runFind(config, { words: ['xyzzy'] }, world), 0);
  t.same(world.lines, ['No song matches “xyzzy”.']);
});

t.test('--trace-wire shows every message on stderr', async t => {
  const { config, world } = await setUp(t);
  world.trace = openWireTrace(world.stderr, world.clock);
  await runList(config, { words: [] }, world);
  t.match(world.stderr.text, /LIST[\s\S]*LIST_INFO revision 1/);
});

t.test('without a tracker the exit code is 69, and the hint says what to do', async t => {
  const closed = await serverAt(t, socket => socket.destroy());
  const world = new TestWorld();
  const gone = configIn('/nowhere', { tracker: { host: '127.0.0.1', port: 1 } });
  t.match(await failureFrom(runList(gone, { words: [] }, world)), {
    code: 'unreachable',
    exitCode: 69,
    message: 'No tracker answers: 127.0.0.1:1 refuses connections.',
    hint: /--tracker/,
  });
  const reset = configIn('/nowhere', { tracker: closed });
  t.match(await failureFrom(runList(reset, { words: [] }, world)), { exitCode: 69 });
  const unknown = configIn('/nowhere', { tracker: { host: 'no-such-host.invalid', port: 1 } });
  t.match(await failureFrom(runList(unknown, { words: [] }, world)), { exitCode: 69 });
});

t.test('what is no tracker is told apart: 69, what it says, and a hint', async t => {
  const greetings: [string, RegExp][] = [
    ['HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n', /: it says “HTTP\/1\.1 400 Bad Request”\.$/],
    ['SSH-2.0-OpenSSH_9.2p1 Debian\r\n', /“SSH-2\.0-OpenSSH_9\.2p1 De”/],
    ['220 mail.example ESMTP\r\n', /“220 mail\.example ESMTP”/],
    ['J\0\0\0\n8.0.36\0 MySQL', /“J”/],
    ['\x16\x03\x01\0\x05ELF\xff\xff\xff\xff\xff\xff', /host\.$/],
  ];
  for (const [greeting, says] of greetings) {
    const other = await serverAt(t, socket => socket.write(greeting, 'latin1'));
    const config = configIn('/nowhere', { tracker: other });
    const failure = await failureFrom(runList(config, { words: [] }, new TestWorld()));
    t.match(failure, { exitCode: 69, message: / is no Torero tracker or host/, hint: /7460/ }, greeting);
    t.match(failure.message, says);
  }
});

t.test('a tracker that stops in the middle of a message is named', async t => {
  const half = await serverAt(
    t,
    socket => void socket.once('data', () => socket.end(Buffer.from([0x81, 0]))),
  );
  const config = configIn('/nowhere', { tracker: half });
  t.match(await failureFrom(runList(config, { words: [] }, new TestWorld())), {
    exitCode: 69,
    message: `No tracker answers: 127.0.0.1:${half.port} ended the connection inside a message.`,
  });
});

t.test('find without a word is a wrong use', async t => {
  const { config, world } = await setUp(t);
  t.match(await failureFrom(runFind(config, { words: ['', ' '] }, world)), { code: 'usage', exitCode: 2 });
});

t.test('rows that are no JSON are the tracker’s fault', async t => {
  const liar = await serverAt(t, socket => {
    const payload = Buffer.from('{"id":1,\n');
    const header = Buffer.from([0x81, 0, 0, 0, 1, 0, 0, 0, payload.length]);
    socket.once('data', () => socket.write(Buffer.concat([header, payload])));
  });
  t.match(
    await failureFrom(runList(configIn('/nowhere', { tracker: liar }), { words: [] }, new TestWorld())),
    {
      code: 'bad-message',
      exitCode: 69,
    },
  );
});

t.test('a signal ends a question that waits, with the code of the signal', async t => {
  const world = new TestWorld();
  const silent = await serverAt(t, socket => void socket.once('data', () => world.end('SIGINT')));
  t.equal(await runList(configIn('/nowhere', { tracker: silent }), { words: [] }, world), 130);
});

t.test('one that came before the question ends it, too', async t => {
  const world = new TestWorld();
  let dialled = 0;
  const silent = await serverAt(t, socket => {
    dialled += 1;
    socket.destroy();
  });
  world.end('SIGINT');
  t.equal(await runList(configIn('/nowhere', { tracker: silent }), { words: [] }, world), 130);
  t.equal(dialled, 0, 'and nobody is waited for');
});

t.test('questions share a connection, and a tracker that ended it is dialled again', async t => {
  const { fake, tracker, world } = await setUp(t);
  const client = new LightClient({ tracker, clock: world.clock });
  t.teardown(() => client.close());
  const [list, info, again] = await Promise.all([client.list(), client.info(11 as SongId), client.list()]);
  t.same(
    [list.length, info.length, again.length, fake.connections, client.hostsOf({ hosts: [':7461'] })[0]],
    [2, 1, 2, 1, '127.0.0.1:7461'],
  );
  await t.rejects(client.info(5 as SongId), { code: 'no-such-song' });
  client.close();
  await client.list();
  t.equal(fake.connections, 2);
});

t.test('more questions at once than a connection holds wait for their turn', async t => {
  const { fake, tracker, world } = await setUp(t);
  const client = new LightClient({ tracker, clock: world.clock });
  t.teardown(() => client.close());
  const songs = Array.from({ length: 50 }, (_, n) => (n % 2 === 0 ? 10 : 11) as SongId);
  const answers = await Promise.all(songs.map(id => client.info(id)));
  t.same(
    answers.map(([row]) => row?.id),
    songs,
  );
  t.equal(fake.connections, 1);
  const waiting = songs.map(id => client.info(id));
  client.close();
  const ends = await Promise.allSettled(waiting);
  t.ok(ends.every(end => end.status === 'rejected' && end.reason instanceof TransportError));
});

t.test('a question that cannot be asked fails alone', async t => {
  const { tracker, world, config } = await setUp(t);
  const client = new LightClient({ tracker, clock: world.clock });
  t.teardown(() => client.close());
  const asked = await Promise.allSettled([
    client.list(),
    client.info(-1 as SongId),
    client.find('é'.repeat(MAX_REQUEST_BYTES / 2 + 1)),
    client.find('é'.repeat(MAX_REQUEST_BYTES / 2)),
    client.list(),
  ]);
  t.same(
    asked.map(end => (end.status === 'fulfilled' ? end.value.length : end.reason.name)),
    [2, 'LocalProtocolError', 'LocalProtocolError', 0, 2],
  );
  const failure = await failureFrom(runFind(config, { words: ['x'.repeat(5_000)] }, world));
  t.match(failure, { code: 'usage', message: /^5000 bytes are more than the 4096 / });
});

t.test('a tracker that takes the connection and says nothing is given up', async t => {
  const clock = new VirtualClock();
  const silent = await serverAt(t, socket => void socket.on('data', () => clock.advance(10_000)));
  const client = new LightClient({ tracker: silent, clock });
  await t.rejects(client.list(), TransportError);
});

t.test('an error that the tracker sends before it closes is what the client fails with', async t => {
  const busy = await serverAt(t, socket => {
    const json = Buffer.from('{"code":"too-many","message":"64 connections from you are enough"}');
    socket.end(Buffer.concat([Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, json.length]), json]));
  });
  const client = new LightClient({ tracker: busy, clock: new VirtualClock() });
  await t.rejects(client.list(), { message: /64 connections from you/ });
  const rude = await serverAt(t, socket => socket.write(Buffer.from([0x83, 0, 0, 0, 1, 0, 0, 0, 0])));
  await t.rejects(
    new LightClient({ tracker: rude, clock: new VirtualClock() }).list(),
    RemoteProtocolError,
    'an answer to another question',
  );
});

t.test('hash prints lines as sha256sum does, and JSON', async t => {
  const path = await folder(t);
  const file = join(path, 'a.bin');
  await writeFile(file, Buffer.alloc(3 * 1024 * 1024 + 5, 1));
  const world = new TestWorld();
  t.equal(await runHash(configIn(path), { words: [file] }, world), 0);
  t.match(world.stdout.text, new RegExp(`^[0-9a-f]{64} {2}${file}\n$`));
  const piped = new TestWorld();
  piped.stdin.end(Buffer.alloc(3 * 1024 * 1024 + 5, 1));
  t.equal(await runHash(configIn(path, { json: true }), { words: ['-'] }, piped), 0);
  t.same(JSON.parse(piped.stdout.text), {
    hash: world.stdout.text.slice(0, 64),
    size: 3 * 1024 * 1024 + 5,
    file: '-',
  });
});

t.test('hash names what it cannot read and what is empty, does the rest, and exits 1', async t => {
  const path = await folder(t);
  await mkdir(join(path, 'folder'));
  await writeFile(join(path, 'b'), 'b');
  await writeFile(join(path, 'empty'), '');
  const world = new TestWorld();
  const words = ['missing', 'folder', 'empty', 'b'].map(name => join(path, name));
  t.equal(await runHash(configIn(path), { words }, world), 1);
  t.match(world.stderr.text, /missing: there is no such file/);
  t.match(world.stderr.text, `${join(path, 'folder')}: that is a folder`);
  t.match(world.stderr.text, /empty is empty: it has no hash\./);
  t.equal(world.lines.length, 1);
});

t.test('a signal ends hash while nothing comes on stdin', async t => {
  const world = new TestWorld();
  const running = runHash(configIn('/nowhere'), { words: ['-'] }, world);
  world.end('SIGINT');
  t.equal(await within('the end', running), exitCodeOfSignal('SIGINT'));
  t.same(world.lines, []);
});

t.test('each kind of failure has its exit code', async t => {
  const rows: [unknown, number][] = [
    [new RequestError('no-such-song', 'x'), 1],
    [new RequestError('song-changed', 'x'), 1],
    [new RequestError('busy', 'x'), 75],
    [new RequestError('refused', 'x'), 77],
    [new RequestError('unreachable', 'x'), 69],
    [new RequestError('bad-range', 'x'), 1],
    [new TransportError('x'), 69],
    [new RemoteProtocolError('bad-message', 'x'), 69],
    [new ConfigError('slots', 'x', 'a number'), 78],
    [new LocalProtocolError('x'), 2],
    [new OutputError('missing', 'x'), 69],
    [new OutputError('full', 'x'), 1],
    [new DecoderError('there is no MP3 in it'), 1],
    [Object.assign(new Error('x'), { code: 'ENOSPC', syscall: 'write' }), 1],
    [new Error('a bug'), 70],
    ['a bug', 70],
  ];
  for (const [error, exitCode] of rows)
    t.match(failureOf(error), { exitCode, message: /[.]$/ }, String(error));
  t.same([exitCodeOfSignal('SIGINT'), exitCodeOfSignal('SIGTERM')], [130, 143]);
  const listening = (code: string) =>
    failureOf(
      listenError(new TransportError('x', { cause: Object.assign(new Error('x'), { code }) }), '::1', 80),
    );
  t.match(listening('EADDRINUSE'), { exitCode: 69, hint: /ss -ltunp/ });
  t.match(listening('EACCES'), { exitCode: 77, hint: /1024/ });
  t.match(listening('EADDRNOTAVAIL'), { exitCode: 78, message: '[::1]:80 is no address of this machine.' });
  t.match(listening('EMFILE'), { exitCode: 69 });
});
