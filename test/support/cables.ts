/**
 * Machines of their own on this one, joined by cables that can be cut or narrow: network namespaces and pairs of virtual
 * interfaces. A cut says nothing to anybody: no end, no reset, no ICMP; what is sent is lost, as when somebody pulls a plug.
 *
 *     hub 10.77.1.1 ──cable 1── 10.77.1.2        hub 10.77.2.1 ──cable 2── 10.77.2.2
 *
 * A machine is the namespace of a process that does nothing; all of it goes when that process goes.
 */
import { spawnSync } from 'node:child_process';
import { type RunningCommand, spawnProgram } from './spawn-command.js';
import type { Teardown } from './until.js';

/** Why there can be none here, as tap's `skip` wants it; false when there can. */
export const noCables: string | false =
  spawnSync('unshare', ['--net', 'ip', 'link', 'add', 'name', 'plug', 'type', 'veth']).status === 0
    ? false
    : 'cables between network namespaces take root, and ip';

/** The same of narrow ones. */
export const noNarrowCables: string | false =
  noCables ||
  (spawnSync('unshare', [
    '--net',
    'tc',
    ...'qdisc add dev lo root tbf rate 8mbit burst 4kb limit 4kb'.split(' '),
  ]).status === 0
    ? false
    : 'narrow cables take tc, and tbf in the kernel');

export class Machine {
  readonly #holder: RunningCommand;

  private constructor(holder: RunningCommand) {
    this.#holder = holder;
  }

  static async start(t: Teardown): Promise<Machine> {
    const line = 'ip link set lo up && echo up && exec sleep infinity';
    const holder = await spawnProgram(t, 'unshare', ['--net', 'sh', '-c', line]);
    await holder.says(/up/);
    return new Machine(holder);
  }

  get pid(): number {
    return this.#holder.pid;
  }

  /** The words that run `program` there. */
  program(...program: string[]): [file: string, args: string[]] {
    return ['nsenter', [`--net=/proc/${this.pid}/ns/net`, ...program]];
  }

  ip(words: string): void {
    run(...this.program('ip', ...words.split(' ')));
  }

  /** What it says. */
  tc(words: string): string {
    return run(...this.program('tc', ...words.split(' ')));
  }

  /** `path` below /proc/sys. */
  set(path: string, value: string): void {
    run(...this.program('sh', '-c', `echo ${value} > /proc/sys/${path}`));
  }
}

export interface Cable {
  readonly far: Machine;
  /** Of the hub and of the far machine, on this cable. */
  readonly hubAddress: string;
  readonly farAddress: string;
  cut(): void;
  mend(): void;
  /** What the hub sends over it waits its turn in one queue, at a rate as tc writes it, and is dropped where that is full. */
  narrow(rate: string, queueBytes: number): void;
  /** What became of it. */
  queue(): CableQueue;
}

/** `bytes`: sent so far; `backlog`: bytes that wait. */
export interface CableQueue {
  readonly bytes: number;
  readonly backlog: number;
}

/** A hub, and that many machines around it, each on a cable of its own. */
export async function layCables(
  t: Teardown,
  count: number,
): Promise<{ readonly hub: Machine; readonly cables: readonly Cable[] }> {
  const hub = await Machine.start(t);
  const cables: Cable[] = [];
  for (let number = 1; number <= count; number += 1) cables.push(await layCable(t, hub, number));
  return { hub, cables };
}

/** From now on the far machines reach each other by way of the hub. */
export function joinAt(hub: Machine, cables: readonly Cable[]): void {
  hub.set('net/ipv4/ip_forward', '1');
  for (const { far, hubAddress } of cables) far.ip(`route add default via ${hubAddress}`);
}

async function layCable(t: Teardown, hub: Machine, number: number): Promise<Cable> {
  const far = await Machine.start(t);
  const plug = `plug${number}`;
  const [hubAddress, farAddress] = [`10.77.${number}.1`, `10.77.${number}.2`];
  const ends = `name ${plug} netns ${hub.pid} type veth peer name ${plug} netns ${far.pid}`;
  run('ip', ['link', 'add', ...ends.split(' ')]);
  for (const [machine, address] of [
    [hub, hubAddress],
    [far, farAddress],
  ] as const) {
    machine.ip(`address add ${address}/24 dev ${plug}`);
    machine.ip(`link set ${plug} up`);
  }
  // At the hub the route stays, so that what it sends is lost and not refused.
  const cut = (): void => far.ip(`link set ${plug} down`);
  const mend = (): void => far.ip(`link set ${plug} up`);
  const narrow = (rate: string, queueBytes: number): void => {
    hub.tc(`qdisc add dev ${plug} root tbf rate ${rate} burst 4kb limit ${queueBytes}`);
  };
  const queue = (): CableQueue => (JSON.parse(hub.tc(`-s -j qdisc show dev ${plug}`)) as [CableQueue])[0];
  return { far, hubAddress, farAddress, cut, mend, narrow, queue };
}

function run(file: string, words: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(file, words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${file} ${words.join(' ')}: ${stderr}`);
  return stdout;
}
