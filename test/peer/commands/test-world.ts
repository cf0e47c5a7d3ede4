/** A world of pipes for commands that run inside the test: what they print is kept, signals come when a test says so. */
import { PassThrough, Writable } from 'node:stream';
import { DEFAULT_PEER_CONFIG, type PeerConfig } from '../../../peer/config.js';
import { type Failure, failureOf } from '../../../peer/failures/failure.js';
import type { EndingSignal, World } from '../../../peer/world.js';
import { openDisk } from '../../../src/disk.js';
import { patientClock } from '../../support/patient-clock.js';
import { RecordingLogger } from '../../support/recording-logger.js';

class Recorded extends Writable {
  readonly chunks: Buffer[] = [];
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.chunks.push(chunk);
    done();
  }
  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }
}

export class TestWorld implements World {
  readonly stdin = new PassThrough();
  readonly stdout = new Recorded();
  readonly stderr = new Recorded();
  readonly logger = new RecordingLogger();
  readonly agent = 'torero/test';
  readonly maxConnections = 1_000;
  isTerminal = { stdin: false, stdout: false, stderr: false };
  env: Record<string, string | undefined> = {};
  trace: World['trace'];
  readonly #ending = new AbortController();

  readonly clock = patientClock;
  readonly randomBytes = (length: number): Uint8Array => Buffer.alloc(length, 7);
  readonly randomUnit = (): number => 0.5;
  readonly openDisk = openDisk;
  openEmbeddedTracker: World['openEmbeddedTracker'] = () => Promise.resolve(undefined);

  get signal(): AbortSignal {
    return this.#ending.signal;
  }
  end(signal: EndingSignal): void {
    this.#ending.abort(signal);
  }
  /** Lines of stdout. */
  get lines(): string[] {
    return this.stdout.text.split('\n').slice(0, -1);
  }
}

export const configIn = (folder: string, changes: Partial<PeerConfig> = {}): PeerConfig => ({
  ...DEFAULT_PEER_CONFIG,
  output: 'null',
  maxPerAddress: Number.POSITIVE_INFINITY,
  dataDir: `${folder}/data`,
  stateDir: `${folder}/state`,
  cacheDir: `${folder}/cache`,
  cacheBytes: 0,
  ...changes,
});

/** How a command that must fail failed, as its user would be told. */
export async function failureFrom(running: Promise<unknown>): Promise<Failure> {
  try {
    await running;
  } catch (error) {
    return failureOf(error);
  }
  throw new Error('it did not fail');
}
