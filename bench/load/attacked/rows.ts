/**
 * Songs that nobody has, as an attacker offers them: every hash another one, every row short of nothing.
 *
 * Made by filling in numbers, not by hashing and JSON: fifty thousand of them are a few milliseconds.
 */
import { randomBytes } from 'node:crypto';
import { encode } from '../../../protocol/tsp/codec.js';

/** Of this process, so that no two make the same song. */
const seed = randomBytes(24).toString('hex');

const hashOf = (number: number): string => seed + number.toString(16).padStart(16, '0');

/** The rows of flood number `flood`; no other flood has one of them. */
export function floodRows(flood: number, count: number): Buffer {
  let rows = '';
  for (let index = 0; index < count; index += 1)
    rows += `{"hash":"${hashOf(flood * count + index)}","title":"Song ${index} of flood ${flood}","artist":"Artist ${index % 1_000}","duration":180.5,"size":${4_000_000 + index}}\n`;
  return Buffer.from(rows);
}

export interface ChurnedRows {
  /** The songs as they are called in that round. */
  payload(round: number): Buffer;
  /** An UPDATE to that. */
  update(round: number): Buffer;
}

/** Songs that are always called something else; `lane` has its own. */
export function churnedRows(lane: number, count: number): ChurnedRows {
  const hashes = Array.from({ length: count }, (_, index) => hashOf(2 ** 40 + lane * count + index));
  const payload = (round: number): Buffer =>
    Buffer.from(
      hashes.map((hash, index) => `{"hash":"${hash}","title":"Title ${index} ${round}"}\n`).join(''),
    );
  const update = (round: number): Buffer => {
    const rows = payload(round);
    const header = encode({ type: 'UPDATE', changes: [] });
    header.writeUInt32BE(rows.length, header.length - 4);
    return Buffer.concat([header, rows]);
  };
  return { payload, update };
}
