/**
 * Many listeners in one process, the same for every server: raw sockets that read into one buffer and keep nothing, so
 * that as little as possible of what is measured is the listener.
 *
 *     fork ─▶ all connect ─▶ 'connected'      'go' ─▶ each asks for its songs, one after the other ─▶ { bytes, seconds }
 */
import { connect, type Socket } from 'node:net';

/** Over IPC, from `bench/serving.ts`. */
export interface ListenersTask {
  readonly port: number;
  readonly listeners: number;
  readonly songsEach: number;
  readonly request: string;
  /** How many bytes precede the song: a number, or up to and with this text. */
  readonly header: number | string;
  readonly songBytes: number;
}

export interface ListenersResult {
  readonly bytes: number;
  readonly cpuSeconds: number;
}

/** What Node itself reads at a time. */
const READ_BYTES = 64 * 1024;

let bytes = 0;

process.once('message', async (task: ListenersTask) => {
  const shared = Buffer.allocUnsafeSlow(READ_BYTES);
  const listeners = await Promise.all(
    Array.from({ length: task.listeners }, () => Listener.connect(task, shared)),
  );
  process.once('message', async () => {
    const before = process.cpuUsage();
    await Promise.all(listeners.map(listener => listener.run()));
    const { user, system } = process.cpuUsage(before);
    process.send!({ bytes, cpuSeconds: (user + system) / 1e6 } satisfies ListenersResult);
    process.disconnect();
  });
  process.send!('connected');
});

class Listener {
  readonly #task: ListenersTask;
  readonly #socket: Socket;
  readonly #request: Buffer;
  #owed = 0;
  #inHeader = true;
  #songsLeft: number;
  #done!: () => void;
  #failed!: (error: Error) => void;

  static connect(task: ListenersTask, shared: Buffer): Promise<Listener> {
    return new Promise((resolve, reject) => {
      const listener: Listener = new Listener(task, shared, () => resolve(listener), reject);
    });
  }

  private constructor(
    task: ListenersTask,
    shared: Buffer,
    connected: () => void,
    failed: (error: Error) => void,
  ) {
    this.#task = task;
    this.#songsLeft = task.songsEach;
    this.#request = Buffer.from(task.request, 'latin1');
    this.#failed = failed;
    this.#socket = connect({
      port: task.port,
      host: '127.0.0.1',
      noDelay: true,
      onread: { buffer: shared, callback: (length, buffer) => this.#take(buffer as Buffer, length) },
    });
    this.#socket.once('connect', connected).once('error', error => this.#failed(error));
    this.#socket.once('end', () => this.#failed(new Error('the server closed')));
  }

  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#done = resolve;
      this.#failed = reject;
      this.#ask();
    });
  }

  #ask(): void {
    this.#inHeader = true;
    this.#socket.write(this.#request);
  }

  #take(buffer: Buffer, length: number): boolean {
    bytes += length;
    if (this.#inHeader) {
      this.#inHeader = false;
      this.#owed = this.#task.songBytes + this.#headerBytes(buffer.subarray(0, length));
    }
    this.#owed -= length;
    if (this.#owed === 0) this.#next();
    return true;
  }

  /** The header comes in one piece: servers write it together with the song's first bytes. */
  #headerBytes(start: Buffer): number {
    const { header } = this.#task;
    return typeof header === 'number' ? header : start.indexOf(header) + header.length;
  }

  #next(): void {
    this.#songsLeft -= 1;
    if (this.#songsLeft > 0) {
      this.#ask();
      return;
    }
    this.#socket.destroy();
    this.#done();
  }
}
