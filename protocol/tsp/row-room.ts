/**
 * How many bytes of rows somebody takes for an answer, judged by its header (TSP §2.2): one row of a song, the fifty of a
 * FIND, and of a list what a peer has room for.
 */
import { RemoteProtocolError } from '../errors.js';
import { MAX_FIND_ROWS, MAX_LIST_BYTES, MAX_ROW_BYTES, NO_SONG } from './constants.js';
import type { Request, StreamHeader } from './messages.js';
import { RowReader } from './rows.js';

/** `question`: what it answers; absent where nothing was asked. Throws RemoteProtocolError `too-large`. */
export function roomForRows({ type, length }: StreamHeader, question?: Request): RowReader {
  if (length > mostBytes(question))
    throw new RemoteProtocolError('too-large', `a ${type} of ${length} bytes`);
  return new RowReader();
}

function mostBytes(question: Request | undefined): number {
  if (question === undefined || question.type === 'LIST') return MAX_LIST_BYTES;
  if (question.type === 'INFO' && question.song === NO_SONG) return MAX_LIST_BYTES;
  // With the line feed of each.
  return (question.type === 'FIND' ? MAX_FIND_ROWS : 1) * (MAX_ROW_BYTES + 1);
}
