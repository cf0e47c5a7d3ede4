/** The link to the tracker: against a real one, and against one that a test plays. */
import t from 'tap';
import type { LinkEvent, TrackerLinkOptions } from '../../../peer/tracker-client/link-events.js';
import { TrackerLink } from '../../../peer/tracker-client/tracker-link.js';
import { WireTrace } from '../../../protocol/tsp/describe.js';
import type { ErrorBody, Message, SongId } from '../../../protocol/tsp/messages.js';
import type { OfferRow } from '../../../protocol/tsp/rows.js';
import { openDisk } from '../../../src/disk.js';
import { DEFAULT_TRACKER_CONFIG } from '../../../tracker/config.js';
import { Tracker } from '../../../tracker/tracker.js';
import { hashOf } from '../../support/content.js';
import { patientClock } from '../../support/patient-clock.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { connectTsp, listenTsp, type TspClient } from '../../support/tsp-client.js';
import { type Teardown, until, within } from '../../support/until.js';
import { Songs } from './own-songs.js';

const song = (n: number): OfferRow => ({ hash: hashOf(n), title: `song ${n}` });

function openLink(
  t: Teardown,
  port: number,
  options: Partial<TrackerLinkOptions> = {},
): { link: TrackerLink; events: LinkEvent[] } {
  const events: LinkEvent[] = [];
  const link = new TrackerLink({
    tracker: { host: '127.0.0.1', port },
    clock: patientClock,
    logger: new RecordingLogger(),
    // The shortest waits that full jitter can give.
    randomUnit: () => 0,
    hello: { agent: 'test/1', instance: 'secret', name: 'kitchen' },
    ...options,
  });
  link.onEvent(event => events.push(event));
  t.teardown(() => link.stop());
  return { link, events };
}

const kinds = (events: readonly LinkEvent[]): string[] => events.map(event => event.kind);
const welcome = (more: object = {}, revision = 1): Message => ({
  type: 'WELCOME',
  revision,
  welcome: { tsp: 1, tracker: '0123456789abcdef', name: 'the tracker', listed: [], ...more },
});

/** A tracker that a test plays: each connection in turn is handed to the next script. */
async function scriptedTracker(t: Teardown, ...scripts: ((client: TspClient) => unknown)[]): Promise<number> {
  let connections = 0;
  const { port } = await listenTsp(t, client =>
    scripts[Math.min(connections++, scripts.length - 1)]!(client),
  );
  return port;
}

/** Takes a host in, as TSP §5.1 draws it, and gives each of its songs the ID that follows. */
async function register(client: TspClient, firstId = 1): Promise<Record<string, unknown>[]> {
  await client.receive('HELLO');
  client.send({ type: 'LIST' });
  const { rows } = await client.receive('LIST_INFO');
  client.sendRows(
    { type: 'SONG_IDS' },
    rows.map((row, index) => ({ hash: row.hash, id: firstId + index })),
  );
  client.send(welcome({ listed: ['127.0.0.1:7461'] }));
  client.sendRows({ type: 'BROADCAST_LIST', revision: 1 }, [{ whole: true }]);
  return rows;
}

async function realTracker(t: Teardown, port = 0): Promise<{ tracker: Tracker; port: number }> {
  const tracker = new Tracker({
    ...DEFAULT_TRACKER_CONFIG,
    host: '127.0.0.1',
    port,
    clock: patientClock,
    logger: new RecordingLogger(),
    randomBytes: length => crypto.getRandomValues(new Uint8Array(length)),
    openDisk,
    agent: 'test/1',
  });
  const at = await tracker.start();
  t.teardown(() => tracker.stop());
  return { tracker, port: at.port };
}

/** A song server that does nothing but prove its address. */
async function provable(t: Teardown, link: () => TrackerLink): Promise<number> {
  const { port } = await listenTsp(t, async client => {
    const ping = await client.receive('PING');
    client.send({ type: 'PONG', value: ping.value });
    link().ping(ping.value);
  });
  return port;
}

