/** From what was chosen to the output itself; nothing is opened yet. */
import type { Clock } from '../../../protocol/ports.js';
import type { OutputSpec } from '../audio-messages.js';
import { ExternalOutput } from './external.js';
import { NullOutput } from './null.js';
import type { Output } from './output.js';
import { SpeakerOutput } from './speaker.js';
import { StdoutOutput } from './stdout.js';
import { WavFileOutput } from './wav-file.js';

export function createOutput(spec: OutputSpec, clock: Clock): Output {
  switch (spec.kind) {
    case 'speaker':
      return new SpeakerOutput();
    case 'null':
      return new NullOutput(clock);
    case 'stdout':
      return new StdoutOutput({ clock, raw: spec.raw === true });
    case 'file':
      return new WavFileOutput({ path: spec.path ?? 'out.wav', clock, keepBytes: spec.keepBytes });
    default:
      return new ExternalOutput(spec.kind, clock);
  }
}
