/** Datagrams and stream framing from the vectors (`test/vectors/ppspp.json`), cut, mutated, and in three arrivals. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { LocalProtocolError, RemoteProtocolError } from '../../../protocol/errors.js';
import { decodeDatagram, encodeDatagram } from '../../../protocol/ppspp/codec.js';
import { MESSAGE_TYPE } from '../../../protocol/ppspp/constants.js';
import type { Message, WireFormat } from '../../../protocol/ppspp/messages.js';
import { encodeOptions } from '../../../protocol/ppspp/options.js';
import { DatagramFramer, frameHeader } from '../../../protocol/ppspp/stream-framing.js';
import { byteByByte } from '../../support/arrivals.js';

interface Vectors {
  formats: Record<string, WireFormat>;
  datagrams: {
    name: string;
    format: string;
    bytes: string;
    channel: number;
    messages: object[];
    decodeOnly?: boolean;
  }[];
  rejects: { name: string; format: string; bytes: string; read: number }[];
}
const vectors: Vectors = JSON.parse(
  readFileSync(new URL('../../../../test/vectors/ppspp.json', import.meta.url), 'utf8'),
);
const hex = (text: string): Buffer => Buffer.from(text, 'hex');

/** As in the vectors: bytes as digits, 64 bits as a decimal string, everything as «all». */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, field) => {
      if (field?.type === 'Buffer') return Buffer.from(field.data).toString('hex');
      if (field instanceof Uint8Array) return Buffer.from(field).toString('hex');
      if (typeof field === 'bigint') return String(field);
      return field === Number.POSITIVE_INFINITY ? 'all' : field;
    }),
  );

t.test('every message has a vector', async t => {
  const seen = new Set(vectors.datagrams.flatMap(({ messages }) => messages.map(m => (m as Message).type)));
  t.same(
    Object.keys(MESSAGE_TYPE).filter(name => !seen.has(name as Message['type'])),
    [],
  );
});

for (const { name, format: key, bytes, channel, messages, decodeOnly } of vectors.datagrams) {
  t.test(`datagram: ${name}`, async t => {
    const format = vectors.formats[key]!;
    const got = decodeDatagram(hex(bytes), format);
    t.equal(got.error, undefined);
    t.equal(got.channel, channel);
    t.same(plain(got.messages), messages);
    if (!decodeOnly) t.equal(encodeDatagram(got.channel, got.messages, format).toString('hex'), bytes);
  });
}

for (const { name, format, bytes, read } of vectors.rejects) {
  t.test(`refused: ${name}`, async t => {
    const got = decodeDatagram(hex(bytes), vectors.formats[format]!);
    t.equal(got.error?.code, 'bad-message');
    t.equal(got.messages.length, read, 'what came before stands');
  });
}

t.test('a datagram cut or changed anywhere is read or refused, and nothing else', async () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...vectors.datagrams),
      fc.nat(),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
      (vector, length, changes) => {
        const whole = hex(vector.bytes);
        for (const [at, value] of changes) whole[at % whole.length] = value;
        const bytes = whole.subarray(0, length % (whole.length + 1));
        const { error } = decodeDatagram(bytes, vectors.formats[vector.format]!);
        return error === undefined || error instanceof RemoteProtocolError;
      },
    ),
    { numRuns: 3_000 },
  );
});

t.test('what was read can be written again', async t => {
  const format = vectors.formats.sha1!;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), bytes => {
      const { channel, messages } = decodeDatagram(bytes, format);
      const again = decodeDatagram(encodeDatagram(channel, messages, format), format);
      t.same(again.messages, messages);
    }),
    { numRuns: 300 },
  );
});

t.test('our own mistakes are ours', async t => {
  const { sha1, bin32 } = vectors.formats as { sha1: WireFormat; bin32: WireFormat };
  const range = { start: 0, end: 2 };
  const wrong: [Message, WireFormat][] = [
    [{ type: 'HAVE', range }, bin32],
    [{ type: 'INTEGRITY', range, hash: new Uint8Array(3) }, sha1],
    [{ type: 'DATA', chunk: 0, timestampUs: 0, bytes: new Uint8Array(0) }, sha1],
    [{ type: 'PEX_RESv4', address: new Uint8Array(4), port: 65_536 }, sha1],
  ];
  for (const [message, format] of wrong)
    t.throws(() => encodeDatagram(1, [message], format), LocalProtocolError);
  t.throws(() => encodeOptions({ swarmId: new Uint8Array(65_536) }), LocalProtocolError);
  t.throws(() => encodeOptions({ supportedMessages: new Uint8Array(256) }), LocalProtocolError);
  t.throws(
    () => decodeDatagram(hex('0000000103'), undefined as never),
    TypeError,
    'a bug is not the sender’s',
  );
});

t.test('datagrams come whole out of a stream, however it is cut', async t => {
  const datagrams = vectors.datagrams.map(({ bytes }) => hex(bytes));
  const stream = Buffer.concat(datagrams.flatMap(datagram => [frameHeader(datagram), datagram]));
  for (const chunks of [[stream], byteByByte(stream), [stream.subarray(0, 41), stream.subarray(41)]]) {
    const framer = new DatagramFramer();
    const got: Uint8Array[] = [];
    for (const chunk of chunks) {
      framer.push(chunk);
      for (let next = framer.next(); next !== undefined; next = framer.next())
        got.push(Uint8Array.from(next));
    }
    t.same(
      got.map(bytes => Buffer.from(bytes)),
      datagrams,
    );
  }
  for (const length of ['00000003', '00000100']) {
    const framer = new DatagramFramer({ maxDatagramBytes: 255 });
    framer.push(hex(length));
    t.throws(() => framer.next(), { name: 'RemoteProtocolError', code: 'too-large' });
  }
});
