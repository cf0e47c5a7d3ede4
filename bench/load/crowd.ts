/**
 * One tracker with 10,000 hosts of ten songs and 9,000 listeners, each from an address of its own: how fast they are all
 * in, how soon a change has reached every listener, and what it costs to have everybody back after a crash.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import type { Hello } from '../../protocol/tsp/messages.js';
import { connectTsp } from '../../test/support/tsp-client.js';
import { type Teardown, until } from '../../test/support/until.js';
import { type BenchResult, quantile, round } from '../harness.js';
import { ProbedCommand } from '../probed/probed-command.js';
import { type CrowdOrder, type CrowdReport, momentNow, SONGS_EACH } from './crowd-process.js';
import { hostOneSong } from './one-song.js';

export const name = 'crowd';

const HOSTS = 10_000;
const LISTENERS = 9_000;
const PROCESSES = 2;
const CHANGES = 5;
const REACHED_WITHIN_MS = 30_000;
const MB = 1e6;

export async function run(t: Teardown, folder: string): Promise<BenchResult> {
  const home = await mkdtemp(join(folder, 'tracker-'));
  const start = async (port: number): Promise<{ tracker: ProbedCommand; port: number }> => {
    const limits = ['--max-per-address', '0', '--max-peers', String(HOSTS + LISTENERS + 1)];
    const tracker = ProbedCommand.start(
      'tsp-tracker',
      ['--port', String(port), '--host', '127.0.0.1', ...limits],
      home,
    );
    t.teardown(() => tracker.stop());
    return { tracker, port: (await tracker.ready(60_000)).port };
  };
  const first = await start(0);
  const { port } = first;
  const crowds = Array.from({ length: PROCESSES }, () => startCrowd(t));

  const hosting = await inAll(crowds, { do: 'host', port, first: 0, count: HOSTS });
  const hostsHeld = await first.tracker.ask({ collect: true });
  const since = await wholeList(t, port);
  const listening = await inAll(crowds, { do: 'listen', port, first: HOSTS, count: LISTENERS, since });
  const held = await first.tracker.ask({ collect: true });

  const latencies = await change(t, port, crowds);
  const busy = await first.tracker.ask();

  first.tracker.kill('SIGKILL');
  await first.tracker.exited;
  const began = momentNow();
  const second = await start(port);
  const startMs = momentNow() - began;
  const hostsBack = await inAll(crowds, { do: 'host', port, first: 0, count: HOSTS, since });
  const hostsAfter = await second.tracker.ask();
  const back = await inAll(crowds, { do: 'listen', port, first: HOSTS, count: LISTENERS, since });
  const after = await second.tracker.ask();

  const p99 = quantile(latencies, 0.99);
  const slowest = quantile(latencies, 1);
  const rate = (count: number, ms: number): number => round(count / (ms / 1_000));
  return {
    title: `${HOSTS} hosts, ${HOSTS * SONGS_EACH} songs, ${HOSTS + LISTENERS} connections`,
    method: [
      `A real tsp-tracker; everybody else in ${PROCESSES} processes on the same machine, each from an address and with a song server of its own.`,
      `${CHANGES} songs are retitled, one after the other; a latency is from the UPDATE to the moment at which a listener has read it.`,
      'Back: from the start of the tracker that follows on a killed one, to the last first BROADCAST_LIST.',
    ],
    figures: [
      { figure: `a change at ${LISTENERS} listeners, p99 ms`, value: p99 },
      { figure: 'registrations a second, proven and durable', value: rate(HOSTS, hosting.tookMs) },
      { figure: `resident MB with ${HOSTS + LISTENERS} connections`, value: held.residentBytes / MB },
      {
        figure: 'everybody back after a crash, s',
        value: (startMs + hostsBack.tookMs + back.tookMs) / 1_000,
      },
    ],
    tables: [
      {
        caption: 'The tracker',
        columns: ['what', 'seconds', 'a second', 'MB sent', 'MB resident', 'loop late, p99 ms', 'most'],
        rows: [
          row('hosts registered', HOSTS, hosting, hostsHeld),
          row('listeners registered', LISTENERS, listening, held),
          row('hosts back after a crash, by `since`', HOSTS, hostsBack, hostsAfter),
          row('listeners back, by `since`', LISTENERS, back, after),
        ],
      },
      {
        caption: 'Changes',
        columns: ['messages', 'p50 ms', 'p99 ms', 'most ms', 'loop late, p99 ms', 'most'],
        rows: [
          [
            latencies.length,
            round(quantile(latencies, 0.5)),
            round(p99),
            round(slowest),
            round(busy.lateMs.p99),
            round(busy.lateMs.max),
          ],
        ],
      },
    ],
    samples: { hosting, listening, startMs, hostsBack, back, hostsHeld, held, busy, hostsAfter, after },
  };
}

/** What a reader of the list can say of it who has everybody's songs. */
async function wholeList(t: Teardown, port: number): Promise<NonNullable<Hello['since']>> {
  const reader = await connectTsp(t, port);
  reader.send({ type: 'HELLO', port: 0, hello: { tsp: 1, broadcasts: false } });
  const { welcome } = await reader.receive('WELCOME');
  const revision = await until(
    'all songs are listed',
    async () => {
      reader.send({ type: 'LIST' });
      const { rows, revision } = await reader.receive('LIST_INFO', REACHED_WITHIN_MS);
      return rows.length === HOSTS * SONGS_EACH ? revision : undefined;
    },
    REACHED_WITHIN_MS,
  );
  reader.destroy();
  return { tracker: welcome.tracker!, revision };
}

type Crowd = (order: CrowdOrder) => Promise<CrowdReport>;

function startCrowd(t: Teardown): Crowd {
  const child = fork(join(import.meta.dirname, 'crowd-process.js'));
  t.teardown(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit').then(() => {
    throw new Error('a crowd ended');
  });
  ended.catch(() => {});
  return async order => {
    child.send(order);
    const [report] = await Promise.race([once(child, 'message'), ended]);
    return report as CrowdReport;
  };
}

/** Each does its part. */
async function inAll(
  crowds: readonly Crowd[],
  order: Extract<CrowdOrder, { first: number }>,
): Promise<{ tookMs: number; bytes: number }> {
  const count = order.count / crowds.length;
  const reports = await Promise.all(
    crowds.map((crowd, index) => crowd({ ...order, first: order.first + index * count, count })),
  );
  return {
    tookMs: Math.max(...reports.map(({ tookMs }) => tookMs)),
    bytes: reports.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** Retitles a song again and again; how long each listener waited for each. */
async function change(t: Teardown, port: number, crowds: readonly Crowd[]): Promise<number[]> {
  const retitle = await hostOneSong(t, port);
  const all: number[] = [];
  for (let changes = 1; changes <= CHANGES; changes += 1) {
    retitle(`at ${momentNow()}`);
    await until(
      'everybody has read it',
      async () => {
        for (const { latenciesMs } of await Promise.all(crowds.map(crowd => crowd({ do: 'tell' }))))
          all.push(...latenciesMs);
        return all.length >= changes * LISTENERS;
      },
      REACHED_WITHIN_MS,
    );
  }
  return all;
}

function row(
  what: string,
  count: number,
  { tookMs, bytes }: { tookMs: number; bytes: number },
  { residentBytes, lateMs }: Awaited<ReturnType<ProbedCommand['ask']>>,
): (string | number)[] {
  return [
    what,
    round(tookMs / 1_000),
    Math.round(count / (tookMs / 1_000)),
    round(bytes / MB),
    round(residentBytes / MB),
    round(lateMs.p99),
    round(lateMs.max),
  ];
}
