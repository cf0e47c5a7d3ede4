/**
 * Four peers register 50,000 songs each, at once: what that costs the tracker, and whoever else asks it something
 * meanwhile; then its start with those 200,000 songs, and what their list costs.
 */
import { createHash } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { connectTsp, listenTsp, type TspClient } from '../../test/support/tsp-client.js';
import type { Teardown } from '../../test/support/until.js';
import { type BenchResult, quantile, round } from '../harness.js';
import { ProbedCommand } from '../probed/probed-command.js';

export const name = 'libraries';

const PEERS = 4;
const SONGS_EACH = 50_000;
const REGISTERED_WITHIN_MS = 120_000;
const ASK_EVERY_MS = 10;
const MB = 1e6;

export async function run(t: Teardown, folder: string): Promise<BenchResult> {
  const home = await mkdtemp(join(folder, 'tracker-'));
  const start = async (): Promise<{ tracker: ProbedCommand; port: number }> => {
    const args = ['--port', '0', '--host', '127.0.0.1', '--max-per-address', '0'];
    const tracker = ProbedCommand.start('tsp-tracker', args, home);
    t.teardown(() => tracker.stop());
    return { tracker, port: (await tracker.ready(60_000)).port };
  };

  const first = await start();
  const before = await first.tracker.ask();
  const bystander = ask(await connectTsp(t, first.port));
  const beganAt = performance.now();
  await Promise.all(Array.from({ length: PEERS }, (_, peer) => register(t, first.port, peer)));
  const seconds = (performance.now() - beganAt) / 1_000;
  const answered = await bystander.end();
  const registered = await first.tracker.ask();
  const settled = await first.tracker.ask({ collect: true });
  const cpu = registered.cpuSeconds - before.cpuSeconds;
  await first.tracker.stop();

  const restartedAt = performance.now();
  const second = await start();
  const readySeconds = (performance.now() - restartedAt) / 1_000;
  const list = await listCost(await connectTsp(t, second.port), second.tracker);

  const figures = [
    { figure: 'most resident, MB', value: registered.peakBytes / MB },
    { figure: 'event loop late, p99 ms', value: registered.lateMs.p99 },
    { figure: 'event loop late, most ms', value: registered.lateMs.max },
    { figure: 'a good client meanwhile, p99 ms', value: quantile(answered, 0.99) },
  ];
  return {
    title: `${PEERS} peers with ${SONGS_EACH} songs each, at once`,
    method: [
      'A real tsp-tracker; the peers are one process beside it on the same machine, proofs of address and durable IDs included.',
      `The good client asks a PING each ${ASK_EVERY_MS} ms..`,
    ],
    figures,
    tables: [
      {
        caption: 'The tracker',
        columns: ['what', 'seconds', 'CPU-seconds', 'MB resident, most', 'MB live after'],
        rows: [
          [
            'registration',
            round(seconds),
            round(cpu),
            round(registered.peakBytes / MB),
            round(settled.liveBytes / MB),
          ],
          [
            'start, until ready',
            round(readySeconds),
            round(list.before.cpuSeconds),
            round(list.before.peakBytes / MB),
            '',
          ],
          [
            `LIST, ${round(list.bytes / MB)} MB`,
            round(list.seconds),
            round(list.cpuSeconds),
            round(list.after.peakBytes / MB),
            '',
          ],
        ],
      },
    ],
    samples: { before, registered, settled, list },
  };
}

/** Resolves when every song of this peer has its ID. */
async function register(t: Teardown, trackerPort: number, peer: number): Promise<void> {
  let registration: TspClient | undefined;
  const { port } = await listenTsp(t, async client => {
    const { value } = await client.receive('PING');
    client.send({ type: 'PONG', value });
    registration?.send({ type: 'PONG', value });
  });
  registration = await connectTsp(t, trackerPort);
  registration.send({ type: 'HELLO', port, hello: { tsp: 1, name: `peer ${peer}`, broadcasts: false } });
  await registration.receive('LIST');
  const rows = Array.from({ length: SONGS_EACH }, (_, song) => ({
    hash: createHash('sha256').update(`${peer} ${song}`).digest('hex'),
    title: `Song ${song} of peer ${peer}`,
    artist: `Artist ${song % 1_000}`,
    album: `Album ${song % 5_000}`,
    duration: 180.5,
    size: 4_000_000 + song,
    bitrate: 192_000,
    sampleRate: 44_100,
    channels: 2,
  }));
  registration.sendRows({ type: 'LIST_INFO', revision: 0 }, rows);
  for (;;) {
    const message = await registration.next(REGISTERED_WITHIN_MS);
    if (message.type === 'PING') registration.send({ type: 'PONG', value: message.value });
    else if (message.type === 'SONG_IDS') {
      const without = message.rows.find(({ id }) => typeof id !== 'number');
      if (without !== undefined) throw new Error(`a song has no ID: ${JSON.stringify(without)}`);
    } else if (message.type === 'WELCOME') return;
  }
}

/** Asks something small again and again; `end` gives how long each answer took, in milliseconds. */
function ask(client: TspClient): { end(): Promise<number[]> } {
  let goesOn = true;
  const took: number[] = [];
  const asking = (async () => {
    while (goesOn) {
      const at = performance.now();
      const answered = new Promise<void>(resolve => client.socket.once('data', () => resolve()));
      client.send({ type: 'PING', value: 7 });
      await answered;
      took.push(performance.now() - at);
      await rest(ASK_EVERY_MS);
    }
  })();
  return {
    async end() {
      goesOn = false;
      await asking;
      return took;
    },
  };
}

async function listCost(client: TspClient, tracker: ProbedCommand) {
  const before = await tracker.ask();
  const at = performance.now();
  client.send({ type: 'LIST' });
  const { length: bytes } = await client.receive('LIST_INFO', REGISTERED_WITHIN_MS);
  const seconds = (performance.now() - at) / 1_000;
  const after = await tracker.ask();
  return { before, after, bytes, seconds, cpuSeconds: after.cpuSeconds - before.cpuSeconds };
}
