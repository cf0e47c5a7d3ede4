/**
 * The audio process's pipe: messages as frames, both ways. Songs' bytes go as they are, everything else as JSON.
 *
 *     0        1                 5                 9
 *     ├─ kind ─┼─ length (u32) ──┼─ song (u32) ────┼─ payload …        kind 0: JSON, 1: a song's bytes
 *
 * Both ends are this program, so a frame that is wrong is a bug and throws.
 */
import type { AudioCommand, AudioReport } from './audio-messages.js';

const HEADER_BYTES = 9;
const JSON_KIND = 0;
const DATA_KIND = 1;
/** The peer cuts a song's bytes into pieces no larger, so that the first sound need not wait for more than it needs. */
export const MAX_DATA_BYTES = 8_192;

export function encodeFrame(message: AudioCommand | AudioReport): Buffer {
  const isData = 'do' in message && message.do === 'data';
  const payload = isData ? message.bytes : Buffer.from(JSON.stringify(message));
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  frame[0] = isData ? DATA_KIND : JSON_KIND;
  frame.writeUInt32BE(payload.length, 1);
  frame.writeUInt32BE(isData ? message.song : 0, 5);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

/** Puts frames together again. `Message` is what this end is sent. */
export class FrameReader<Message extends AudioCommand | AudioReport> {
  #held: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Message[] {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const messages: Message[] = [];
    for (;;) {
      if (this.#held.length < HEADER_BYTES) return messages;
      const length = this.#held.readUInt32BE(1);
      if (this.#held.length < HEADER_BYTES + length) return messages;
      const payload = this.#held.subarray(HEADER_BYTES, HEADER_BYTES + length);
      const message =
        this.#held[0] === DATA_KIND
          ? { do: 'data', song: this.#held.readUInt32BE(5), bytes: payload }
          : JSON.parse(payload.toString());
      messages.push(message as Message);
      this.#held = this.#held.subarray(HEADER_BYTES + length);
    }
  }
}
