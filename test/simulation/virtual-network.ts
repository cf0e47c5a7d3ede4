/**
 * Machines and the lines between them: delays, cuts, merges, stalls, resets, silence.
 *
 *     machine A ── pipe per socket and direction, in order ──▶ machine B          faults: of a machine, or of a pair
 *
 * Three ways to go: a process that is killed (its kernel closes its connections), a machine that loses power (silence,
 * then resets when it is back and hears of connections it does not know), and a pause, in which nothing is done.
 */
import { EventEmitter } from 'node:events';
import type { createServer, Server, Socket } from 'node:net';
import type { Clock, Milliseconds } from '../../protocol/ports.js';
import type { Chance } from './chance.js';
import type { Timeline } from './timeline.js';
import { VirtualSocket } from './virtual-socket.js';

const MAX_DELAY_MS = 100;

interface Segment {
  readonly from: VirtualSocket;
  readonly to: VirtualSocket;
  readonly what: Buffer | 'end' | 'reset';
}

export class VirtualNetwork {
  readonly machines = new Map<string, Machine>();
  /** When the last segment of each socket arrives: nothing overtakes it. */
  readonly #lastArrival = new WeakMap<VirtualSocket, Milliseconds>();
  /** Until when a segment of each socket is held up: those behind it wait as well, even when the line is mended sooner. */
  readonly #heldUntil = new WeakMap<VirtualSocket, Milliseconds>();
  readonly #stalledUntil = new Map<string, Milliseconds>();

  constructor(
    readonly timeline: Timeline,
    readonly chance: Chance,
  ) {}

  machine(address: string): Machine {
    const machine = new Machine(address, this);
    this.machines.set(address, machine);
    return machine;
  }

  /** Nothing passes between the two for so long; what is under way arrives afterwards. */
  stall(a: string, b: string, forMs: Milliseconds): void {
    this.#stalledUntil.set(pair(a, b), this.timeline.now() + forMs);
  }

  /** As the network would, by the next hop: pieces of any size, now and then many small ones. */
  *cut(bytes: Buffer, longest: number): Iterable<Buffer> {
    const most = this.chance.is(0.05) ? 40 : longest;
    for (let at = 0; at < bytes.length; ) {
      const length = Math.min(bytes.length - at, this.chance.is(0.7) ? longest : this.chance.int(1, most));
      yield bytes.subarray(at, at + length);
      at += length;
    }
  }

  send(from: VirtualSocket, to: VirtualSocket, bytes: Buffer): void {
    this.#pass({ from, to, what: bytes });
  }

  sendEnd(from: VirtualSocket, to: VirtualSocket): void {
    this.#pass({ from, to, what: 'end' });
  }

  sendReset(from: VirtualSocket, to: VirtualSocket): void {
    this.#pass({ from, to, what: 'reset' });
  }

  /** Breaks the connection in the middle, as a router that lost its table. */
  reset(socket: VirtualSocket): void {
    socket.other?.arriveReset();
    socket.arriveReset();
  }

  delay(): Milliseconds {
    return this.chance.is(0.5) ? this.chance.unit() * 5 : this.chance.unit() * MAX_DELAY_MS;
  }

