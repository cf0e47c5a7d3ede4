/**
 * The frame around every one-shot command: which tracker, how a failure is reported, how stdout is written.
 *
 *     tsp-peer find moon ──▶ oneShot(config, world, async session => …) ──▶ 0, or the failure's exit code
 *
 * Data goes to stdout, everything else to stderr. A reader that closes stdout (`| head -1`) ends the command quietly.
 */
import { RequestError, TransportError } from '../../protocol/errors.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { SongRow } from '../../protocol/tsp/rows.js';
import { LOCAL_TRACKER, type PeerConfig } from '../config.js';
import {
  CommandError,
  errorAsJson,
  exitCodeOfSignal,
  type Failure,
  failureOf,
  usageError,
} from '../failures/failure.js';
import { noSuchSong } from '../prompt/commands.js';
import { parseId } from '../prompt/grammar.js';
import { renderFailure, SAY_WAITING_MS, waitingForTracker } from '../prompt/render.js';
import { StatusLine } from '../prompt/status-line.js';
import { type Style, styleOf } from '../prompt/style.js';
import { safeJson } from '../prompt/terminal-text.js';
import { LightClient } from '../tracker-client/light-client.js';
import type { World } from '../world.js';
import { roomIn } from './stdout-sink.js';

/** Rows are joined into writes of about this many characters: a list of 200,000 songs is no 200,000 system calls. */
const WRITE_CHARACTERS = 64 * 1024;

export class OneShot {
  readonly client: LightClient;

  constructor(
    readonly config: PeerConfig,
    readonly world: World,
  ) {
    const tracker = config.tracker ?? LOCAL_TRACKER;
    const { clock, trace } = world;
    this.client = new LightClient({ tracker, clock, trace });
  }

  get style(): Style {
    return styleOf('stdout', this.world, this.config);
  }

  /** Asks the tracker; what fails is told with what to do. Rejects with the signal's name once there was one. */
  async ask<T>(question: (client: LightClient) => Promise<T>): Promise<T> {
    const { world, client } = this;
    const line = new StatusLine(world, this.config);
    const cancel = world.clock.after(SAY_WAITING_MS, () =>
      line.show(waitingForTracker(client.tracker, line.style)),
    );
    try {
      world.signal.throwIfAborted();
      return await question(client);
    } catch (error) {
      throw error instanceof TransportError ? trackerGone(failureOf(error)) : error;
    } finally {
      cancel();
      line.clear();
    }
  }

  /** What the tracker knows of `id`. Throws CommandError (exit code 1) when nobody has that song now. */
  async song(id: SongId): Promise<SongRow> {
    const rows = await this.ask(client => client.info(id)).catch(noneIfUnknown);
    const row = rows.find(candidate => candidate.id === id);
    if (row === undefined) throw noSuchSong(id);
    return row;
  }

  /** Lines for a person, or rows as on the wire, one a line. */
  async print(rows: readonly SongRow[], lines: () => readonly string[]): Promise<void> {
    await this.write(this.config.json ? rows.map(safeJson) : lines());
  }

  /** Resolves when stdout has taken the lines, or takes no more. A signal breaks them off, but not the report of what it ended. */
  async write(lines: readonly string[]): Promise<void> {
    const { stdout, signal } = this.world;
    const isReport = signal.aborted;
    let text = '';
    for (const [index, line] of lines.entries()) {
      text += `${line}\n`;
      if (text.length < WRITE_CHARACTERS && index < lines.length - 1) continue;
      if (stdout.writableEnded || stdout.destroyed || (signal.aborted && !isReport)) return;
      if (!stdout.write(text)) await roomIn(this.world);
      text = '';
    }
  }

  /** Says on stderr what went wrong, for a command that goes on all the same. */
  report(failure: Failure): void {
    const { config, world } = this;
    const lines = config.json
      ? [safeJson({ error: errorAsJson(failure) })]
      : renderFailure(
          { ...failure, message: `tsp-peer: ${failure.message}` },
          styleOf('stderr', world, config),
        );
    world.stderr.write(`${lines.join('\n')}\n`);
  }
}

/**
 * Runs `work` and resolves with its exit code. What it throws is thrown on, for the entry point to report; when a signal
 * came, the signal's own code counts instead.
 */
export async function oneShot(
  config: PeerConfig,
  world: World,
  work: (session: OneShot) => Promise<number>,
): Promise<number> {
  const session = new OneShot(config, world);
  const interrupted = (): void => session.client.close();
  world.signal.addEventListener('abort', interrupted, { once: true });
  try {
    return await work(session);
  } catch (error) {
    if (world.signal.aborted) return exitCodeOfSignal(world.signal.reason);
    throw error;
  } finally {
    world.signal.removeEventListener('abort', interrupted);
    session.client.close();
  }
}

/** The song ID that `text` must be. Throws CommandError (exit code 2). */
export function requireId(text: string | undefined): SongId {
  const parsed = parseId(text ?? '');
  if ('id' in parsed) return parsed.id;
  throw usageError(parsed.problem, parsed.hint);
}

/** The tracker's word for an ID that is not in its list; any other failure is one. */
function noneIfUnknown(error: unknown): readonly SongRow[] {
  if (error instanceof RequestError && error.code === 'no-such-song') return [];
  throw error;
}

const trackerGone = (failure: Failure): CommandError =>
  new CommandError({
    ...failure,
    message: `No tracker answers: ${failure.message}`,
    hint: 'tsp-tracker starts one; --tracker HOST:PORT names another.',
  });
