/**
 * One tracker under all attacks at once, and a good client that goes on asking: what it has to wait, and whether it is ever
 * refused. Before that, the good client alone, and noise alone, for how many malformed connections are shed.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { encode } from '../../protocol/tsp/codec.js';
import { Framer } from '../../protocol/tsp/framing.js';
import type { Teardown } from '../../test/support/until.js';
import { type BenchResult, quantile, round } from '../harness.js';
import type { Told } from '../probed/probe.js';
import { ProbedCommand } from '../probed/probed-command.js';
import type { AttackName, AttackOrder, AttackReport } from './attacked/attackers.js';
import { hostOneSong } from './one-song.js';

export const name = 'attacked';

const QUIET_MS = 4_000;
const NOISE_MS = 6_000;
const ATTACKED_MS = 20_000;
const WARM_UP_MS = 2_000;
/** The host of the song that is asked for must not fall silent. */
const HOST_SPEAKS_MS = 10_000;
const ASK_EVERY_MS = 10;
const LIST_EVERY_MS = 1_000;
/** The good client connects anew after so many questions. */
const ASKED_EACH = 100;
const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;
const MB = 1e6;
const REST: readonly AttackName[] = ['silence', 'questions', 'stalls', 'flood', 'churn'];

interface Phase {
  readonly asked: GoodReport;
  readonly told: Told;
  readonly cores: number;
  readonly done: AttackReport;
  readonly seconds: number;
}

interface GoodReport {
  readonly askMs: readonly number[];
  readonly connectMs: readonly number[];
  readonly listMs: readonly number[];
  readonly errors: readonly string[];
}

export async function run(t: Teardown, folder: string): Promise<BenchResult> {
  const home = join(folder, 'tracker');
  await mkdir(home);
  const args = ['--port', '0', '--host', '127.0.0.1', '--log-level', 'error'];
  const tracker = ProbedCommand.start('tsp-tracker', args, home);
  t.teardown(() => tracker.stop());
  const { port } = await tracker.ready();
  const retitle = await hostOneSong(t, port);
  const alive = setInterval(() => retitle('The song'), HOST_SPEAKS_MS);
  t.teardown(() => clearInterval(alive));

  const noisy = startAttackers(t);
  const others = startAttackers(t);
  const measure = async (ms: number): Promise<Phase> => {
    await Promise.all([tracker.ask(), tell(noisy), tell(others)]);
    const before = await tracker.ask();
    const began = performance.now();
    const asked = await askFor(port, ms);
    const seconds = (performance.now() - began) / 1_000;
    const told = await tracker.ask();
    const [noise, rest] = await Promise.all([tell(noisy), tell(others)]);
    const cores = (told.cpuSeconds - before.cpuSeconds) / seconds;
    return { asked, told, cores, done: { ...rest, noise: noise.noise }, seconds };
  };

  const quiet = await measure(QUIET_MS);
  noisy.send({ port, attacks: ['noise'] } satisfies AttackOrder);
  await rest(WARM_UP_MS);
  const noise = await measure(NOISE_MS);
  others.send({ port, attacks: REST } satisfies AttackOrder);
  await rest(WARM_UP_MS);
  const all = await measure(ATTACKED_MS);
  noisy.kill('SIGKILL');
  others.kill('SIGKILL');
  await rest(WARM_UP_MS);
  const after = await measure(QUIET_MS);

  const shed = (phase: Phase): number => phase.done.noise / phase.seconds;
  return {
    title: 'A tracker under all attacks at once',
    method: [
      'A real tsp-tracker with its usual limits; the attackers are two processes beside it on the same machine, each connection from an address of its own:',
      'one as much noise on new connections as it can make; one silence and drips on 2,000 connections, 10,000 questions in one write on 4, 40 readers that ask for 40 lists and take nothing, floods of 50,000 rows, and 4 peers that retitle 250 songs at a time.',
      `The good client asks INFO each ${ASK_EVERY_MS} ms and connects anew after ${ASKED_EACH}; beside that, it connects and lists each second.`,
    ],
    figures: [
      { figure: 'a good client meanwhile, p99 ms', value: quantile(all.asked.askMs, 0.99) },
      { figure: 'its errors', value: all.asked.errors.length },
      { figure: 'malformed connections shed a second, noise alone', value: shed(noise) },
    ],
    tables: [
      {
        caption: 'The good client',
        columns: [
          'what',
          'questions',
          'p50 ms',
          'p99 ms',
          'worst',
          'connect, worst ms',
          'list, p50 ms',
          'errors',
        ],
        rows: [
          goodRow('alone', quiet),
          goodRow('noise', noise),
          goodRow('all attacks', all),
          goodRow('afterwards', after),
        ],
      },
      {
        caption: 'The tracker',
        columns: ['what', 'cores', 'noise shed a second', 'MB resident', 'loop late, p99 ms', 'most'],
        rows: [
          trackerRow('good client alone', quiet, shed(quiet)),
          trackerRow('noise', noise, shed(noise)),
          trackerRow('all attacks', all, shed(all)),
          trackerRow('afterwards', after, 0),
        ],
      },
      {
        caption: 'Attacks done while all were under way',
        columns: ['attack', 'times'],
        rows: Object.entries(all.done),
      },
    ],
    samples: { quiet, noise, all, after },
  };
}

