/**
 * Makes an MP3 of a WAV or AIFF file with node-lame: its bundled lame, or the one on PATH.
 *
 * Both are optional on a machine. What is missing is said as a sentence, with the line that mends it, and never thrown.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { delimiter } from 'node:path';
import { installLine, NO_NODE_LAME } from '../failures/install-line.js';
import { isRunnable } from '../programs.js';
import { openFile } from './open-file.js';
import { pcmKind } from './pcm-kind.js';

export interface Encoder {
  /** Undefined when it can encode; else why not, with what mends it. */
  missing(): Promise<string | undefined>;
  /** Writes `target`. Rejects when the source cannot be encoded, or when `signal` is aborted. */
  encode(source: string, target: string, signal: AbortSignal): Promise<void>;
}

/** Constant, so that a listener can seek by arithmetic; transparent enough for what somebody kept as WAV. */
const KBIT_PER_SECOND = 192;
/** Characters of lame's own words that are told. */
const MAX_SAID = 200;
/** What it says of a file that it cannot make sense of, whatever that is. */
const NOT_FOR_LAME = /can't init infile/i;

/**
 * The real encoder: node-lame's lame, which reads from a descriptor and writes a file. Not through a pipe, as node-lame's own
 * stream does: only into a file can lame go back and say in the first frame where the music begins and ends, and without that
 * there is a gap between two songs.
 */
export class LameEncoder implements Encoder {
  async missing(): Promise<string | undefined> {
    const lame = await import('node-lame').catch(() => undefined);
    if (lame === undefined) return NO_NODE_LAME;
    const binary = lame.resolveLameBinary();
    return (await isRunnable(binary)) ? undefined : `lame is not installed: ${installLine('lame')}`;
  }

  async encode(source: string, target: string, signal: AbortSignal): Promise<void> {
    const { resolveBundledLibraryDirectory, resolveLameBinary } = await import('node-lame');
    const file = await openFile(source);
    if (file.kind !== 'opened') throw new Error(`the source is ${file.kind}`);
    try {
      const words = ['--quiet', '-b', String(KBIT_PER_SECOND), '-', target];
      const lame = spawn(resolveLameBinary(), words, {
        stdio: [file.handle.fd, 'ignore', 'pipe'],
        env: withLibraries(resolveBundledLibraryDirectory()),
        signal,
      });
      await endOf(lame).catch((error: Error) => {
        if (!NOT_FOR_LAME.test(error.message)) throw error;
        const kind = pcmKind(file.handle.fd, Number(file.fingerprint.size));
        throw new Error(
          kind === undefined
            ? 'there is no sound in it'
            : `lame does not take ${kind}; one or two channels of integers would do`,
        );
      });
    } finally {
      await file.handle.close();
    }
  }
}

/** A lame that came with node-lame brought its libraries, too. */
function withLibraries(folder: string | null): NodeJS.ProcessEnv {
  if (folder === null) return process.env;
  const name = process.platform === 'darwin' ? 'DYLD_LIBRARY_PATH' : 'LD_LIBRARY_PATH';
  return { ...process.env, [name]: [folder, process.env[name] ?? []].flat().join(delimiter) };
}

/** Rejects when it was not a good one, and only when it has ended: its file is nobody's then. */
async function endOf(child: ChildProcess): Promise<void> {
  let failure: Error | undefined;
  let said = '';
  child.on('error', error => {
    failure = error;
  });
  child.stderr?.on('data', chunk => {
    said = (said + chunk).slice(0, MAX_SAID);
  });
  const code = await new Promise(resolve => child.once('close', resolve));
  if (failure !== undefined) throw failure;
  if (code !== 0) throw new Error(said.trim() || `lame ended with ${code}`);
}
