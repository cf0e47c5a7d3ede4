/** One of the house's own commands under the probe: a real process that also tells what it holds. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type CommandName, commandPath, RunningCommand } from '../../test/support/spawn-command.js';
import { homeIn } from '../../test/support/temp-folder.js';
import { within } from '../../test/support/until.js';
import { type Asked, PROBE_VARIABLE, type Told } from './probe.js';

const PROBE = fileURLToPath(new URL('./probe.js', import.meta.url));
const ANSWER_MS = 60_000;
const END_MS = 15_000;

export class ProbedCommand extends RunningCommand {
  static start(name: CommandName, args: readonly string[], home: string): ProbedCommand {
    const nodeArgs = (process.env.PROBED_NODE_ARGS ?? '').split(' ').filter(Boolean);
    const argv = [...nodeArgs, '--expose-gc', '--import', PROBE, commandPath(name), ...args];
    const child = spawn(process.execPath, argv, {
      cwd: home,
      env: { ...homeIn(home), [PROBE_VARIABLE]: '1' },
      stdio: ['pipe', 'pipe', 'pipe', 'ipc'],
    });
    // Its three streams are pipes: `spawn` only knows when there is no fourth.
    return new ProbedCommand(name, child as RunningCommand['child']);
  }

  ask(asked: Asked = { collect: false }): Promise<Told> {
    const { child } = this;
    const told = new Promise<Told>((resolve, reject) => {
      child.once('message', message => resolve(message as Told));
      child.send(asked, error => {
        if (error !== null) reject(error);
      });
    });
    return within(`${this.name} tells what it holds`, told, ANSWER_MS);
  }

  /** Ends it as an operator would; kills it when that is not enough. */
  async stop(): Promise<void> {
    if (!this.running) return;
    this.kill();
    await within(`${this.name} ends`, this.exited, END_MS).catch(() => this.kill('SIGKILL'));
  }
}