  #pass(segment: Segment): void {
    const { from, to } = segment;
    const { timeline } = this;
    const soonest = timeline.now() + this.delay();
    const at = Math.max(soonest, this.#lastArrival.get(from) ?? 0);
    this.#lastArrival.set(from, at);
    timeline.at(at, () => this.#arrive(segment, pair(from.machine.address, to.machine.address)));
  }

  #arrive(segment: Segment, line: string): void {
    const { timeline } = this;
    const { from, to, what } = segment;
    const held = this.#heldUntil.get(from) ?? 0;
    const later = Math.max(this.#stalledUntil.get(line) ?? 0, to.machine.pausedUntil, held);
    if (later > timeline.now()) {
      this.#heldUntil.set(from, later);
      timeline.at(later, () => this.#arrive(segment, line));
      return;
    }
    if (!to.machine.hasPower) return;
    to.machine.heardOf(from.machine.address);
    if (what === 'end') to.arriveEnd();
    else if (what === 'reset') to.arriveReset();
    else if (!to.arrive(what)) {
      timeline.note(`${to.machine.address} knows nothing of ${what.length} bytes of ${from.machine.address}`);
      from.arriveReset();
    } else timeline.note(`${from.machine.address} > ${to.machine.address} ${what.length}`);
  }
}

export class Machine {
  hasPower = true;
  pausedUntil: Milliseconds = 0;
  #nextPort = 40_000;
  /** Grows with each process that ran here. */
  #process = 0;
  readonly #heard = new Map<string, Milliseconds>();
  readonly #sockets = new Set<VirtualSocket>();
  readonly #servers = new Map<number, VirtualServer>();

  constructor(
    readonly address: string,
    readonly network: VirtualNetwork,
  ) {}

  /** When bytes of that machine last came here. */
  lastHeardOf(address: string): Milliseconds {
    return this.#heard.get(address) ?? 0;
  }

  heardOf(address: string): void {
    this.#heard.set(address, this.network.timeline.now());
  }

  get sockets(): Iterable<VirtualSocket> {
    return this.#sockets;
  }

  /** Time as the process sees it that runs here now; when that is killed, its timers never fire. */
  clock(): Clock {
    const { timeline } = this.network;
    const process = this.#process;
    const fire = (callback: () => void): void => {
      if (this.#process !== process) return;
      if (this.pausedUntil > timeline.now()) timeline.at(this.pausedUntil, () => fire(callback));
      else callback();
    };
    return {
      now: () => timeline.now(),
      after: (delayMs, callback) => timeline.after(delayMs, () => fire(callback)),
    };
  }

  readonly openSocket = (): Socket => {
    const socket = new VirtualSocket(this, { allowHalfOpen: false });
    this.#sockets.add(socket);
    return socket as unknown as Socket;
  };

  readonly createServer = ((options: { allowHalfOpen: boolean }, accept: (socket: Socket) => void) => {
    return new VirtualServer(this, options, accept) as unknown as Server;
  }) as typeof createServer;

  listen(server: VirtualServer, port: number): void {
    this.#servers.set(port, server);
  }

  close(server: VirtualServer): void {
    for (const [port, open] of this.#servers) if (open === server) this.#servers.delete(port);
  }

  forget(socket: VirtualSocket): void {
    this.#sockets.delete(socket);
  }

  dial(from: VirtualSocket, host: string, port: number): void {
    const { network } = this;
    const { timeline } = network;
    timeline.at(timeline.now() + network.delay(), () => {
      const to = network.machines.get(host);
      if (from.isAbandoned || from.destroyed || to === undefined || !to.hasPower) return;
      const server = to.#servers.get(port);
      if (server === undefined) {
        from.destroy(
          Object.assign(new Error(`connect ECONNREFUSED ${host}:${port}`), { code: 'ECONNREFUSED' }),
        );
        return;
      }
      const accepted = new VirtualSocket(to, server);
      to.#sockets.add(accepted);
      from.localPort = accepted.remotePort = this.#nextPort++;
      from.remotePort = accepted.localPort = port;
      accepted.other = from;
      accepted.remoteAddress = this.address;
      timeline.note(`${this.address} connects to ${host}:${port}`);
      from.connected(accepted);
      // As long as only the kernel knows of it, nobody hears what becomes of it.
      accepted.on('error', () => undefined);
      timeline.at(Math.max(timeline.now(), to.pausedUntil), () => {
        if (!accepted.isAbandoned && !accepted.destroyed) server.accept(accepted);
      });
    });
  }

  /** The process is killed; its kernel closes what it had open. */
  kill(): void {
    for (const socket of this.#abandonAll()) {
      const { other } = socket;
      if (other === undefined) continue;
      if (this.network.chance.is(0.5)) this.network.sendEnd(socket, other);
      else this.network.sendReset(socket, other);
    }
  }

  /** Nobody hears of it. */
  losePower(): void {
    this.hasPower = false;
    this.#abandonAll();
  }

  #abandonAll(): VirtualSocket[] {
    this.#process += 1;
    this.pausedUntil = 0;
    this.#servers.clear();
    const sockets = [...this.#sockets];
    this.#sockets.clear();
    for (const socket of sockets) socket.isAbandoned = true;
    return sockets;
  }
}

class VirtualServer extends EventEmitter {
  listening = false;
  readonly allowHalfOpen: boolean;
  readonly #machine: Machine;
  readonly #accept: (socket: Socket) => void;
  #port = 0;

  constructor(
    machine: Machine,
    { allowHalfOpen }: { allowHalfOpen: boolean },
    accept: (socket: Socket) => void,
  ) {
    super();
    this.allowHalfOpen = allowHalfOpen;
    this.#machine = machine;
    this.#accept = accept;
  }

  listen({ port }: { readonly port: number }): this {
    this.#port = port;
    this.listening = true;
    this.#machine.listen(this, port);
    queueMicrotask(() => this.emit('listening'));
    return this;
  }

  address(): { address: string; port: number } {
    return { address: this.#machine.address, port: this.#port };
  }

  close(): this {
    this.listening = false;
    this.#machine.close(this);
    queueMicrotask(() => this.emit('close'));
    return this;
  }

  accept(socket: VirtualSocket): void {
    this.#accept(socket as unknown as Socket);
  }
}

const pair = (a: string, b: string): string => (a < b ? `${a} ${b}` : `${b} ${a}`);
