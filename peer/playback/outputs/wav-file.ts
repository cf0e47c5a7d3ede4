/**
 * A WAV file of what is played, as fast as it comes: 16-bit, in the first song's own rate and channels.
 *
 *     "RIFF" size "WAVE" │ "fmt " 16 PCM channels rate … │ "data" size │ samples of song 1 │ song 2 │ …
 *
 * Songs follow one another without a gap; one of another format is converted to the first one's, so that the file plays
 * as a whole. The lengths in the header are set whenever a song has ended and nothing follows; until then they say «to the
 * end of the file», so that what a killed process leaves can be played too. A process that takes over goes on where it is told to.
 */
import { type FileHandle, open } from 'node:fs/promises';
import type { Clock } from '../../../protocol/ports.js';
import { littleEndian, type PcmFormat } from '../pcm.js';
import { writeWhole } from './descriptor.js';
import { type Output, OutputError, outputError } from './output.js';

const WAV_HEADER_BYTES = 44;
/** What streams write where the length is not known. */
const UNKNOWN_LENGTH = 0xffff_ffff;

export class WavFileOutput implements Output {
  readonly name: string;
  readonly bufferSeconds = 0;
  readonly formats = 'fixed';
  readonly #path: string;
  readonly #clock: Clock;
  #keepBytes: number | undefined;
  #file: FileHandle | undefined;
  #format: PcmFormat | undefined;
  #dataBytes = 0;

  /** `keepBytes`: the file is this output's own from before; after so many bytes of samples it is written anew. */
  constructor(options: {
    readonly path: string;
    readonly clock: Clock;
    readonly keepBytes?: number | undefined;
  }) {
    this.#path = options.path;
    this.#clock = options.clock;
    this.#keepBytes = options.keepBytes;
    this.name = `file:${options.path}`;
  }

  async prepare(): Promise<void> {
    if (this.#file !== undefined) return;
    try {
      this.#file = await open(this.#path, this.#keepBytes === undefined ? 'w' : 'r+');
      if (this.#keepBytes !== undefined) await this.#takeOver(this.#file, this.#keepBytes);
    } catch (error) {
      throw outputError(this.#path, error);
    }
  }

  async open(format: PcmFormat): Promise<void> {
    await this.prepare();
    if (this.#format !== undefined) return;
    this.#format = format;
    await this.#put(wavHeader(format, UNKNOWN_LENGTH), 0);
  }

  /** The format that a file already has; songs are converted to it. */
  get fixedFormat(): PcmFormat | undefined {
    return this.#format;
  }

  get keptBytes(): number {
    return this.#dataBytes;
  }

  async write(samples: Int16Array): Promise<void> {
    const bytes = littleEndian(samples);
    const room = UNKNOWN_LENGTH - WAV_HEADER_BYTES - this.#dataBytes;
    if (bytes.length > room) throw new OutputError('full', `${this.#path}: a WAV file ends at 4 GiB`);
    await this.#put(bytes, WAV_HEADER_BYTES + this.#dataBytes);
    this.#dataBytes += bytes.length;
  }

  async flush(): Promise<void> {}

  async settle(): Promise<void> {
    if (this.#format !== undefined) await this.#put(wavHeader(this.#format, this.#dataBytes), 0);
  }

  async close(): Promise<void> {
    if (this.#file === undefined) return;
    try {
      await this.settle();
    } finally {
      await this.#file.close();
      this.#file = undefined;
      this.#keepBytes = this.#dataBytes;
    }
  }

  async #takeOver(file: FileHandle, keepBytes: number): Promise<void> {
    const header = Buffer.alloc(WAV_HEADER_BYTES);
    const { bytesRead } = await file.read(header, 0, WAV_HEADER_BYTES, 0);
    if (bytesRead < WAV_HEADER_BYTES) return;
    this.#format = { channels: header.readUInt16LE(22) === 1 ? 1 : 2, sampleRate: header.readUInt32LE(24) };
    const { size } = await file.stat();
    this.#dataBytes = Math.min(keepBytes, size - WAV_HEADER_BYTES);
    await file.truncate(WAV_HEADER_BYTES + this.#dataBytes);
  }

  async #put(bytes: Uint8Array, position: number): Promise<void> {
    await writeWhole(this.#clock, this.#file!.fd, bytes, position).catch(error => {
      throw outputError(this.#path, error);
    });
  }
}

/** The 44 bytes before the samples. */
export function wavHeader({ sampleRate, channels }: PcmFormat, dataBytes: number): Buffer {
  const header = Buffer.alloc(WAV_HEADER_BYTES);
  const blockBytes = 2 * channels;
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(Math.min(UNKNOWN_LENGTH, WAV_HEADER_BYTES - 8 + dataBytes), 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(channels, 22);
  header.writeUInt32LE(sampleRate, 24);
  header.writeUInt32LE(sampleRate * blockBytes, 28);
  header.writeUInt16LE(blockBytes, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(Math.min(UNKNOWN_LENGTH, dataBytes), 40);
  return header;
}
