/**
 * Text of which nobody says in what it is written: in old tags, and from old source clients. Pure.
 *
 *     Déjà:  44 c3 a9 6a c3 a0 ─▶ it is UTF-8, and so nothing else          44 e9 6a e0 ─▶ Windows-1252, which has Latin-1 in it
 */
import { isUtf8 } from 'node:buffer';

/** To be asked for a stream: only so does Node 20 not take 0x80 to 0x9f for control characters. */
const OLD_TEXT = new TextDecoder('windows-1252');

export const oldText = (bytes: Buffer): string =>
  isUtf8(bytes) ? bytes.toString() : OLD_TEXT.decode(bytes, { stream: true });
