/**
 * One tracker attacked in every way, first one by one, then all at once, and a good client that goes on asking: what it has
 * to wait, and whether it is ever refused.
 *
 * The attackers are on the machine that is measured, so each of them works at a lower priority than the tracker and the
 * good client, as if it were elsewhere: what they take is what nobody else wants.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import type { Teardown } from '../../test/support/until.js';
import { type BenchResult, quantile, round } from '../harness.js';
import type { Told } from '../probed/probe.js';
import { ProbedCommand } from '../probed/probed-command.js';
import type { AttackName, AttackOrder, AttackReport } from './attacked/attackers.js';
import { ASK_EVERY_MS, ASKED_EACH, askFor, type GoodReport } from './attacked/good-client.js';
import { hostOneSong } from './one-song.js';

export const name = 'attacked';

const QUIET_MS = 4_000;
const ONE_ATTACK_MS = 6_000;
const ALL_ATTACKS_MS = 20_000;
const WARM_UP_MS = 2_000;
/** The host of the song that is asked for must not fall silent. */
const HOST_SPEAKS_MS = 10_000;
const MB = 1e6;
/** The tracker's and the good client's is 0; a higher number comes later. */
const ATTACKERS_PRIORITY = 10;

/** Each in a process of its own. */
const ATTACKS: Readonly<Record<AttackName, string>> = {
  noise: 'nonsense on new connections, as many as they can make',
  crowd: '500 connections from one address, each again a second after it was sent away',
  silence: 'silence and drips on 2,000 connections',
  questions: '10,000 questions in one write, on 4',
  resets: '16 that ask for lists and reset the connection somewhere in them',
  stalls: '40 readers that ask for 40 lists and take nothing',
  flood: 'a host with 50,000 songs, and when they are answered 50,000 others',
  churn: '4 hosts that retitle 250 songs at a time',
};
const NAMES = Object.keys(ATTACKS) as AttackName[];

interface Phase {
  readonly what: string;
  readonly asked: GoodReport;
  readonly told: Told;
  readonly cores: number;
  /** Of the time, in which the tracker's main thread had something to do and no core to do it on. */
  readonly waited: number;
  readonly done: AttackReport;
  readonly seconds: number;
}

export async function run(t: Teardown, folder: string): Promise<BenchResult> {
  const home = join(folder, 'tracker');
  await mkdir(home);
  const args = ['--port', '0', '--host', '127.0.0.1', '--log-level', 'info'];
  const tracker = ProbedCommand.start('tsp-tracker', args, home);
  t.teardown(() => tracker.stop());
  const { port } = await tracker.ready();
  const retitle = await hostOneSong(t, port);
  const alive = setInterval(() => retitle('The song'), HOST_SPEAKS_MS);
  t.teardown(() => clearInterval(alive));

  const measure = async (what: string, names: readonly AttackName[], ms: number): Promise<Phase> => {
    const attackers = names.map(attack => startAttacker(t, { port, attacks: [attack] }));
    await rest(WARM_UP_MS);
    await tell(attackers);
    const before = await tracker.ask();
    const waitedBefore = await waitedSeconds(tracker.pid);
    const began = performance.now();
    const asked = await askFor(port, ms);
    const seconds = (performance.now() - began) / 1_000;
    const told = await tracker.ask();
    const waited = ((await waitedSeconds(tracker.pid)) - waitedBefore) / seconds;
    const done = await tell(attackers);
    for (const attacker of attackers) attacker.kill('SIGKILL');
    return {
      what,
      asked,
      told,
      cores: (told.cpuSeconds - before.cpuSeconds) / seconds,
      waited,
      done,
      seconds,
    };
  };

  const alone = await measure('nobody', [], QUIET_MS);
  const singles: Phase[] = [];
  for (const attack of NAMES) singles.push(await measure(attack, [attack], ONE_ATTACK_MS));
  const all = await measure('all at once', NAMES, ALL_ATTACKS_MS);
  const after = await measure('nobody any more', [], QUIET_MS);
  const phases = [alone, ...singles, all, after];
  const noise = singles.find(({ what }) => what === 'noise')!;
  return {
    title: 'A tracker under all attacks at once',
    method: [
      'A real tsp-tracker with its usual limits and its usual log; the attackers are eight processes beside it on the same machine, at priority 10, so that the tracker and the good client come first. Each of their connections is from an address of its own, but for the crowd’s.',
      `The good client asks INFO each ${ASK_EVERY_MS} ms and connects anew after ${ASKED_EACH}; beside that, it connects and lists each second.`,
      ...Object.entries(ATTACKS).map(([attack, does]) => `- ${attack}: ${does}`),
    ],
    figures: [
      { figure: 'a good client meanwhile, p99 ms', value: quantile(all.asked.askMs, 0.99) },
      { figure: 'its errors', value: phases.reduce((sum, { asked }) => sum + asked.errors.length, 0) },
      { figure: 'malformed connections shed a second, noise alone', value: aSecond(noise, 'noise') },
      { figure: 'event loop late meanwhile, p99 ms', value: all.told.lateMs.p99 },
      { figure: 'event loop late meanwhile, most ms', value: all.told.lateMs.max },
      {
        figure: 'cores for 2,000 silent or dripping connections',
        value: singles.find(({ what }) => what === 'silence')!.cores - alone.cores,
      },
    ],
    tables: [
      {
        caption: 'The good client, while attacked by',
        columns: [
          'attack',
          'questions',
          'p50 ms',
          'p99 ms',
          'worst',
          'connect, worst ms',
          'list, p50 ms',
          'errors',
        ],
        rows: phases.map(goodRow),
      },
      {
        caption: 'The tracker, while attacked by',
        columns: [
          'attack',
          'times a second',
          'cores',
          'waited for one',
          'MB resident',
          'loop late, p99 ms',
          'most',
        ],
        rows: phases.map(trackerRow),
      },
      {
        caption: 'Attacks a second while all were under way',
        columns: ['attack', 'times a second'],
        rows: NAMES.map(attack => [attack, round(aSecond(all, attack))]),
      },
    ],
    samples: { phases },
  };
}

const aSecond = ({ done, seconds }: Phase, attack: AttackName): number => (done[attack] ?? 0) / seconds;

function goodRow({ what, asked: { askMs, connectMs, listMs, errors } }: Phase): (string | number)[] {
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

const trackerRow = (phase: Phase): (string | number)[] => [
  phase.what,
  phase.what in ATTACKS ? round(aSecond(phase, phase.what as AttackName)) : '',
  round(phase.cores),
  `${Math.round(100 * phase.waited)} %`,
  round(phase.told.residentBytes / MB),
  round(phase.told.lateMs.p99),
  round(phase.told.lateMs.max),
];

/** How long the main thread was ready and another ran in its place (proc(5), `schedstat`); 0 where nobody counts that. */
async function waitedSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').catch(() => '0 0');
  return Number(stat.split(' ')[1]) / 1e9;
}

function startAttacker(t: Teardown, order: AttackOrder): ChildProcess {
  const child = fork(join(import.meta.dirname, 'attacked', 'attackers.js'));
  setPriority(child.pid!, ATTACKERS_PRIORITY);
  child.send(order);
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

async function tell(attackers: readonly ChildProcess[]): Promise<AttackReport> {
  const reports = await Promise.all(
    attackers.map(async attacker => {
      attacker.send('tell');
      const [report] = await once(attacker, 'message');
      return report as AttackReport;
    }),
  );
  return Object.assign({}, ...reports);
}
