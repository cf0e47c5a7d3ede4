/**
 * Real sound for the tests of playback: made of numbers, encoded by lame, and compared with what came out.
 *
 *     chirp() ─▶ lame ─▶ MP3 ─▶ what is tested ─▶ samples ◀─ compared ─▶ `lame --decode`
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { wavHeader } from '../../../peer/playback/outputs/wav-file.js';
import type { Pcm, PcmFormat } from '../../../peer/playback/pcm.js';
import { asBuffer } from '../../../protocol/bytes.js';

/** A tone that rises from `from` Hz, so that every moment of it is unlike every other; the right side an octave higher. */
export function chirp(seconds: number, { sampleRate, channels }: PcmFormat, from = 200): Int16Array {
  const frames = Math.round(seconds * sampleRate);
  const samples = new Int16Array(frames * channels);
  for (let i = 0; i < frames; i++) {
    const time = i / sampleRate;
    const phase = 2 * Math.PI * (from * time + 150 * time * time);
    for (let channel = 0; channel < channels; channel++) {
      samples[i * channels + channel] = Math.round(9_000 * Math.sin((channel + 1) * phase));
    }
  }
  return samples;
}

const wavOf = (samples: Int16Array, format: PcmFormat): Buffer =>
  Buffer.concat([wavHeader(format, samples.byteLength), asBuffer(samples)]);

/** Runs a program on `input` and gives its standard output. */
async function filter(program: string, args: readonly string[], input: Uint8Array): Promise<Buffer> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', chunk => chunks.push(chunk));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const code = await new Promise(resolve => child.on('close', resolve));
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} exits with ${code}`);
  return Buffer.concat(chunks);
}

/** As MP3, with LAME's tag unless `args` say otherwise. Written to a file, since lame sets its tag at the end. */
export async function encode(
  samples: Int16Array,
  format: PcmFormat,
  args: readonly string[] = ['-b', '128'],
): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'torero-encode-'));
  try {
    const path = join(folder, 'out.mp3');
    await filter('lame', ['--quiet', ...args, '-', path], wavOf(samples, format));
    return await readFile(path);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** What lame itself decodes of it. */
export const reference = async (mp3: Uint8Array): Promise<Pcm> =>
  parseWav(await filter('lame', ['--quiet', '--mp3input', '--decode', '-', '-'], mp3));

export function parseWav(wav: Buffer): Pcm {
  const body = wav.subarray(44);
  const samples = new Int16Array(Math.floor(body.length / 2));
  for (let i = 0; i < samples.length; i++) samples[i] = body.readInt16LE(2 * i);
  return { sampleRate: wav.readUInt32LE(24), channels: wav.readUInt16LE(22) === 1 ? 1 : 2, samples };
}

export const readWav = async (path: string): Promise<Pcm> => parseWav(await readFile(path));

/** The largest difference of two runs of samples, over the shorter of them. */
export function difference(a: Int16Array, b: Int16Array): number {
  let largest = 0;
  for (let i = 0; i < Math.min(a.length, b.length); i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}

/** How alike two runs of samples are: 1 the same, 0 nothing in common. */
export function correlation(a: Int16Array, b: Int16Array): number {
  let [both, ofA, ofB] = [0, 0, 0];
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    both += a[i]! * b[i]!;
    ofA += a[i]! ** 2;
    ofB += b[i]! ** 2;
  }
  return both / Math.sqrt(ofA * ofB || 1);
}
