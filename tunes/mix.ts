/**
 * Puts voices on a stereo stage, in a room, and into a WAV file.
 *
 *     notes ──instrument──▶ mono ──pan──▶ left, right ──┬──────────────┬──▶ level ──▶ 16-bit WAV
 *                                                       └──▶ room ─────┘
 */
import { type Instrument, SAMPLE_RATE } from './instruments.js';
import type { Note } from './score.js';

export interface Voice {
  readonly notes: readonly Note[];
  readonly play: Instrument;
  /** −1 left … 1 right. */
  readonly pan: number;
  readonly level: number;
}

export interface Stereo {
  readonly left: Float32Array;
  readonly right: Float32Array;
}

/** Loudest sample of the finished tune: −2 dB, so that MP3's small overshoots still fit. */
const PEAK = 0.79;
const ROOM_LEVEL = 0.16;
const TAIL_SECONDS = 1.6;
/** Lengths of the room's echoes in samples, without common factors; the right ear hears each a little later. */
const ECHOES = [1_687, 1_931, 2_239, 2_503];
const RIGHT_LATER = 37;
const ECHO_FEEDBACK = 0.74;
const ECHO_DAMPING = 0.35;

/** All voices in their places, with the room around them, at a level that does not clip. */
export function mix(voices: readonly Voice[], secondsPerBeat: number, beats: number): Stereo {
  const length = Math.ceil((beats * secondsPerBeat + TAIL_SECONDS) * SAMPLE_RATE);
  const left = new Float32Array(length);
  const right = new Float32Array(length);
  for (const { notes, play, pan, level } of voices) {
    const angle = ((pan + 1) * Math.PI) / 4;
    for (const note of notes) {
      const samples = play(note, note.beats * secondsPerBeat);
      const start = Math.round(note.beat * secondsPerBeat * SAMPLE_RATE);
      add(left, samples, start, level * Math.cos(angle));
      add(right, samples, start, level * Math.sin(angle));
    }
  }
  add(left, room(left, 0), 0, ROOM_LEVEL);
  add(right, room(right, RIGHT_LATER), 0, ROOM_LEVEL);
  return levelled({ left, right });
}

function add(sum: Float32Array, samples: Float32Array, start: number, level: number): void {
  const end = Math.min(samples.length, sum.length - start);
  for (let index = 0; index < end; index += 1) sum[start + index]! += samples[index]! * level;
}

/** Parallel echoes that lose their treble each time round (Schroeder, 1962; Moorer, 1979). */
function room(dry: Float32Array, later: number): Float32Array {
  const wet = new Float32Array(dry.length);
  for (const echo of ECHOES) {
    const line = new Float32Array(echo + later);
    let dull = 0;
    for (let index = 0; index < dry.length; index += 1) {
      const at = index % line.length;
      const value = line[at]!;
      dull += (1 - ECHO_DAMPING) * (value - dull);
      line[at] = dry[index]! + ECHO_FEEDBACK * dull;
      wet[index]! += value;
    }
  }
  return wet;
}

/** Brought to PEAK, with the very end faded out. */
function levelled({ left, right }: Stereo): Stereo {
  let peak = 0;
  for (let index = 0; index < left.length; index += 1) {
    peak = Math.max(peak, Math.abs(left[index]!), Math.abs(right[index]!));
  }
  const fade = SAMPLE_RATE / 2;
  for (let index = 0; index < left.length; index += 1) {
    const gain = (PEAK / peak) * Math.min(1, (left.length - index) / fade);
    left[index]! *= gain;
    right[index]! *= gain;
  }
  return { left, right };
}

const WAV_HEADER_BYTES = 44;

/** 16-bit stereo PCM with its header. */
export function wavOf({ left, right }: Stereo): Buffer {
  const dataBytes = left.length * 4;
  const wav = Buffer.alloc(WAV_HEADER_BYTES + dataBytes);
  wav.write('RIFF', 0, 'latin1');
  wav.writeUInt32LE(wav.length - 8, 4);
  wav.write('WAVEfmt ', 8, 'latin1');
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20);
  wav.writeUInt16LE(2, 22);
  wav.writeUInt32LE(SAMPLE_RATE, 24);
  wav.writeUInt32LE(SAMPLE_RATE * 4, 28);
  wav.writeUInt16LE(4, 32);
  wav.writeUInt16LE(16, 34);
  wav.write('data', 36, 'latin1');
  wav.writeUInt32LE(dataBytes, 40);
  for (let index = 0; index < left.length; index += 1) {
    wav.writeInt16LE(Math.round(left[index]! * 32_767), WAV_HEADER_BYTES + index * 4);
    wav.writeInt16LE(Math.round(right[index]! * 32_767), WAV_HEADER_BYTES + index * 4 + 2);
  }
  return wav;
}
