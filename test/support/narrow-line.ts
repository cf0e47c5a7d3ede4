/**
 * A line of a known width before a host: what the host sends waits its turn on it, and is dropped where too much waits.
 *
 *     listener ⇄ 127.0.0.1:port ◀═ so many bytes a second ═ host          what is asked goes to the host at once
 *
 * Over UDP. It counts no time: whoever wants to know whether it was full is told when it was not.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Teardown } from './until.js';

/** What waits before it: as the queue of a home router. */
const QUEUE_MS = 200;

interface Waiting {
  readonly datagram: Buffer;
  readonly to: number;
  readonly leavesAt: number;
}

export class NarrowLine {
  readonly #hostPort: number;
  #bytesPerSecond: number;
  readonly #here: Socket;
  /** By the port of a listener, where the host answers it. */
  readonly #there = new Map<number, Socket>();
  #queue: Waiting[] = [];
  #freeAt = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Told of each datagram that leaves it. */
  onCarried: (datagram: Buffer) => void = () => {};
  /** Told when it had nothing to carry for a moment. */
  onIdle: () => void = () => {};

  private constructor(here: Socket, hostPort: number, bytesPerSecond: number) {
    this.#here = here;
    this.#hostPort = hostPort;
    this.#bytesPerSecond = bytesPerSecond;
    here.on('message', (datagram, { port }) =>
      this.#thereFor(port).send(datagram, this.#hostPort, '127.0.0.1'),
    );
  }

  static async start(t: Teardown, hostPort: number, bytesPerSecond: number): Promise<NarrowLine> {
    const here = createSocket('udp4').bind(0, '127.0.0.1');
    await once(here, 'listening');
    const line = new NarrowLine(here, hostPort, bytesPerSecond);
    t.teardown(() => line.#stop());
    return line;
  }

  get port(): number {
    return this.#here.address().port;
  }

  /** From now on as wide as the machine can. */
  widen(): void {
    this.#bytesPerSecond = Number.POSITIVE_INFINITY;
  }

  #thereFor(port: number): Socket {
    const known = this.#there.get(port);
    if (known !== undefined) return known;
    const socket = createSocket('udp4');
    socket.on('message', datagram => this.#queueUp(datagram, port));
    // A host that is gone says so by ICMP, which a line does not pass on.
    socket.on('error', () => {});
    this.#there.set(port, socket);
    return socket;
  }

  #queueUp(datagram: Buffer, to: number): void {
    const now = performance.now();
    if (this.#freeAt <= now) this.onIdle();
    const begins = Math.max(now, this.#freeAt);
    if (begins - now > QUEUE_MS) return;
    this.#freeAt = begins + (datagram.length * 1_000) / this.#bytesPerSecond;
    this.#queue.push({ datagram, to, leavesAt: this.#freeAt });
    if (this.#queue.length === 1) this.#carry();
  }

  #carry(): void {
    const now = performance.now();
    while (this.#queue.length > 0 && this.#queue[0]!.leavesAt <= now) {
      const { datagram, to } = this.#queue.shift()!;
      this.#here.send(datagram, to, '127.0.0.1');
      this.onCarried(datagram);
    }
    const [next] = this.#queue;
    if (next !== undefined) this.#timer = setTimeout(() => this.#carry(), next.leavesAt - now);
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
    for (const socket of [this.#here, ...this.#there.values()]) socket.close();
  }
}
