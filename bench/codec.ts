/**
 * How fast TSP is cut into messages and made: beside mqtt-packet, a parser of small binary messages that many use.
 *
 *     bytes in pieces of 64 KiB, or of 7 ─▶ Framer │ mqtt-packet ─▶ messages          messages ─▶ encode │ generate ─▶ bytes
 *
 * Small messages are requests (PLAY, RANGE; PUBLISH with as many bytes); large ones carry 64 KiB of a song.
 */
import { generate, type IPublishPacket, parser } from 'mqtt-packet';
import { encode } from '../protocol/tsp/codec.js';
import { Framer } from '../protocol/tsp/framing.js';
import type { Message } from '../protocol/tsp/messages.js';
import { asSongId } from '../protocol/tsp/song-id.js';
import { type BenchResult, interleave, median, round } from './harness.js';

export const name = 'codec';

const SMALL = 100_000;
const LARGE = 500;
const LARGE_BYTES = 64 * 1024;
const PIECES = [64 * 1024, 7];
/** Dripped byte by byte, as much as is enough. */
const DRIPPED_BYTES = 4e6;

const requests: Message[] = Array.from({ length: SMALL }, (_, index) =>
  index % 2 === 0
    ? { type: 'PLAY', song: asSongId(1 + index) }
    : { type: 'RANGE', song: asSongId(index), offset: index, count: 65_536 },
);
const song: Message = { type: 'SONG_DATA', song: asSongId(7), length: LARGE_BYTES };

export async function run(): Promise<BenchResult> {
  const bytes = Buffer.alloc(LARGE_BYTES, 0x55);
  const ours = {
    small: Buffer.concat(requests.map(encode)),
    large: Buffer.concat(Array.from({ length: LARGE }, () => [encode(song), bytes]).flat()),
  };
  const packets = requests.map(request => publish(encode(request).subarray(4)));
  const theirs = {
    small: Buffer.concat(packets.map(packet => generate(packet))),
    large: Buffer.concat(Array.from({ length: LARGE }, () => generate(publish(bytes)))),
  };
  const variants: Record<string, () => Promise<number>> = {
    'made, ours': async () => SMALL / seconds(() => requests.forEach(request => void encode(request))),
    'made, mqtt-packet': async () => SMALL / seconds(() => packets.forEach(packet => void generate(packet))),
  };
  for (const size of ['small', 'large'] as const)
    for (const piece of PIECES) {
      const part = (all: Buffer): Buffer => (piece < 1_024 ? all.subarray(0, DRIPPED_BYTES) : all);
      const scale = (all: Buffer): number =>
        size === 'small' ? (SMALL * part(all).length) / all.length : part(all).length / 1e6;
      variants[`${size}, ${piece}, ours`] = async () =>
        scale(ours[size]) / seconds(() => readOurs(part(ours[size]), piece));
      variants[`${size}, ${piece}, mqtt-packet`] = async () =>
        scale(theirs[size]) / seconds(() => readTheirs(part(theirs[size]), piece));
    }
  for (const warmUp of Object.values(variants)) await warmUp();
  return report(await interleave(variants));
}

function report(samples: Record<string, number[]>): BenchResult {
  const of = (what: string): number => median(samples[what]!);
  const row = (what: string, label: string): (string | number)[] => [
    label,
    round(of(`${what}, ours`)),
    round(of(`${what}, mqtt-packet`)),
  ];
  const ratio = (what: string): number => of(`${what}, ours`) / of(`${what}, mqtt-packet`);
  const [whole, drip] = PIECES as [number, number];
  return {
    title: 'The codec',
    method: [
      `${SMALL} requests, and ${LARGE} answers of ${LARGE_BYTES} bytes, cut into messages and made; median of five, in turn with mqtt-packet.`,
      `From pieces of ${drip} bytes: the first ${DRIPPED_BYTES / 1e6} MB of them.`,
    ],
    figures: [
      { figure: 'messages/s made, ours ÷ mqtt-packet', value: ratio('made') },
      { figure: 'messages/s read, ours ÷ mqtt-packet', value: ratio(`small, ${whole}`) },
      { figure: 'messages/s read from 7-byte pieces, ours ÷ mqtt-packet', value: ratio(`small, ${drip}`) },
      { figure: 'MB/s read, ours ÷ mqtt-packet', value: ratio(`large, ${whole}`) },
      { figure: 'MB/s read from 7-byte pieces, ours ÷ mqtt-packet', value: ratio(`large, ${drip}`) },
    ],
    tables: [
      {
        caption: 'Medians',
        columns: ['', 'ours', 'mqtt-packet'],
        rows: [
          row('made', 'small messages made, per second'),
          row(`small, ${whole}`, 'small messages read, per second'),
          row(`small, ${drip}`, 'the same from 7-byte pieces'),
          row(`large, ${whole}`, 'MB/s of large ones'),
          row(`large, ${drip}`, 'the same from 7-byte pieces'),
        ],
      },
    ],
    samples,
  };
}

const publish = (payload: Buffer): IPublishPacket => ({
  cmd: 'publish',
  topic: 'song',
  payload,
  qos: 0,
  dup: false,
  retain: false,
});

function seconds(work: () => void): number {
  const begun = performance.now();
  work();
  return (performance.now() - begun) / 1_000;
}

function* piecesOf(bytes: Buffer, length: number): Iterable<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

/** As every shell of ours does: push what came, then take what is whole. */
function readOurs(bytes: Buffer, piece: number): void {
  const framer = new Framer();
  for (const part of piecesOf(bytes, piece)) {
    framer.push(part);
    while (framer.next() !== undefined);
  }
}

function readTheirs(bytes: Buffer, piece: number): void {
  const parse = parser();
  parse.on('packet', () => {});
  for (const part of piecesOf(bytes, piece)) parse.parse(part);
}
