/** Whole peers in one process, around a real tracker on loopback: what the rooms do for each other. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { PeerConfig } from '../../peer/config.js';
import { Peer } from '../../peer/peer.js';
import type { PeerEvent } from '../../peer/prompt/peer-view.js';
import type { SongRow } from '../../protocol/tsp/rows.js';
import { DEFAULT_TRACKER_CONFIG } from '../../tracker/config.js';
import { Tracker } from '../../tracker/tracker.js';
import { freePort } from '../support/free-port.js';
import { publishTo } from '../support/icecast-source.js';
import { mp3Bytes } from '../support/mp3.js';
import { RecordingLogger } from '../support/recording-logger.js';
import { tempFolder } from '../support/temp-folder.js';
import { until } from '../support/until.js';
import { configIn, failureFrom, TestWorld } from './commands/test-world.js';

async function openTracker(t: Test, port = 0, dataDir?: string) {
  const world = new TestWorld();
  const tracker = new Tracker({
    ...DEFAULT_TRACKER_CONFIG,
    host: '127.0.0.1',
    port,
    dataDir,
    clock: world.clock,
    logger: new RecordingLogger(),
    randomBytes: length => crypto.getRandomValues(new Uint8Array(length)),
    openDisk: world.openDisk,
    agent: 'torero/test',
  });
  const at = await tracker.start();
  let running = true;
  const stop = async (): Promise<void> => {
    if (running) await tracker.stop();
    running = false;
  };
  t.teardown(stop);
  return { host: '127.0.0.1', port: at.port, stop };
}

class RunningPeer {
  readonly events: PeerEvent[] = [];
  constructor(
    readonly peer: Peer,
    readonly music: string,
    readonly port: number,
  ) {
    peer.onEvent(event => this.events.push(event));
  }
  async event<K extends PeerEvent['kind']>(
    kind: K,
    fits: (event: Extract<PeerEvent, { kind: K }>) => boolean = () => true,
  ): Promise<Extract<PeerEvent, { kind: K }>> {
    return await until(
      () => `${kind} among ${JSON.stringify(this.events)}`,
      () =>
        this.events.find(
          (event): event is Extract<PeerEvent, { kind: K }> => event.kind === kind && fits(event as never),
        ),
    );
  }
  song(title: string): Promise<SongRow> {
    return until(`“${title}” is listed`, () => this.peer.list().songs.find(song => song.title === title));
  }
}

let peers = 0;
async function openPeer(t: Test, changes: Partial<PeerConfig>, songs: Readonly<Record<string, Buffer>> = {}) {
  peers += 1;
  const folder = await tempFolder(t);
  const music = join(folder, 'music');
  await mkdir(music);
  for (const [name, bytes] of Object.entries(songs)) await writeFile(join(music, name), bytes);
  const world = new TestWorld();
  const secret = peers;
  const peer = new Peer(
    configIn(folder, {
      port: 0,
      headless: true,
      ...changes,
      ...(Object.keys(songs).length > 0 && { library: [music] }),
    }),
    {
      ...world,
      signal: world.signal,
      clock: world.clock,
      randomBytes: length => Buffer.alloc(length, secret),
    },
  );
  t.teardown(() => peer.stop());
  const { port } = await peer.start();
  return new RunningPeer(peer, music, port);
}

const song = (title: string, seed: number, seconds = 0.3) =>
  mp3Bytes({ title, artist: 'The Band', seconds, seed });

t.test('a peer lists, finds, describes and plays what another one hosts', async t => {
  const tracker = await openTracker(t);
  const host = await openPeer(t, { tracker }, { 'a.mp3': song('Blue Moon', 1), 'b.mp3': song('Red Sun', 2) });
  await host.peer.settled();
  t.equal(host.peer.list().songs.length, 2, 'settled: own songs are in the list');
  const listener = await openPeer(t, { tracker });
  t.equal(listener.peer.list().awaited, true, 'a peer that has just started knows no list');
  await listener.peer.listed();
  t.match(listener.peer.list(), { awaited: false, songs: { length: 2 } });
  const blue = await listener.song('Blue Moon');
  t.equal((await listener.peer.find('sun'))[0]?.title, 'Red Sun');
  t.match(await listener.peer.info(blue.id), [{ title: 'Blue Moon', size: song('Blue Moon', 1).length }]);
  listener.peer.shown(listener.peer.list().songs);
  listener.peer.player.play([blue, await listener.song('Red Sun')]);
  t.match(listener.peer.player.nowPlaying(), { state: 'buffering', song: { title: 'Blue Moon' } });
  t.same(listener.peer.player.queue().songs.length, 2);
  const ended = await listener.event('ended', ({ song }) => song.title === 'Red Sun');
  t.match(ended, { outcome: 'finished', report: { verified: true, failed: [] } });
  t.match(ended.report.sources, [{ host: `127.0.0.1:${host.port}` }]);
  await listener.event('idle');
  t.match(host.peer.status(), {
    hosting: { songs: 2 },
    tracker: { state: 'registered', unreachable: false },
  });
  t.ok(host.peer.status().hosting.sentBytes > 0);
  host.peer.player.play([await host.song('Blue Moon')]);
  const own = await host.event('ended');
  t.match(own.report.sources, [{ host: 'library' }], 'its own songs come from its own disk');
});

t.test(
  'a web radio player is a listener of a line, as one of TSP is, and the broadcast itself is none',
  async t => {
    const tracker = await openTracker(t);
    const icecast = { host: '127.0.0.1', port: await freePort('tcp') };
    const live = { names: [], isOpen: true, graceMs: 12_000, relays: [], icecast };
    // Of its two places for 128 kbit/s one is kept for the swarm.
    const { peer } = await openPeer(t, { tracker, live, maxUploadBytesPerSecond: 40_000 });
    await publishTo(t, { port: icecast.port, mount: 'night', key: '', seed: 1 });
    await until('it is on the air', () => peer.list().songs.some(({ live }) => live));
    t.equal(peer.status().hosting.listeners, 0);
    const leaving = new AbortController();
    const url = `http://127.0.0.1:${icecast.port}/night`;
    t.equal((await fetch(url, leaving)).status, 200);
    t.equal(peer.status().hosting.listeners, 1);
    const turnedAway = await fetch(url);
    t.match([turnedAway.status, turnedAway.headers.get('retry-after')], [503, '2']);
    await turnedAway.text();
    leaving.abort();
    await until('it has left', () => peer.status().hosting.listeners === 0);
  },
);

t.test('a song that is added or removed shows in other lists', async t => {
  const tracker = await openTracker(t);
  const host = await openPeer(t, { tracker }, { 'a.mp3': song('First', 1) });
  const listener = await openPeer(t, { tracker });
  await listener.song('First');
  await writeFile(join(host.music, 'b.mp3'), song('Second', 2));
  await listener.song('Second');
  await listener.event('list', ({ added }) => added === 1);
  await host.event('library', ({ songs }) => songs === 2);
  await rm(join(host.music, 'a.mp3'));
  await listener.event('list', ({ left }) => left === 1);
  t.same(
    listener.peer.list().songs.map(({ title }) => title),
    ['Second'],
  );
});

t.test('a tracker that goes is told once, the list stays, and its return is told', async t => {
  const dataDir = await tempFolder(t);
  const tracker = await openTracker(t, 0, dataDir);
  const host = await openPeer(t, { tracker }, { 'a.mp3': song('Lasting', 1) });
  const before = await host.song('Lasting');
  await host.event('tracker', ({ tracker }) => tracker.state === 'registered');
  await tracker.stop();
  await host.event('tracker', ({ tracker }) => tracker.state === 'lost');
  t.match(host.peer.list(), { stale: true, songs: [{ title: 'Lasting' }] });
  await t.rejects(host.peer.find('x'), { name: 'TransportError' });
  t.match(await host.peer.info(before.id), [{ title: 'Lasting' }], 'what the list says');
  host.events.length = 0;
  await openTracker(t, tracker.port, dataDir);
  await host.event('tracker', ({ tracker }) => tracker.state === 'registered');
  t.equal((await host.song('Lasting')).id, before.id, 'with the same IDs');
  t.equal(host.events.filter(({ kind }) => kind === 'tracker').length, 1);
});

t.test('a fetched song is offered to others with --share-cache only', async t => {
  const tracker = await openTracker(t);
  const host = await openPeer(t, { tracker }, { 'a.mp3': song('Shared', 1) });
  const sharing = await openPeer(t, { tracker, shareCache: true, cacheBytes: 1e9 });
  const keeping = await openPeer(t, { tracker, cacheBytes: 1e9 });
  for (const { peer, ...listener } of [sharing, keeping]) {
    const row = await until('listed', () => peer.list().songs[0]);
    peer.player.play([row]);
    await until('played', () => listener.events.some(({ kind }) => kind === 'ended'));
  }
  const row = await until('two hosts', () =>
    keeping.peer.list().songs.find(({ hostCount }) => hostCount === 2),
  );
  t.same(
    row.hosts.map(address => Number(address.split(':').at(-1))).sort(),
    [host.port, sharing.port].sort(),
  );
  await host.peer.stop();
  keeping.events.length = 0;
  keeping.peer.player.play([row]);
  t.match((await keeping.event('ended')).report.sources, [{ host: 'cache' }], 'needs no network');
});

t.test('what cannot be is said before anything is opened', async t => {
  const world = new TestWorld();
  const refused = (changes: Partial<PeerConfig>) => {
    const peer = new Peer(
      configIn('/tmp/torero-nowhere', { tracker: { host: '127.0.0.1', port: 1 }, ...changes }),
      world,
    );
    t.teardown(() => peer.stop());
    return peer.start();
  };
  t.match(await failureFrom(refused({ library: ['/no/such/folder'] })), {
    exitCode: 78,
    message: /no\/such\/folder/,
  });
  const taken = createServer();
  await new Promise<void>(resolve => taken.listen(0, resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as { port: number };
  t.match(await failureFrom(refused({ port })), { code: 'in-use', exitCode: 69 });
  t.match(await failureFrom(refused({ port: 0, host: '203.0.113.77' })), { exitCode: 78 });
  t.throws(() => new Peer(configIn('/tmp', { output: 'trumpet' }), world), { name: 'ConfigError' });
  t.throws(() => new Peer(configIn('/tmp', { decoder: 'ear' }), world), { name: 'ConfigError' });
});

t.test('without a tracker it hosts and listens all the same, and says once that there is none', async t => {
  const { peer, events } = await openPeer(
    t,
    { tracker: { host: '127.0.0.1', port: 1 } },
    { 'a.mp3': song('Mine', 1) },
  );
  await peer.attempted();
  await peer.settled();
  const why = 'it refuses connections';
  t.match(peer.status(), { tracker: { state: 'absent', why } });
  t.match(peer.status(), { hosting: { songs: 1 }, library: { unavailable: [] } });
  t.equal(events.filter(({ kind }) => kind === 'tracker').length, 1);
  await peer.listed();
  t.match(peer.list(), { songs: [], awaited: true });
});

t.test('a peer of no tracker opens the one that it was given the means to', async t => {
  const folder = await tempFolder(t);
  const world = new TestWorld();
  const opened: object[] = [];
  world.openEmbeddedTracker = ({ host, port }) => {
    opened.push({ host, port });
    return Promise.resolve(undefined);
  };
  const peer = new Peer(configIn(folder, { port: 0, host: '127.0.0.1', headless: true }), world);
  t.teardown(() => peer.stop());
  await peer.start();
  await peer.attempted();
  // Somebody's tracker may be on the usual port of this machine: then none is opened.
  if (opened.length > 0) t.same(opened[0], { host: '127.0.0.1', port: 7460 });
  t.equal(peer.status().tracker.address, '127.0.0.1:7460');
});
