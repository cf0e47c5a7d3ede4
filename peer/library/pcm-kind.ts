/**
 * What kind of sound a WAV or AIFF file has, in words, for whoever is told that it cannot be encoded:
 *
 *     RIFF size WAVE │ fmt_ │ data         FORM size AIFF │ COMM │ SSND         ─▶ WAV of 6 channels, 16-bit integers
 *                                               AIFC: COMM has a compression too
 */
import { bodyOf, bytesOf, chunksOf, FORM_BYTES } from './pcm-chunks.js';

/** What is read of a description. */
const DESCRIPTION_BYTES = 40;
const EXTENSIBLE = 0xfffe;
/** Where the format of a WAV is that is EXTENSIBLE, and the compression of an AIFC. */
const SUBFORMAT_AT = 24;
const COMPRESSION_AT = 18;
const FEWEST_BYTES = { wav: 16, aiff: 8 } as const;

const CODINGS: Readonly<Record<string, string>> = {
  1: 'integers',
  2: 'ADPCM',
  3: 'floats',
  6: 'A-law',
  7: 'mu-law',
  17: 'ADPCM',
  NONE: 'integers',
  sowt: 'integers',
  fl32: 'floats',
  FL32: 'floats',
  fl64: 'floats',
  FL64: 'floats',
  alaw: 'A-law',
  ulaw: 'mu-law',
};

/** `WAV of 1 channel, mu-law`; undefined: there is no sound in it. `size`: of the file, in bytes. */
export function pcmKind(file: number, size: number): string | undefined {
  const isRiff = bytesOf(file, 0, FORM_BYTES).toString('latin1', 0, 4) === 'RIFF';
  let described: string | undefined;
  let hasSound = false;
  for (const chunk of chunksOf(file, size)) {
    if (chunk.id === (isRiff ? 'fmt ' : 'COMM'))
      described = (isRiff ? wavKind : aiffKind)(bodyOf(file, chunk, DESCRIPTION_BYTES));
    if (chunk.id === (isRiff ? 'data' : 'SSND')) hasSound = chunk.length > 0 && chunk.at < size;
  }
  return described === undefined || !hasSound ? undefined : `${isRiff ? 'WAV' : 'AIFF'} of ${described}`;
}

function wavKind(bytes: Buffer): string | undefined {
  if (bytes.length < FEWEST_BYTES.wav) return undefined;
  const format = bytes.readUInt16LE(0);
  const isExtended = format === EXTENSIBLE && bytes.length >= SUBFORMAT_AT + 2;
  const coding = isExtended ? bytes.readUInt16LE(SUBFORMAT_AT) : format;
  return inWords(bytes.readUInt16LE(2), bytes.readUInt16LE(14), CODINGS[coding]);
}

function aiffKind(bytes: Buffer): string | undefined {
  if (bytes.length < FEWEST_BYTES.aiff) return undefined;
  const compression = bytes.toString('latin1', COMPRESSION_AT, COMPRESSION_AT + 4) || 'NONE';
  return inWords(bytes.readUInt16BE(0), bytes.readUInt16BE(6), CODINGS[compression]);
}

function inWords(channels: number, bits: number, coding = 'a coding of its own'): string {
  const isPlain = coding === 'integers' || coding === 'floats';
  return `${channels} channel${channels === 1 ? '' : 's'}, ${isPlain ? `${bits}-bit ` : ''}${coding}`;
}