function goodRow(what: string, { asked }: Phase): (string | number)[] {
  const { askMs, connectMs, listMs, errors } = asked;
  const times = [quantile(askMs, 0.5), quantile(askMs, 0.99), quantile(askMs, 1)];
  return [
    what,
    askMs.length,
    ...times.map(round),
    round(quantile(connectMs, 1)),
    round(quantile(listMs, 0.5)),
    errors.length,
  ];
}

const trackerRow = (what: string, { cores, told }: Phase, shed: number): (string | number)[] => [
  what,
  round(cores),
  Math.round(shed),
  round(told.residentBytes / MB),
  round(told.lateMs.p99),
  round(told.lateMs.max),
];

const rest = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

function startAttackers(t: Teardown): ChildProcess {
  const child = fork(join(import.meta.dirname, 'attacked', 'attackers.js'));
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

async function tell(attackers: ChildProcess): Promise<AttackReport> {
  const none = { silence: 0, noise: 0, questions: 0, stalls: 0, flood: 0, churn: 0 };
  if (!attackers.connected) return none;
  attackers.send('tell');
  const [report] = await once(attackers, 'message');
  return report as AttackReport;
}

/** A good client for so long, which lists on one connection and asks on another; what goes wrong is counted. */
async function askFor(port: number, ms: number): Promise<GoodReport> {
  const askMs: number[] = [];
  const connectMs: number[] = [];
  const listMs: number[] = [];
  const errors: string[] = [];
  const end = performance.now() + ms;
  const again = async (work: (client: GoodClient) => Promise<void>): Promise<void> => {
    while (performance.now() < end) {
      const client = new GoodClient(port);
      try {
        connectMs.push(await timed(client.connected));
        await work(client);
      } catch (error) {
        errors.push(String(error));
      }
      client.end();
    }
  };
  const asking = again(async client => {
    for (let asked = 0; asked < ASKED_EACH && performance.now() < end; asked += 1) {
      const question = encode({ type: 'INFO', song: 1 as never });
      askMs.push(await timed(client.asks(question, 'SONG_INFO')));
      await rest(ASK_EVERY_MS);
    }
  });
  const listing = again(async client => {
    listMs.push(await timed(client.asks(encode({ type: 'LIST' }), 'LIST_INFO')));
    await rest(LIST_EVERY_MS);
  });
  await Promise.all([asking, listing]);
  return { askMs, connectMs, listMs, errors };
}

async function timed(work: Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work;
  return performance.now() - began;
}

/** Reads no row: what is measured is the tracker's part. */
class GoodClient {
  readonly #socket: Socket;
  readonly #answers = new Framer({ maxPayloadBytes: MAX_PAYLOAD_BYTES });
  #expects: { type: string; resolve: () => void; reject: (error: Error) => void } | undefined;
  readonly connected: Promise<unknown>;

  constructor(port: number) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.connected = once(this.#socket, 'connect');
    this.#socket.on('data', chunk => this.#take(chunk));
    this.#socket.on('error', error => this.#expects?.reject(error));
    this.#socket.on('close', () => this.#expects?.reject(new Error('the tracker closed')));
  }

  /** Resolves when an answer of that type is there whole; rejects at any other. */
  asks(question: Buffer, type: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#expects = { type, resolve, reject };
      this.#socket.write(question);
    });
  }

  end(): void {
    this.#expects = undefined;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#answers.push(chunk);
    for (let event = this.#answers.next(); event !== undefined; event = this.#answers.next()) {
      if (event.kind === 'message') this.#answered(event.message.type);
      else if (event.kind === 'end') this.#answered(event.header.type);
    }
  }

  #answered(type: string): void {
    if (type === this.#expects?.type) this.#expects.resolve();
    else this.#expects?.reject(new Error(`${type} came for ${this.#expects.type}`));
    this.#expects = undefined;
  }
}
