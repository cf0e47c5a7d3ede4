/**
 * Plays noise into nothing before the first song is asked for, on the very way that songs take, so that this way is compiled:
 * the first song's first sample is then nearly as quick as the hundredth's.
 *
 *     noise ─▶ frames of the pipe ─▶ engine ─▶ the null device          and the engine's reports as frames again
 */
import { type FileHandle, open } from 'node:fs/promises';
import { devNull } from 'node:os';
import type { Clock } from '../../protocol/ports.js';
import { AudioEngine } from './audio-engine.js';
import { encodeFrame, FrameReader } from './audio-frames.js';
import type { AudioCommand } from './audio-messages.js';
import type { Decoder } from './decoders/decoder.js';
import { warmUpFrames } from './decoders/warm-up.js';
import { writeWhole } from './outputs/descriptor.js';
import type { Output } from './outputs/output.js';
import { littleEndian } from './pcm.js';

/** Songs until V8 has seen enough of each function; about 5 ms each. */
const SONGS = 6;

export async function warmUpEngine(decoder: Decoder, clock: Clock): Promise<void> {
  const nothing = await open(devNull, 'w');
  try {
    await rehearse(decoder, clock, nothing);
  } finally {
    await nothing.close();
  }
}

function rehearse(decoder: Decoder, clock: Clock, nothing: FileHandle): Promise<void> {
  const reader = new FrameReader<Exclude<AudioCommand, { do: 'setup' | 'quit' }>>();
  return new Promise((resolve, reject) => {
    const engine = new AudioEngine({
      decoder,
      output: nowhere(clock, nothing),
      clock,
      report: report => {
        encodeFrame(report);
        if (report.is === 'output-failed') reject(new Error(report.why));
        if (report.is === 'ended' && report.song === SONGS) resolve(engine.stop());
      },
    });
    engine.start();
    for (let song = 1; song <= SONGS; song++) {
      const data = [...warmUpFrames()].map(({ bytes }) => ({ do: 'data', song, bytes }) as const);
      const commands = [
        { do: 'begin', song, startSeconds: 0 } as const,
        ...data,
        { do: 'end', song } as const,
      ];
      for (const command of commands) {
        for (const said of reader.push(encodeFrame(command))) engine.receive(said);
      }
    }
  });
}

const nowhere = (clock: Clock, nothing: FileHandle): Output => ({
  name: 'nowhere',
  bufferSeconds: 0,
  formats: 'fixed',
  prepare: async () => {},
  open: async () => {},
  write: samples => writeWhole(clock, nothing.fd, littleEndian(samples)),
  flush: async () => {},
  settle: async () => {},
  close: async () => {},
});
