/**
 * How much of a file an ID3v2 tag takes, so that whoever looks for frames can step over it; a tag to put before them; and the
 * texts of a small one, for where no parser of all tags is at hand (library/tags.ts).
 *
 *     "ID3" version:2 flags:1 size:4 │ size bytes │ footer: 10, if flag 4 is set
 *
 * Each byte of the size has seven bits, so that no tag looks like the start of a frame (ID3v2.4.0 §3.1, §6.2).
 */

export const ID3V2_HEADER_BYTES = 10;
const HAS_FOOTER = 0x10;

/** Bytes of the tag that starts at `at`, header and footer included; 0 if none starts there. */
export function id3v2Bytes(bytes: Uint8Array, at = 0): number {
  const isTag =
    bytes[at] === 0x49 &&
    bytes[at + 1] === 0x44 &&
    bytes[at + 2] === 0x33 &&
    at + ID3V2_HEADER_BYTES <= bytes.length;
  if (!isTag) return 0;
  const size = bytes.subarray(at + 6, at + ID3V2_HEADER_BYTES);
  if (size.some(byte => byte > 0x7f)) return 0;
  const footerBytes = (bytes[at + 5]! & HAS_FOOTER) === 0 ? 0 : ID3V2_HEADER_BYTES;
  return ID3V2_HEADER_BYTES + unsynchsafe(size) + footerBytes;
}

/** A tag of v2.4 with these text frames, in UTF-8. Nothing when there are none: a tag has at least one (§3). */
export function id3v2Tag(texts: readonly (readonly [id: string, text: string])[]): Buffer {
  if (texts.length === 0) return Buffer.alloc(0);
  const frames = Buffer.concat(
    texts.flatMap(([id, text]) => {
      const body = Buffer.from(`\x03${text}`);
      return [Buffer.from(id, 'latin1'), synchsafe(body.length), Buffer.alloc(2), body];
    }),
  );
  return Buffer.concat([Buffer.from('ID3\x04\0\0', 'latin1'), synchsafe(frames.length), frames]);
}

/** Four bytes of seven bits each. */
export const synchsafe = (size: number): Buffer =>
  Buffer.from([21, 14, 7, 0].map(shift => (size >> shift) & 0x7f));

export const unsynchsafe = (size: Uint8Array): number =>
  size.reduce((sum, byte) => (sum << 7) | (byte & 0x7f), 0);

const SCRAMBLED = 0xc0;
const FRAME_HEADER_BYTES = 10;
/** By the first byte of a text (ID3v2.4.0 §4). */
const ENCODINGS = ['latin1', 'utf-16', 'utf-16be', 'utf-8'] as const;

/** The texts of a whole tag of v2.3 or v2.4, by their frames' IDs. None if it is unsynchronised or has an extended header. */
export function id3v2Texts(tag: Buffer): Map<string, string> {
  const texts = new Map<string, string>();
  const [, , , version = 0, , flags = 0] = tag;
  if ((version !== 3 && version !== 4) || (flags & SCRAMBLED) !== 0) return texts;
  for (let at = ID3V2_HEADER_BYTES; at + FRAME_HEADER_BYTES < tag.length; ) {
    const id = tag.toString('latin1', at, at + 4);
    const begin = at + FRAME_HEADER_BYTES;
    const end =
      begin + (version === 3 ? tag.readUInt32BE(at + 4) : unsynchsafe(tag.subarray(at + 4, at + 8)));
    // The second byte of flags: compressed, encrypted and the like.
    const encoding = tag[at + 9] === 0 ? ENCODINGS[tag[begin]!] : undefined;
    if (/^T[A-Z0-9]{3}$/.test(id) && encoding !== undefined && end <= tag.length)
      texts.set(id, new TextDecoder(encoding).decode(tag.subarray(begin + 1, end)).split('\0', 1)[0]!);
    at = end;
  }
  return texts;
}
