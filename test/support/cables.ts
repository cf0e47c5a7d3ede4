/**
 * Machines of their own on this one, joined by cables that can be cut: network namespaces and pairs of virtual interfaces.
 * A cut says nothing to anybody: no end, no reset, no ICMP; what is sent is lost, as when somebody pulls a plug.
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
}

export interface Cable {
  readonly far: Machine;
  /** Of the hub and of the far machine, on this cable. */
  readonly hubAddress: string;
  readonly farAddress: string;
  cut(): void;
  mend(): void;
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
  return { far, hubAddress, farAddress, cut, mend: () => far.ip(`link set ${plug} up`) };
}

function run(file: string, words: readonly string[]): void {
  const { status, stderr } = spawnSync(file, words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${file} ${words.join(' ')}: ${stderr}`);
}