t.test(
  'a host registers with a real tracker, its changes show in a listener’s list, and leave with it',
  async t => {
    const { port } = await realTracker(t);
    const songs = new Songs(song(1), song(2));
    const host = openLink(t, port, { songs });
    const listener = openLink(t, port);
    t.equal(await within('registered', host.link.start(await provable(t, () => host.link))), true);
    t.equal(await within('registered', listener.link.start()), true);
    await until('both songs', () => listener.link.list.size === 2);
    t.equal(listener.link.list.stale, false);
    const listed = (n: number) => listener.link.list.songs.find(one => one.hash === hashOf(n));
    const row = listed(1)!;
    t.equal(host.link.idOf(hashOf(1)), row.id);
    t.equal(host.link.hashOf(row.id), hashOf(1));
    t.match(listener.link.list.hostsOf(row), [/^127\.0\.0\.1:\d+$/]);
    t.equal(host.link.owed, false);
    t.match(host.link.status(), { state: 'registered', listed: [/:\d+$/], unreachable: false });

    songs.change([{ ...song(1), title: 'renamed' }, song(3)], [hashOf(2)]);
    await until('the changes', () => listed(1)?.title === 'renamed');
    t.same(
      listener.link.list.songs.map(one => one.hash),
      [hashOf(1), hashOf(3)],
    );
    t.equal(host.link.idOf(hashOf(3)), listed(3)!.id);

    t.match(await listener.link.info(row.id), [{ id: row.id, title: 'renamed' }]);
    t.match(await listener.link.find('renamed'), [{ id: row.id }]);
    await t.rejects(listener.link.info(99_999 as SongId), { code: 'no-such-song' });

    await host.link.stop();
    await until('the songs left', () => listener.link.list.size === 0);
  },
);

t.test('a tracker that restarts is found again, and the list is current again', async t => {
  const first = await realTracker(t);
  const { link, events } = openLink(t, first.port);
  await link.start();
  await until('the list', () => !link.list.stale);
  await first.tracker.stop();
  await until('it is lost', () => link.status().state === 'lost');
  t.equal(link.list.stale, true);
  await t.rejects(link.find('x'), /is gone/);
  await until('several attempts', () => kinds(events).length >= 3, 1_000).catch(() => undefined);
  await realTracker(t, first.port);
  await until('registered again', () => link.status().state === 'registered');
  await until('the list', () => !link.list.stale);
  t.equal(kinds(events).filter(kind => kind === 'lost').length, 1, 'said once');
  t.match(
    events.filter(event => event.kind === 'registered').map(event => event.anotherTracker),
    [false, true],
    'kept in memory, it is another one',
  );
});

t.test('no tracker at all: the first attempt ends, and it goes on trying', async t => {
  const closed = await listenTsp(t, client => client.destroy());
  const { link, events } = openLink(t, closed.port);
  t.equal(await within('the attempt ends', link.start()), false);
  t.match(link.status(), { state: 'absent', why: /.+/ });
  t.match(events, [{ kind: 'lost', why: /.+/ }]);
  await t.rejects(link.find('x'), /does not answer yet/);
  await link.stop();
  await link.stop();
  const nowhere = openLink(t, 1);
  t.equal(await nowhere.link.start(), false);
  t.match(nowhere.events, [{ kind: 'lost', why: 'it refuses connections' }]);
});

