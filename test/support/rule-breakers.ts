/**
 * What clients that break the rules of TSP do to any server that speaks it, tracker or host: they drip, send every type
 * that a byte can be, lie about lengths, make noise, vanish. Each resolves when the server is rid of them all; whether it
 * came through is for its test to ask (`survivor.ts`).
 *
 *     await new RuleBreakers(t, port).makeNoise(3_000);
 *     await survivor.survived();
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { FIRST_TYPE_WITH_PAYLOAD, MESSAGE_TYPE } from '../../protocol/tsp/constants.js';
import { Framer } from '../../protocol/tsp/framing.js';
import { connectFrom, gone, inTurns, randomNumbers, range } from './crowd.js';
import type { Teardown } from './until.js';

/** Real time, since the server's clock is the real one; nine bytes at this pace take longer than a header may. */
const DRIP_MS = 600;
const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;
/** Requests that a tracker or a host, or both, would listen to. */
const { INIT, LIST, INFO, PLAY, PING, HELLO, RANGE, FIND, UPDATE, HASHES } = MESSAGE_TYPE;
const KNOWN_TYPES = [INIT, LIST, INFO, PLAY, PING, HELLO, RANGE, FIND, UPDATE, HASHES];
/** By type, requests and answers and those that nobody has: a length that neither a tracker nor a host lets in. */
const TOO_LONG: readonly (readonly [type: number, length: number])[] = [
  [0x40, 4_097],
  [0x41, 0xffff_ffff],
  [0x42, 65_537],
  [0x43, 65_537],
  [0x5a, 0x8000_0000],
  [0x81, 0xffff_ffff],
  [0x83, 0xffff_ffff],
  [0xc3, 4_097],
  [0xff, 0x0100_0000],
];

export class RuleBreakers {
  readonly #t: Teardown;
  readonly #port: number;

  constructor(t: Teardown, port: number) {
    this.#t = t;
    this.#port = port;
  }

  /** Silence, headers and payloads that come a byte at a time; resolves with what each was told before it was cut off. */
  async drip(typeWithPayload: number): Promise<string[]> {
    const hello = Buffer.concat([messageHead(HELLO, 0, 4_000), Buffer.from('{"tsp":1,')]);
    const speeches = [
      { bytes: Buffer.alloc(0), atOnce: 0 },
      { bytes: Buffer.of(typeWithPayload, 0, 0, 0), atOnce: 0 },
      { bytes: messageHead(typeWithPayload, 0, 0).subarray(0, 8), atOnce: 0 },
      { bytes: hello, atOnce: 9 },
    ];
    const told: string[] = [];
    const all = range(16).map(index => speeches[index % speeches.length]!);
    await inTurns(all, all.length, async ({ bytes, atOnce }) => {
      const socket = await connectFrom(this.#t, this.#port, 1);
      socket.write(bytes.subarray(0, atOnce));
      drip(socket, bytes.subarray(atOnce));
      const [answer] = await once(socket, 'data');
      told.push(answer.toString('latin1'));
      await gone(socket);
    });
    return told;
  }

  /** Every type × these fields × these payloads; resolves with what came back, well-formed, and how often. */
  async sayEverything(fields: readonly number[], payloads: readonly Buffer[]): Promise<Map<string, number>> {
    const cases = range(256).flatMap(type => payloads.map(payload => ({ type, payload })));
    const heard = new Map<string, number>();
    await inTurns(cases, 32, async ({ type, payload }) => {
      const socket = await connectFrom(this.#t, this.#port, 2 + (type << 4) + (payload.length & 0xf));
      const answers = new Framer({ maxPayloadBytes: MAX_PAYLOAD_BYTES });
      socket.on('data', chunk => {
        answers.push(chunk);
        for (let event = answers.next(); event !== undefined; event = answers.next()) {
          if (event.kind === 'unknown') throw new Error(`the server said ${event.type}`);
          const what = event.kind === 'message' ? event.message.type : event.kind;
          heard.set(what, (heard.get(what) ?? 0) + 1);
        }
      });
      socket.end(Buffer.concat(fields.map(field => messageOf(type, field, payload))));
      await gone(socket);
      answers.end();
    });
    return heard;
  }

  /** Announces more than may come, and sends none of it; resolves with the answers, by type. */
  async announceTooMuch(): Promise<Map<number, string>> {
    const told = new Map<number, string>();
    for (const [type, length] of TOO_LONG) {
      const socket = await connectFrom(this.#t, this.#port, 40_000 + type);
      socket.write(messageHead(type, 0, length));
      const [answer] = await once(socket, 'data');
      socket.end();
      await gone(socket);
      told.set(type, answer.toString('latin1'));
    }
    return told;
  }

  /** Random bytes on that many connections, some of them reset. */
  async makeNoise(connections: number): Promise<void> {
    await inTurns(range(connections), 64, async index => {
      const random = randomNumbers(index);
      const socket = await connectFrom(this.#t, this.#port, 10_000 + index);
      const noise = Buffer.from(range(1 + (random() % 300)).map(() => random()));
      // Half of them begin with a type that there is, so that the noise gets further in.
      if (index % 2 === 0) noise[0] = KNOWN_TYPES[random() % KNOWN_TYPES.length]!;
      if (index % 3 === 0) socket.write(noise, () => socket.resetAndDestroy());
      else socket.end(noise);
      await gone(socket);
    });
  }

  /** Asks, and is gone when so many bytes of the answer have come, by a reset or without a word. */
  async vanish(request: Uint8Array, points: readonly number[]): Promise<void> {
    await inTurns(points, 16, async point => {
      const socket = await connectFrom(this.#t, this.#port, 100 + point);
      socket.write(request);
      socket.on('data', () => {
        if (socket.bytesRead < point) return;
        if (point % 2 === 0) socket.resetAndDestroy();
        else socket.destroy();
      });
      if (point === 0) socket.resetAndDestroy();
      await gone(socket);
    });
  }
}

function messageHead(type: number, field: number, length: number): Buffer {
  const head = Buffer.alloc(9);
  head[0] = type;
  head.writeUInt32BE(field, 1);
  head.writeUInt32BE(length, 5);
  return head;
}

/** Any type, also one that there is not: its header, and its payload if such a type has one (TSP §2). */
export function messageOf(type: number, field: number, payload: Uint8Array): Buffer {
  const head = messageHead(type, field, payload.length);
  return type < FIRST_TYPE_WITH_PAYLOAD ? head.subarray(0, 5) : Buffer.concat([head, payload]);
}

/** A byte now and the others at intervals, as long as somebody listens. */
export function drip(socket: Socket, bytes: Uint8Array): void {
  const [first] = bytes;
  if (first === undefined || socket.destroyed) return;
  socket.write(Uint8Array.of(first), () => setTimeout(drip, DRIP_MS, socket, bytes.subarray(1)));
}
