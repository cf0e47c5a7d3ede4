/** The audio process's engine without the process: songs in, samples out, as quick as it can. */
import { AudioEngine } from '../../../peer/playback/audio-engine.js';
import type { Decoder } from '../../../peer/playback/decoders/decoder.js';
import type { Output } from '../../../peer/playback/outputs/output.js';
import { WavFileOutput } from '../../../peer/playback/outputs/wav-file.js';
import type { Pcm } from '../../../peer/playback/pcm.js';
import { systemClock } from '../../../src/clock.js';
import { readWav } from './sound.js';

/** Plays one song into a WAV file at `path` and gives what is in it. Rejects with why it failed. */
export async function record(decoder: Decoder, mp3: Uint8Array, path: string): Promise<Pcm> {
  await play(decoder, mp3, new WavFileOutput({ path, clock: systemClock }));
  decoder.close();
  return readWav(path);
}

const play = (decoder: Decoder, mp3: Uint8Array, output: Output): Promise<void> =>
  new Promise((resolve, reject) => {
    const engine = new AudioEngine({
      decoder,
      output,
      clock: systemClock,
      report: report => {
        if (report.is === 'output-failed') reject(new Error(report.why));
        if (report.is !== 'ended') return;
        if (report.failure === undefined) resolve(engine.stop());
        else void engine.stop().then(() => reject(new Error(report.failure)));
      },
    });
    engine.start();
    engine.receive({ do: 'begin', song: 1, startSeconds: 0 });
    engine.receive({ do: 'data', song: 1, bytes: mp3 });
    engine.receive({ do: 'end', song: 1 });
  });
