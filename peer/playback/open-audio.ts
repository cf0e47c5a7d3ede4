/**
 * The audio process as the configuration wants it. Made, not started.
 */
import { ConfigError } from '../../protocol/errors.js';
import type { PeerConfig } from '../config.js';
import type { World } from '../world.js';
import { ForkedAudio } from './audio-process.js';
import { DECODER_NAMES, type DecoderName } from './decoders/decoder.js';
import { parseOutput } from './output-choice.js';

/** Throws ConfigError for an output or a decoder that there is not. */
export function openAudio(
  { output, decoder, raw, orSilence }: Pick<PeerConfig, 'output' | 'decoder' | 'raw' | 'orSilence'>,
  { clock, logger }: Pick<World, 'clock' | 'logger'>,
): ForkedAudio {
  const outputs = parseOutput(output, { raw, orSilence });
  if (outputs === undefined) throw new ConfigError('output', output, 'an output');
  if (!isDecoder(decoder)) throw new ConfigError('decoder', decoder, `one of ${DECODER_NAMES.join(', ')}`);
  return new ForkedAudio({ outputs, decoder, clock, logger: logger.child({ room: 'playback' }) });
}

const isDecoder = (name: string): name is DecoderName => (DECODER_NAMES as readonly string[]).includes(name);