t.test('something that is no tracker is told so and left alone', async t => {
  const port = await scriptedTracker(t, client =>
    client.write('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(200)),
  );
  const { link, events } = openLink(t, port);
  t.equal(await within('the attempt ends', link.start()), false);
  t.match(events, [{ kind: 'lost', why: /^it is no Torero tracker or host: it says “HTTP\/1\.1 400/ }]);
});

t.test('HELLO says who we are, and after a loss what we know', async t => {
  const hellos: Message[] = [];
  const port = await scriptedTracker(t, async client => {
    hellos.push(await client.receive('HELLO'));
    client.send(welcome({}, 7));
    client.sendRows({ type: 'BROADCAST_LIST', revision: 7 }, [
      { whole: true },
      { id: 1, hash: hashOf(1), title: 'a', hosts: [':1'] },
    ]);
    if (hellos.length === 1) client.end();
  });
  const { link, events } = openLink(t, port);
  await link.start();
  await until('registered twice', () => hellos.length === 2);
  t.match(hellos[0], { port: 0, hello: { agent: 'test/1', instance: 'secret', name: 'kitchen' } });
  t.notOk('since' in (hellos[0] as Extract<Message, { type: 'HELLO' }>).hello);
  t.match(hellos[1], { hello: { since: { tracker: '0123456789abcdef', revision: 7 } } });
  await until('registered again', () => kinds(events).filter(kind => kind === 'registered').length === 2);
  t.equal(link.list.size, 1);
});

t.test('IDs are forgotten when the tracker’s name changes', async t => {
  const port = await scriptedTracker(
    t,
    async client => {
      await register(client, 10);
      client.end();
    },
    async client => {
      await client.receive('HELLO');
      client.send({ type: 'LIST' });
      await client.receive('LIST_INFO');
      client.sendRows({ type: 'SONG_IDS' }, [{ hash: hashOf(1), id: 77 }]);
      client.send(welcome({ tracker: 'fedcba9876543210', listed: ['127.0.0.1:1'] }));
    },
  );
  const { link, events } = openLink(t, port, { songs: new Songs(song(1), song(2)) });
  await link.start(7461);
  t.equal(link.idOf(hashOf(2)), 11);
  await until('the other tracker', () =>
    events.some(event => event.kind === 'registered' && event.anotherTracker),
  );
  t.equal(link.idOf(hashOf(1)), 77);
  t.equal(link.idOf(hashOf(2)), undefined);
  t.equal(link.hashOf(11 as SongId), undefined);
  t.equal(link.list.size, 0);
});

t.test('what the tracker will not list is told, song by song', async t => {
  const port = await scriptedTracker(t, async client => {
    await client.receive('HELLO');
    client.send({ type: 'LIST' });
    await client.receive('LIST_INFO');
    client.sendRows({ type: 'SONG_IDS' }, [
      { hash: hashOf(1), id: 1 },
      { hash: hashOf(2), error: 'too-many' },
      { hash: hashOf(3), error: 'unreachable' },
      { hash: hashOf(99), id: 99 },
    ]);
    client.send(welcome());
  });
  const { link, events } = openLink(t, port, { songs: new Songs(song(1), song(2), song(3)) });
  await link.start(7461);
  t.match(events[0], { kind: 'song-ids', given: 1, refused: [{ hash: hashOf(2), error: 'too-many' }] });
  t.equal(link.idOf(hashOf(99)), undefined, 'it is none of ours');
});

t.test('an unreachable host is told, echoes later proofs, and its songs get their IDs then', async t => {
  let tracker: TspClient | undefined;
  const unreachable: ErrorBody = { code: 'unreachable', type: 0x40, message: 'port 7461 cannot be reached' };
  const port = await scriptedTracker(t, async client => {
    tracker = client;
    await client.receive('HELLO');
    client.send({ type: 'LIST' });
    await client.receive('LIST_INFO');
    client.send({ type: 'ERROR', song: 0, error: unreachable }, welcome());
  });
  const { link, events } = openLink(t, port, { songs: new Songs(song(1)) });
  link.ping(1);
  t.equal(await link.start(7461), true);
  t.match(events, [
    { kind: 'unreachable', why: 'port 7461 cannot be reached' },
    { kind: 'registered', listed: [] },
  ]);
  t.equal(link.status().unreachable, true);
  link.ping(4711);
  t.match(await tracker!.receive('PONG'), { value: 4711 });
  tracker!.sendRows({ type: 'SONG_IDS' }, [{ hash: hashOf(1), id: 5 }]);
  tracker!.send(welcome({ listed: ['127.0.0.1:7461'] }));
  await until('reachable', () => !link.status().unreachable);
  t.equal(link.idOf(hashOf(1)), 5);
});

t.test('whoever is replaced goes on as a listener', async t => {
  const ports: number[] = [];
  const port = await scriptedTracker(
    t,
    async client => {
      await register(client);
      client.send({ type: 'ERROR', song: 0, error: { code: 'replaced' } });
      client.end();
    },
    async client => {
      ports.push((await client.receive('HELLO')).port);
      client.send(welcome());
    },
  );
  const { link, events } = openLink(t, port, { songs: new Songs(song(1)) });
  await link.start(7461);
  await until('back as a listener', () => ports.length > 0 && link.status().state === 'registered');
  t.same(ports, [0]);
  t.ok(kinds(events).includes('replaced'));
  t.notOk(kinds(events).includes('lost'));
});

t.test('a missed batch is made good by LIST', async t => {
  const port = await scriptedTracker(t, async client => {
    await client.receive('HELLO');
    client.send(welcome());
    client.sendRows({ type: 'BROADCAST_LIST', revision: 1 }, [{ whole: true }]);
    client.sendRows({ type: 'BROADCAST_LIST', revision: 3 }, [{ id: 3, hash: hashOf(3), hosts: [':1'] }]);
    await client.receive('LIST');
    client.sendRows({ type: 'LIST_INFO', revision: 2 }, [{ id: 2, hash: hashOf(2), hosts: [':1'] }]);
  });
  const { link } = openLink(t, port);
  await link.start();
  await until('both', () => link.list.size === 2);
  t.equal(link.list.revision, 3);
});

t.test('fifty thousand songs are sent as one list, and a PING within it waits for its end', async t => {
  let rows = 0;
  let tracker: TspClient | undefined;
  const port = await scriptedTracker(t, async client => {
    tracker = client;
    await client.receive('HELLO');
    client.send({ type: 'LIST' }, { type: 'PING', value: 9 });
    rows = (await client.receive('LIST_INFO')).rows.length;
    await client.receive('PONG');
    client.send(welcome());
  });
  const many = Array.from({ length: 50_000 }, (_, n) => song(n + 1));
  const songs = new Songs(...many);
  const { link } = openLink(t, port, { songs });
  t.equal(await within('registered', link.start(7461)), true);
  t.equal(rows, 50_000);
  songs.change([song(60_000)]);
  t.match(await tracker!.receive('UPDATE'), { changes: [{ hash: hashOf(60_000) }] });
});

t.test('refused changes and warnings are logged, refused questions rejected', async t => {
  const logger = new RecordingLogger();
  const port = await scriptedTracker(t, async client => {
    await register(client);
    client.send({ type: 'ERROR', song: 0, error: { code: 'internal', message: 'all is not well' } });
    await client.receive('UPDATE');
    client.send({ type: 'ERROR', song: 0, error: { code: 'refused', type: 0x43 } });
    await client.receive('FIND');
    client.send({ type: 'ERROR', song: 0, error: { code: 'unavailable', type: 0x42, retryAfterMs: 5 } });
    await client.receive('FIND');
    client.destroy('reset');
  });
  const songs = new Songs(song(1));
  const { link } = openLink(t, port, { songs, logger });
  await link.start(7461);
  songs.change([song(2)]);
  await t.rejects(link.find('x'), { code: 'unavailable', retryAfterMs: 5 });
  await t.rejects(link.find('y'), /the tracker is gone/);
  await until('both are logged', () => logger.messages('warn').length > 0);
  t.match(logger.messages('warn'), [/refused changes/]);
  t.match(logger.messages('info'), [/all is not well/]);
});

t.test('every message can be traced', async t => {
  const { port } = await realTracker(t);
  const lines: string[] = [];
  const { link } = openLink(t, port, { trace: new WireTrace(line => lines.push(line)) });
  await link.start();
  await link.stop();
  t.match(lines.join('\n'), /< HELLO[\s\S]*> WELCOME[\s\S]*< QUIT/);
  t.notMatch(lines.join('\n'), /secret"/);
});

t.test('stopping is quick, wherever the link stands', async t => {
  const port = await scriptedTracker(t, () => undefined);
  const { link } = openLink(t, port);
  const started = link.start();
  await connectTsp(t, port);
  await within('stopped', link.stop());
  t.equal(await started, false);
});
