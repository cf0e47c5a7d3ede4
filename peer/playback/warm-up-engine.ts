/**
 * Plays noise into nothing before the first song is asked for, so that the way from the pipe to the output is compiled:
 * the first song's first sample is then as quick as the hundredth's.
 */
import type { Clock } from '../../protocol/ports.js';
import { AudioEngine } from './audio-engine.js';
import type { Decoder } from './decoders/decoder.js';
import { warmUpFrames } from './decoders/warm-up.js';
import type { Output } from './outputs/output.js';

/** Songs until V8 has seen enough of each function; about 5 ms each. */
const SONGS = 6;

export async function warmUpEngine(decoder: Decoder, clock: Clock): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const engine = new AudioEngine({
      decoder,
      output: nowhere,
      clock,
      report: report => {
        if (report.is === 'output-failed') reject(new Error(report.why));
        if (report.is === 'ended' && report.song === SONGS) resolve(engine.stop());
      },
    });
    engine.start();
    for (let song = 1; song <= SONGS; song++) {
      engine.receive({ do: 'begin', song, startSeconds: 0 });
      for (const { bytes } of warmUpFrames()) engine.receive({ do: 'data', song, bytes });
      engine.receive({ do: 'end', song });
    }
  });
}

const nowhere: Output = {
  name: 'nowhere',
  bufferSeconds: 0,
  formats: 'fixed',
  prepare: async () => {},
  open: async () => {},
  write: async () => {},
  flush: async () => {},
  settle: async () => {},
  close: async () => {},
};
