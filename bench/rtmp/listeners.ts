/**
 * Many RTMP players in one process, the same for every server: each counts the audio messages that it gets and what is
 * missing between them, and keeps nothing.
 *
 *     ListenersTask ─▶ all connect and play ─▶ 'playing', when each has heard something ─▶ 'go' ─▶ so many seconds ─▶ report
 */
import { connect as dial, type Socket } from 'node:net';
import { setTimeout as rest } from 'node:timers/promises';
import { ChunkReader } from '../../protocol/rtmp/chunk-reader.js';
import { HANDSHAKE_BYTES, MESSAGE_TYPE } from '../../protocol/rtmp/constants.js';
import { decodeMessage, type Message } from '../../protocol/rtmp/messages.js';
import { inTurns, range } from '../../test/support/crowd.js';
import { clientHello, command, connect, said } from '../../test/support/rtmp-client.js';

/** Over IPC, from `bench/rtmp.ts`. */
export interface ListenersTask {
  readonly port: number;
  readonly name: string;
  readonly listeners: number;
  readonly seconds: number;
}

export interface ListenersReport {
  readonly messages: number;
  readonly bytes: number;
  /** Places where the timestamps jump by more than a frame. */
  readonly gaps: number;
  /** The fewest messages that one of them got. */
  readonly fewest: number;
  readonly cpuSeconds: number;
}

/** On a busy machine more than a few would be late with their handshakes. */
const CONNECTING_AT_ONCE = 20;
/** A frame of 44.1 kHz is 26.1 ms, in whole milliseconds 27 at the most. */
const FRAME_MS = 27;

process.once('message', async (task: ListenersTask) => {
  const players: RtmpListener[] = [];
  await inTurns(range(task.listeners), CONNECTING_AT_ONCE, async () => {
    const player = new RtmpListener(task);
    players.push(player);
    await player.playing;
  });
  process.send!('playing');
  process.once('message', async () => {
    for (const player of players) player.reset();
    const before = process.cpuUsage();
    await rest(task.seconds * 1_000);
    const { user, system } = process.cpuUsage(before);
    const sum = (pick: (player: RtmpListener) => number): number =>
      players.reduce((total, player) => total + pick(player), 0);
    const report: ListenersReport = {
      messages: sum(({ messages }) => messages),
      bytes: sum(({ bytes }) => bytes),
      gaps: sum(({ gaps }) => gaps),
      fewest: Math.min(...players.map(({ messages }) => messages)),
      cpuSeconds: (user + system) / 1e6,
    };
    process.send!(report, () => process.exit());
  });
});

class RtmpListener {
  readonly playing: Promise<void>;
  messages = 0;
  bytes = 0;
  gaps = 0;
  readonly #socket: Socket;
  readonly #name: string;
  readonly #chunks = new ChunkReader();
  readonly #heard: () => void;
  #handshakeOwed = 1 + 2 * HANDSHAKE_BYTES;
  #lastAt: number | undefined;

  constructor({ port, name }: ListenersTask) {
    let heard = (): void => {};
    let failed = (_error: Error): void => {};
    this.playing = new Promise((resolve, reject) => {
      heard = resolve;
      failed = reject;
    });
    this.#heard = heard;
    this.#name = name;
    this.#socket = dial({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.once('error', failed).once('end', () => failed(new Error('the server closed')));
    this.#socket.on('data', bytes => this.#take(bytes));
    this.#socket.write(clientHello());
  }

  reset(): void {
    this.messages = 0;
    this.bytes = 0;
    this.gaps = 0;
  }

  #take(bytes: Uint8Array): void {
    const skipped = Math.min(this.#handshakeOwed, bytes.length);
    this.#handshakeOwed -= skipped;
    if (skipped > 0 && this.#handshakeOwed === 0) this.#socket.write(said(connect('live')));
    this.#chunks.push(bytes.subarray(skipped));
    for (let raw = this.#chunks.next(); raw !== undefined; raw = this.#chunks.next()) {
      if (raw.type === MESSAGE_TYPE.USER_CONTROL || raw.type === MESSAGE_TYPE.COMMAND_AMF0)
        this.#answer(decodeMessage(raw));
      if (raw.type !== MESSAGE_TYPE.AUDIO || raw.payload.length < 2) continue;
      this.messages += 1;
      this.bytes += raw.payload.length;
      if (this.#lastAt !== undefined && raw.timestamp - this.#lastAt > FRAME_MS) this.gaps += 1;
      this.#lastAt = raw.timestamp;
      this.#heard();
    }
  }

  /** One thing after the other: not every server takes what comes before it has answered. */
  #answer(message: Message): void {
    if (message.kind === 'user-control' && message.event === 'ping-request')
      this.#socket.write(said({ kind: 'user-control', event: 'ping-response', value: message.value }));
    if (message.kind !== 'command' || message.name !== '_result') return;
    if (message.transaction === 1) this.#socket.write(said(command('createStream', 2, null)));
    else this.#socket.write(said(command('play', 3, null, this.#name, -2_000), 1));
  }
}
