/** An Icecast source that sends each frame when it is due, as an encoder would. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { monotonicMs } from './stamped-frames.js';

const LOOK_MS = 10;

export interface Sound {
  /** Its media type. */
  readonly type: string;
  readonly frameMs: number;
  frame(n: number): Buffer;
}

export class Publisher {
  readonly #socket: Socket;
  readonly #sound: Sound;
  #timer: NodeJS.Timeout | undefined;
  #sent = 0;
  /** When the first frame was sent. */
  startedAtMs = 0;

  private constructor(socket: Socket, sound: Sound) {
    this.#socket = socket;
    this.#sound = sound;
  }

  static async open(port: number, mount: string, key: string, sound: Sound): Promise<Publisher> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    const auth = Buffer.from(`source:${key}`).toString('base64');
    const head = `SOURCE /${mount} HTTP/1.0\r\nAuthorization: Basic ${auth}\r\nContent-Type: ${sound.type}\r\n\r\n`;
    socket.write(head);
    await once(socket, 'data');
    return new Publisher(socket, sound);
  }

  start(): void {
    this.startedAtMs = monotonicMs();
    this.#timer = setInterval(() => this.#sendDue(), LOOK_MS);
    this.#sendDue();
  }

  /** Resolves when the connection is closed. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#socket.end();
    await once(this.#socket, 'close');
  }

  #sendDue(): void {
    const due = Math.floor((monotonicMs() - this.startedAtMs) / this.#sound.frameMs) + 1;
    for (; this.#sent < due; this.#sent += 1) this.#socket.write(this.#sound.frame(this.#sent));
  }
}
