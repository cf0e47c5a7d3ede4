/**
 * WAV and AIFF files that say what they are:
 *
 *     RIFF | FORM  size  WAVE | AIFF   [chunks before] fmt_ data | COMM SSND [chunks behind]
 */

/** Chunks of one kind of file; a body of an odd length is padded. */
const chunkOf = (id: string, body: Uint8Array | string, isRiff: boolean): Buffer => {
  const bytes = Buffer.from(body as string);
  const header = Buffer.alloc(8);
  header.write(id, 'latin1');
  if (isRiff) header.writeUInt32LE(bytes.length, 4);
  else header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes, Buffer.alloc(bytes.length % 2)]);
};
export const riff = (id: string, body: Uint8Array | string): Buffer => chunkOf(id, body, true);
export const iff = (id: string, body: Uint8Array | string): Buffer => chunkOf(id, body, false);

/** LIST INFO with these texts. */
export const info = (texts: Readonly<Record<string, Uint8Array | string>>): Buffer =>
  riff(
    'LIST',
    Buffer.concat([Buffer.from('INFO'), ...Object.entries(texts).map(([id, text]) => riff(id, text))]),
  );

/** The file with more chunks in it. */
export function withChunks(
  file: Buffer,
  { before = [], behind = [] }: { readonly before?: readonly Buffer[]; readonly behind?: readonly Buffer[] },
): Buffer {
  const out = Buffer.concat([file.subarray(0, 12), ...before, file.subarray(12), ...behind]);
  if (out.toString('latin1', 0, 4) === 'RIFF') out.writeUInt32LE(out.length - 8, 4);
  else out.writeUInt32BE(out.length - 8, 4);
  return out;
}

/** The sound of a stereo WAV, which has no other chunks. */
export function aiffBytes(wav: Buffer): Buffer {
  const samples = Buffer.from(wav.subarray(44)).swap16();
  // 44,100 Hz as the 80-bit number that AIFF wants.
  const form = Buffer.from(
    'FORM....AIFFCOMM..........\0\x10\x40\x0e\xac\x44\0\0\0\0\0\0SSND....\0\0\0\0\0\0\0\0',
    'latin1',
  );
  form.writeUInt32BE(form.length - 8 + samples.length, 4);
  form.writeUInt32BE(18, 16);
  form.writeUInt16BE(2, 20);
  form.writeUInt32BE(samples.length / 4, 22);
  form.writeUInt32BE(8 + samples.length, 42);
  return Buffer.concat([form, samples]);
}
