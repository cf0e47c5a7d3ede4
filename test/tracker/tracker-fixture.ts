/**
 * A tracker on a free port, and peers that register with it: HELLO, LIST_INFO, a song server that answers one PING, and
 * the echo of it, as TSP §5.1 draws it. Each step can be left out by a test that wants to break it.
 */
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import type { Clock } from '../../protocol/ports.js';
import { WireTrace } from '../../protocol/tsp/describe.js';
import type { Hello, SongId, Welcome } from '../../protocol/tsp/messages.js';
import type { OfferRow } from '../../protocol/tsp/rows.js';
import { openDisk } from '../../src/disk.js';
import { DEFAULT_TRACKER_CONFIG } from '../../tracker/config.js';
import { Tracker, type TrackerOptions } from '../../tracker/tracker.js';
import { hashOf } from '../support/content.js';
import { patientClock } from '../support/patient-clock.js';
import { RecordingLogger } from '../support/recording-logger.js';
import { connectTsp, listAt, listenTsp, type Received, type TspClient } from '../support/tsp-client.js';
import { until } from '../support/until.js';
import { VirtualClock } from '../support/virtual-clock.js';

export interface RunningTracker {
  readonly tracker: Tracker;
  readonly port: number;
  readonly logger: RecordingLogger;
  readonly wire: string[];
  readonly clock: Clock;
}

export async function startTracker(t: Test, options: Partial<TrackerOptions> = {}): Promise<RunningTracker> {
  const logger = new RecordingLogger();
  const wire: string[] = [];
  const tracker = new Tracker({
    ...DEFAULT_TRACKER_CONFIG,
    host: '127.0.0.1',
    port: 0,
    maxPerAddress: Number.POSITIVE_INFINITY,
    clock: patientClock,
    logger,
    randomBytes,
    openDisk,
    agent: 'torero/test',
    trace: new WireTrace(line => wire.push(line)),
    ...options,
  });
  t.teardown(() => tracker.stop());
  const { port } = await tracker.start();
  return { tracker, port, logger, wire, clock: options.clock ?? patientClock };
}

export const song = (n: number, fields: Omit<OfferRow, 'hash'> = {}): OfferRow => ({
  hash: hashOf(n),
  title: `Song ${n}`,
  ...fields,
});

export interface Peer {
  readonly client: TspClient;
  /** Of its song server. */
  readonly port: number;
  /** The rows of SONG_IDS. */
  readonly ids: readonly Record<string, unknown>[];
  readonly listed: readonly string[];
  readonly revision: number;
  idOf(n: number): SongId;
}

export interface PeerOptions {
  readonly songs?: readonly OfferRow[];
  readonly hello?: Omit<Hello, 'tsp'>;
  readonly init?: boolean;
  /** A connection, and the port of a song server, that are there already. */
  readonly client?: TspClient;
  readonly songPort?: number;
}

/** Registers as a host, up to and with WELCOME. */
export async function registerHost(
  t: Test,
  tracker: { port: number },
  options: PeerOptions = {},
): Promise<Peer> {
  const client = options.client ?? (await connectTsp(t, tracker.port));
  const port = options.songPort ?? (await songServer(t, client)).port;
  client.send(
    options.init === true
      ? { type: 'INIT', port }
      : { type: 'HELLO', port, hello: { tsp: 1, ...options.hello } },
  );
  await client.receive('LIST');
  client.sendRows({ type: 'LIST_INFO', revision: 0 }, options.songs ?? []);
  const { rows: ids } = await songIds(client);
  const { welcome, revision } = await client.receive('WELCOME');
  return {
    client,
    port,
    ids,
    revision,
    listed: welcome.listed ?? [],
    idOf: n => ids.find(row => row.hash === hashOf(n))?.id as SongId,
  };
}

/**
 * Of a tracker that nobody uses besides. It is told only what is durable: once it reads of its own song, nothing is being
 * written, and a fault of the disk that begins now is met by no transaction halfway.
 */
export async function registerKept(t: Test, tracker: { port: number }, n: number): Promise<Peer> {
  const peer = await registerHost(t, tracker, { songs: [song(n)] });
  await peer.client.await('BROADCAST_LIST', ({ rows }) => rows.some(({ id }) => id === peer.idOf(n)));
  return peer;
}

/** Long lists take their time, in which the tracker may ask whether we are still there. */
async function songIds(client: TspClient): Promise<Extract<Received, { type: 'SONG_IDS' }>> {
  for (;;) {
    const message = await client.next();
    if (message.type === 'SONG_IDS') return message;
    if (message.type !== 'PING') throw new Error(`SONG_IDS was awaited, ${JSON.stringify(message)} came`);
  }
}

export interface Listener {
  readonly client: TspClient;
  readonly welcome: Welcome;
  readonly revision: number;
  readonly list: { readonly revision: number; readonly rows: Record<string, unknown>[] };
}

/** Registers as a listener, up to and with the first BROADCAST_LIST. */
export async function registerListener(
  t: Test,
  tracker: { port: number },
  hello: Omit<Hello, 'tsp'> = {},
): Promise<Listener> {
  const client = await connectTsp(t, tracker.port);
  client.send({ type: 'HELLO', port: 0, hello: { tsp: 1, ...hello } });
  const { welcome, revision } = await client.receive('WELCOME');
  const list = await client.receive('BROADCAST_LIST');
  return { client, welcome, revision, list };
}

/** Answers PING, and says so on the registration connection. */
export const songServer = (t: Test, registration: TspClient): Promise<{ port: number }> =>
  listenTsp(t, async client => {
    const { value } = await client.receive('PING');
    client.send({ type: 'PONG', value });
    registration.send({ type: 'PONG', value });
  });

/**
 * The rows of LIST once every change is in it: changes of the moment are in the next batch, which a virtual clock must
 * be told to reach.
 */
export async function settledList(t: Test, { port, tracker, clock }: RunningTracker): Promise<Row[]> {
  await until('the list has settled', () => {
    if (clock instanceof VirtualClock) clock.advance(100);
    return !tracker.status().pending;
  });
  return await listAt(t, port);
}

/** The tracker has closed its side. */
export async function ended(client: TspClient): Promise<void> {
  await until('the tracker closes', () => client.ended);
}

type Row = Record<string, unknown>;
