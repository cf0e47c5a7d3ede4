/**
 * Whether a command came through an attack unharmed: the same process serves the next client, its descriptors are back to
 * where they were, and it printed no stack trace.
 *
 *     const survivor = await watchSurvivor(command, async () => …one honest client…);
 *     …an attack…
 *     await survivor.survived();
 */
import { readdirSync, readlinkSync } from 'node:fs';
import type { RunningCommand } from './spawn-command.js';
import { until } from './until.js';

/** What may come and go beside any attack. */
const SLACK = 2;
/** So many songs that were just sent are kept open for the next who asks. */
const KEPT_SONGS = 16;
/** What the loop of a thread needs for itself: a poll, an event, a pipe. Threads that look for songs come and go. */
const A_LOOPS_OWN = 4;

export interface Survivor {
  /** Rejects, saying why, when the command did not survive. */
  survived(): Promise<void>;
}

/** `serves` rejects when an honest client is not served. The command is at rest now, as far as clients are concerned. */
export async function watchSurvivor(
  command: RunningCommand,
  serves: () => Promise<unknown>,
): Promise<Survivor> {
  await serves();
  const before = descriptorsOf(command.pid);
  const readBefore = command.stderr.length;
  return {
    async survived() {
      await serves();
      let now = before;
      await until(
        () => `descriptors are back: ${JSON.stringify(before)} became ${JSON.stringify(now)}`,
        () => {
          now = descriptorsOf(command.pid);
          return (
            now.sockets <= before.sockets + SLACK &&
            now.files <= before.files + SLACK + KEPT_SONGS &&
            now.others <= before.others + SLACK
          );
        },
      );
      if (!command.running) throw new Error(`${command.name} ended`);
      const trace = stackTraceIn(command.stderr.slice(readBefore));
      if (trace !== undefined) throw new Error(`${command.name} printed a stack trace: ${trace}`);
    },
  };
}

/** `    at f (file.js:1:2)`, or the log's field of that. */
export const stackTraceIn = (text: string): string | undefined =>
  /^.*\n? +at .+:\d+:\d+\)?$|^.*"stack":\[.*$/m.exec(text)?.[0];

export interface Descriptors {
  readonly sockets: number;
  readonly files: number;
  /** Pipes, watches and the like, without those of event loops. */
  readonly others: number;
}

/** None of any where there is no /proc. */
export function descriptorsOf(pid: number): Descriptors {
  const folder = `/proc/${pid}/fd`;
  const targets = namesIn(folder).map(name => targetOf(`${folder}/${name}`));
  const count = (pattern: RegExp): number => targets.filter(target => pattern.test(target)).length;
  const [sockets, files, loops] = [count(/^socket:/), count(/^\//), count(/eventpoll/)];
  return { sockets, files, others: targets.length - sockets - files - loops * A_LOOPS_OWN };
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** One may close between being named and being looked at. */
function targetOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
