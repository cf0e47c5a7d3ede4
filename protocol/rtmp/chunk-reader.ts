/**
 * Cuts a byte stream of interleaved chunks into messages, whatever the pieces in which it comes (RTMP 1.0 §5.3).
 *
 *     push(bytes) ─▶ basic header ─▶ message header ─▶ extended timestamp ─▶ payload ─▶ message, when it is whole
 *                     1 … 3           11, 7, 3, 0       0 or 4                  └▶ of video, and what else we don't
 *                                                                                  want: counted, never kept
 *
 * A length is judged on its field, before anything is kept; what is kept grows with what came. SET_CHUNK_SIZE and ABORT
 * change how the following bytes are read, so they are obeyed here. What breaks the rules is a RemoteProtocolError.
 */
import { ByteCollector, ByteReader } from '../bytes.js';
import { RemoteProtocolError } from '../errors.js';
import {
  EXTENDED_TIMESTAMP,
  FIRST_CHUNK_BYTES,
  MAX_CHUNK_BYTES,
  MAX_CHUNK_STREAMS,
  MAX_CONTROL_BYTES,
  MAX_KEPT_BYTES,
  MAX_PARTIAL_BYTES,
  MAX_SKIPPED_BYTES,
  MESSAGE_TYPE,
} from './constants.js';

/** Commands, data, audio and control messages: what is handed on. */
export type KeptType = Exclude<(typeof MESSAGE_TYPE)[keyof typeof MESSAGE_TYPE], typeof MESSAGE_TYPE.VIDEO>;

/** A message as it stands in the chunks; `decodeMessage` says what it means. */
export interface RawMessage {
  readonly type: KeptType;
  /** The message stream's ID; 0 for the connection itself. */
  readonly stream: number;
  /** Milliseconds, modulo 2³². */
  readonly timestamp: number;
  readonly payload: Uint8Array;
}

/** Bytes of a message header by format (RTMP 1.0 §5.3.1.2). */
const MESSAGE_HEADER_BYTES = [11, 7, 3, 0] as const;
const CONTINUES = 3;

/** What is remembered of a chunk stream: its last header, and the message that is being read. */
interface ChunkStream {
  timestamp: number;
  /** What a format 3 chunk that begins a message adds. */
  delta: number;
  length: number;
  type: number;
  stream: number;
  /** The extended timestamp as it was written, if the last header had one. */
  extended: Buffer | undefined;
  /** Undefined between messages. */
  partial: { owed: number; readonly kept: ByteCollector | undefined } | undefined;
}

/** What comes next; `repeated` is the extended timestamp again, in a chunk that goes on. */
type Part = 'basic' | 'header' | 'extended' | 'repeated' | 'payload';

export class ChunkReader {
  #pieces: Uint8Array[] = [];
  #offset = 0;
  #chunkBytes = FIRST_CHUNK_BYTES;
  readonly #streams = new Map<number, ChunkStream>();
  #partialBytes = 0;
  #part: Part = 'basic';
  /** The header field that is being read, as far as it came. */
  readonly #field = Buffer.alloc(MESSAGE_HEADER_BYTES[0]);
  #fieldLength = 0;
  #format = 0;
  #current!: ChunkStream;
  /** Payload bytes that are still to come in this chunk. */
  #owed = 0;

  /** Takes the bytes over; they must not change until `next` has returned undefined. */
  push(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#pieces.push(bytes);
  }

  /** The next message, or undefined when more bytes are needed. Throws RemoteProtocolError; then the stream is over. */
  next(): RawMessage | undefined {
    while (true) {
      const read = this.#readPart();
      if (read === 'more') return undefined;
      if (read !== 'on') return read;
    }
  }

