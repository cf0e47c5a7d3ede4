/**
 * A thousand hosts that lose their tracker at once, each with the link to it that every peer has: they try to come back
 * spread over seconds, all are listed again when it is there again, and every song has the ID that it had.
 *
 *     of 1,000 attempts, in each 100 ms:  ▂▂▁▂▂▁▂▁▂▂▁▂▁▂▁▁▁ …  never 100
 *
 * The links share one clock, which the test moves, so that the spread is theirs and not this machine's. All else is real:
 * the tracker's process, sockets from a thousand addresses, a song server for each.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, Socket, type TcpSocketConnectOpts } from 'node:net';
import t, { type Test } from 'tap';
import { TrackerLink } from '../../peer/tracker-client/tracker-link.js';
import { Songs } from '../peer/tracker-client/own-songs.js';
import { addressOf, inTurns, randomNumbers, range } from '../support/crowd.js';
import { RecordingLogger } from '../support/recording-logger.js';
import { spawnCommand } from '../support/spawn-command.js';
import { watchSurvivor } from '../support/survivor.js';
import { tempFolder } from '../support/temp-folder.js';
import { listAt, TspClient } from '../support/tsp-client.js';
import { type Teardown, until } from '../support/until.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { song } from '../tracker/tracker-fixture.js';

const PEERS = 1_000;
const AT_ONCE = 100;
const BIN_MS = 100;
const MOST_IN_A_BIN = PEERS / 10;
/** On the links' clock: what it takes to start again, and many try in vain. */
const ABSENT_MS = 1_000;
const STEP_MS = 10;
const UINT32 = 2 ** 32;

class Herd {
  readonly clock = new VirtualClock();
  /** When somebody tried to connect. */
  attempts: number[] = [];
  readonly links: TrackerLink[] = [];
  readonly #random = randomNumbers(1);

  constructor(
    readonly t: Teardown,
    readonly trackerPort: number,
  ) {
    t.teardown(() => Promise.all(this.links.map(link => link.stop())));
  }

  async join(index: number): Promise<boolean> {
    const link = new TrackerLink({
      tracker: { host: '127.0.0.1', port: this.trackerPort },
      clock: this.clock,
      logger: new RecordingLogger(),
      randomUnit: () => this.#random() / UINT32,
      hello: { agent: 'test/1', instance: `secret ${index}`, broadcasts: false },
      songs: new Songs(song(index)),
      openSocket: () => {
        this.attempts.push(this.clock.now());
        return socketFrom(addressOf(index));
      },
    });
    this.links.push(link);
    return await link.start(await songServer(this.t, link));
  }

  are(state: string): boolean {
    return this.links.every(link => link.status().state === state);
  }

  /** The most attempts in any 100 ms since `from`. */
  busiest(from: number): number {
    const bins = new Map<number, number>();
    for (const at of this.attempts) {
      const bin = Math.floor((at - from) / BIN_MS);
      bins.set(bin, (bins.get(bin) ?? 0) + 1);
    }
    return Math.max(...bins.values());
  }
}

function socketFrom(localAddress: string): Socket {
  const socket = new Socket();
  const connect = socket.connect.bind(socket);
  socket.connect = ((options: TcpSocketConnectOpts) =>
    connect({ ...options, localAddress })) as Socket['connect'];
  return socket;
}

/** Proves the address of `link`, whichever that is. */
async function songServer(t: Teardown, link: TrackerLink): Promise<number> {
  const server = createServer(async socket => {
    const client = new TspClient(socket);
    // A thousand ports are many: somebody of another test may look there for a tracker that is gone.
    const ping = await client.receive('PING').catch(() => undefined);
    if (ping === undefined) return client.destroy();
    client.send({ type: 'PONG', value: ping.value });
    link.ping(ping.value);
    client.end();
  });
  t.teardown(() => server.close());
  await once(server.listen(0, '0.0.0.0'), 'listening');
  return (server.address() as AddressInfo).port;
}

async function startTracker(t: Test, home: string, port: number) {
  const tracker = await spawnCommand(t, 'tsp-tracker', ['--host', '127.0.0.1', '--port', String(port)], {
    home,
  });
  return { tracker, port: (await tracker.ready()).port };
}

/** Hash → ID of everything that is listed with a host. */
async function listedIds(t: Teardown, port: number): Promise<Map<unknown, unknown>> {
  const rows = await listAt(t, port);
  return new Map(rows.filter(({ hostCount }) => hostCount === 1).map(({ hash, id }) => [hash, id]));
}

t.test('a thousand peers lose their tracker at once', async t => {
  const home = await tempFolder(t);
  const first = await startTracker(t, home, 0);
  const herd = new Herd(t, first.port);
  await inTurns(range(PEERS), AT_ONCE, index => herd.join(index));
  t.ok(herd.are('registered'));
  const ids = await until('all are listed', async () => {
    const listed = await listedIds(t, first.port);
    return listed.size === PEERS && listed;
  });

  first.tracker.kill('SIGKILL');
  await until('all know', () => herd.are('lost'));
  const lostAt = herd.clock.now();
  herd.attempts = [];
  while (herd.clock.now() - lostAt < ABSENT_MS) await herd.clock.advanceSlowly(STEP_MS);
  t.ok(herd.attempts.length > 0, `${herd.attempts.length} attempts in vain`);

  const { tracker, port } = await startTracker(t, home, first.port);
  const survivor = await watchSurvivor(tracker, async () => {
    await listedIds(t, port);
  });
  await until('all are back', () => {
    herd.clock.advance(STEP_MS);
    return herd.are('registered');
  });
  t.ok(herd.busiest(lostAt) <= MOST_IN_A_BIN, `at most ${herd.busiest(lostAt)} within ${BIN_MS} ms`);
  t.comment(
    `all were back ${((herd.clock.now() - lostAt - ABSENT_MS) / 1_000).toFixed(1)} s after the tracker`,
  );
  t.same(await listedIds(t, port), ids, 'each is listed, under the ID that it had');
  await Promise.all(herd.links.map(link => link.stop()));
  await survivor.survived();
  await until('who says goodbye is listed no more', async () => (await listedIds(t, port)).size === 0);
});
