/**
 * A process under soak: a real command whose memory and descriptors are looked at between rounds.
 *
 * The slope is that of the straight line through most pairs of samples (Theil and Sen), so that one odd round says nothing.
 */
import type { CommandName } from '../../test/support/spawn-command.js';
import { descriptorsOf } from '../../test/support/survivor.js';
import { median } from '../harness.js';
import type { Told } from '../probed/probe.js';
import { ProbedCommand } from '../probed/probed-command.js';

/** The first part of the samples: code is still being compiled, tables still grow to their usual size. */
const WARM_UP_SHARE = 1 / 3;

export interface Sample extends Told {
  /** Made to this process so far. */
  readonly connections: number;
  readonly descriptors: number;
}

export class Soaked {
  readonly command: ProbedCommand;
  readonly samples: Sample[] = [];
  connections = 0;

  /** Starts it. */
  constructor(
    readonly name: string,
    program: CommandName,
    args: readonly string[],
    home: string,
  ) {
    this.command = ProbedCommand.start(program, args, home);
  }

  async sample(): Promise<void> {
    const told = await this.command.ask({ collect: true });
    this.samples.push({ ...told, connections: this.connections, descriptors: this.descriptors });
  }

  get descriptors(): number {
    const { sockets, files, others } = descriptorsOf(this.command.pid);
    return sockets + files + others;
  }

  /** Bytes more for each connection, once warm. */
  get slope(): number {
    const warm = this.samples.slice(Math.floor(this.samples.length * WARM_UP_SHARE));
    const slopes = warm.flatMap((a, index) =>
      warm
        .slice(index + 1)
        .filter(b => b.connections > a.connections)
        .map(b => (b.liveBytes - a.liveBytes) / (b.connections - a.connections)),
    );
    return slopes.length === 0 ? 0 : median(slopes);
  }
}