  #readPart(): RawMessage | 'more' | 'on' {
    switch (this.#part) {
      case 'basic':
        return this.#readBasicHeader();
      case 'header':
        return this.#readMessageHeader();
      case 'extended':
        return this.#readExtendedTimestamp();
      case 'repeated':
        return this.#readRepeatedTimestamp();
      case 'payload':
        return this.#readPayload();
    }
  }

  /** Ids below 64 stand in the first byte; 0 and 1 there say that one or two more bytes follow. */
  #readBasicHeader(): 'more' | 'on' {
    if (!this.#fill(1)) return 'more';
    const field = this.#field;
    const low = field[0]! & 0x3f;
    if (low <= 1 && !this.#fill(low + 2)) return 'more';
    this.#fieldLength = 0;
    this.#format = field[0]! >> 6;
    this.#current = this.#chunkStream(low > 1 ? low : 64 + field[1]! + (low === 1 ? 256 * field[2]! : 0));
    this.#part = 'header';
    return 'on';
  }

  #chunkStream(id: number): ChunkStream {
    const known = this.#streams.get(id);
    if (known !== undefined) {
      if (known.partial !== undefined && this.#format !== CONTINUES)
        throw new RemoteProtocolError('bad-message', `chunk stream ${id} begins inside its last message`);
      return known;
    }
    if (this.#format === CONTINUES)
      throw new RemoteProtocolError('bad-message', `chunk stream ${id} goes on before it began`);
    if (this.#streams.size >= MAX_CHUNK_STREAMS)
      throw new RemoteProtocolError('too-large', `more than ${MAX_CHUNK_STREAMS} chunk streams`);
    // librtmp begins with formats 1 and 2 too: what they leave out is 0 then.
    const fresh: ChunkStream = {
      timestamp: 0,
      delta: 0,
      length: 0,
      type: 0,
      stream: 0,
      extended: undefined,
      partial: undefined,
    };
    this.#streams.set(id, fresh);
    return fresh;
  }

  #readMessageHeader(): 'more' | 'on' {
    const current = this.#current;
    if (this.#format === CONTINUES) {
      if (current.extended !== undefined) this.#part = 'repeated';
      else this.#headerRead();
      return 'on';
    }
    if (!this.#fill(MESSAGE_HEADER_BYTES[this.#format]!)) return 'more';
    this.#fieldLength = 0;
    const time = this.#field.readUIntBE(0, 3);
    if (this.#format <= 1) {
      current.length = this.#field.readUIntBE(3, 3);
      current.type = this.#field[6]!;
    }
    if (this.#format === 0) current.stream = this.#field.readUInt32LE(7);
    current.delta = time;
    current.extended = undefined;
    if (time === EXTENDED_TIMESTAMP) this.#part = 'extended';
    else this.#headerRead();
    return 'on';
  }

  #readExtendedTimestamp(): 'more' | 'on' {
    if (!this.#fill(4)) return 'more';
    this.#fieldLength = 0;
    this.#current.extended = Buffer.from(this.#field.subarray(0, 4));
    this.#current.delta = this.#field.readUInt32BE(0);
    this.#headerRead();
    return 'on';
  }

  /**
   * After an extended timestamp every format 3 chunk repeats it; but some senders don't. So it is taken for one only as
   * far as its bytes are the same; at the first that differs all of them are payload.
   */
  #readRepeatedTimestamp(): 'more' | 'on' {
    const expected = this.#current.extended!;
    while (this.#fieldLength < expected.length) {
      const at = this.#fieldLength;
      if (!this.#fill(at + 1)) return 'more';
      if (this.#field[at] === expected[at]) continue;
      this.#unread(this.#field.subarray(0, at + 1));
      break;
    }
    this.#fieldLength = 0;
    this.#headerRead();
    return 'on';
  }

  #headerRead(): void {
    const current = this.#current;
    if (current.partial === undefined) {
      // A timestamp in format 0 stands for itself, else it is added; format 3 adds the last one again.
      current.timestamp = this.#format === 0 ? current.delta : (current.timestamp + current.delta) >>> 0;
      current.partial = { owed: current.length, kept: keeperOf(current) };
    }
    this.#owed = Math.min(this.#chunkBytes, current.partial.owed);
    this.#part = 'payload';
  }

  #readPayload(): RawMessage | 'more' | 'on' {
    const partial = this.#current.partial!;
    while (this.#owed > 0) {
      const bytes = this.#takeSome(this.#owed);
      if (bytes === undefined) return 'more';
      this.#owed -= bytes.length;
      partial.owed -= bytes.length;
      if (partial.kept === undefined) continue;
      partial.kept.add(bytes);
      this.#partialBytes += bytes.length;
      if (this.#partialBytes > MAX_PARTIAL_BYTES)
        throw new RemoteProtocolError('too-large', 'too much of unfinished messages');
    }
    this.#part = 'basic';
    if (partial.owed > 0) return 'on';
    return this.#finish(this.#current) ?? 'on';
  }

  /** The message is whole. Undefined when it was only read past. */
  #finish(current: ChunkStream): RawMessage | undefined {
    const { type, stream, timestamp } = current;
    const payload = this.#drop(current);
    if (payload === undefined || !isKept(type)) return undefined;
    if (type === MESSAGE_TYPE.SET_CHUNK_SIZE) this.#setChunkBytes(payload);
    if (type === MESSAGE_TYPE.ABORT) this.#abort(payload);
    return { type, stream, timestamp, payload };
  }

  /** Between messages again; what was kept of the one. */
  #drop(stream: ChunkStream): Uint8Array | undefined {
    const kept = stream.partial?.kept?.take();
    stream.partial = undefined;
    this.#partialBytes -= kept?.length ?? 0;
    return kept;
  }

  #setChunkBytes(payload: Uint8Array): void {
    const bytes = new ByteReader(payload).u32('chunk size');
    if (bytes === 0 || bytes >= 2 ** 31)
      throw new RemoteProtocolError('bad-message', `${bytes} is no chunk size`);
    this.#chunkBytes = Math.min(bytes, MAX_CHUNK_BYTES);
  }

  #abort(payload: Uint8Array): void {
    const aborted = this.#streams.get(new ByteReader(payload).u32('chunk stream'));
    if (aborted !== undefined) this.#drop(aborted);
  }

  /** Whether the field has `count` bytes by now. */
  #fill(count: number): boolean {
    while (this.#fieldLength < count) {
      const bytes = this.#takeSome(count - this.#fieldLength);
      if (bytes === undefined) return false;
      this.#field.set(bytes, this.#fieldLength);
      this.#fieldLength += bytes.length;
    }
    return true;
  }

  /** At most `count` of the bytes that are there, in one piece. */
  #takeSome(count: number): Uint8Array | undefined {
    const piece = this.#pieces[0];
    if (piece === undefined) return undefined;
    const bytes = piece.subarray(this.#offset, this.#offset + count);
    this.#offset += bytes.length;
    if (this.#offset === piece.length) {
      this.#pieces.shift();
      this.#offset = 0;
    }
    return bytes;
  }

  #unread(bytes: Uint8Array): void {
    const rest = this.#pieces.shift()?.subarray(this.#offset);
    this.#offset = 0;
    this.#pieces.unshift(Uint8Array.from(bytes), ...(rest === undefined ? [] : [rest]));
  }
}

/** Where a message is kept, if it is; throws when it is longer than its kind may be. */
function keeperOf({ type, length }: ChunkStream): ByteCollector | undefined {
  const limit = longestOf(type);
  if (length > limit)
    throw new RemoteProtocolError('too-large', `a message of type ${type} of ${length} bytes`);
  return isKept(type) ? new ByteCollector(length) : undefined;
}

function longestOf(type: number): number {
  if (type >= MESSAGE_TYPE.SET_CHUNK_SIZE && type <= MESSAGE_TYPE.SET_PEER_BANDWIDTH)
    return MAX_CONTROL_BYTES;
  if (isKept(type)) return MAX_KEPT_BYTES;
  return type === MESSAGE_TYPE.VIDEO ? Number.POSITIVE_INFINITY : MAX_SKIPPED_BYTES;
}

const KEPT: ReadonlySet<number> = new Set(
  Object.values(MESSAGE_TYPE).filter(type => type !== MESSAGE_TYPE.VIDEO),
);

const isKept = (type: number): type is KeptType => KEPT.has(type);
