/**
 * The codec, the framer and the rows, from the published vectors: each as encode, as decode, and in three arrivals
 * (whole, byte by byte, two in one chunk with the beginning of a third).
 */
import fc from 'fast-check';
import t from 'tap';
import { LocalProtocolError, RemoteProtocolError, TransportError } from '../../../protocol/errors.js';
import { addressKey, addressScope, canonicalIp } from '../../../protocol/ip.js';
import { formatHostPort, parseHostPort } from '../../../protocol/tsp/addresses.js';
import { decode, decodeStreamHeader, encode } from '../../../protocol/tsp/codec.js';
import { MESSAGE_TYPE } from '../../../protocol/tsp/constants.js';
import { type FrameEvent, Framer } from '../../../protocol/tsp/framing.js';
import type { JsonObject } from '../../../protocol/tsp/json.js';
import type { Message } from '../../../protocol/tsp/messages.js';
import { isNewer, nextRevision } from '../../../protocol/tsp/revision.js';
import {
  asContentHash,
  type ContentHash,
  encodeBroadcastRow,
  encodeOfferChange,
  encodeRow,
  identityOf,
  type OfferRow,
  parseBroadcastRow,
  parseHostRow,
  parseOffer,
  parseOfferChange,
  parseSongIdRow,
  parseSongRow,
  RowReader,
} from '../../../protocol/tsp/rows.js';
import { asSongId } from '../../../protocol/tsp/song-id.js';
import { byteByByte } from '../../support/arrivals.js';
import { bytesOf, type RowKind, vectors } from '../../support/vectors.js';

const PARSE_ROW: { readonly [K in RowKind]: (json: JsonObject) => object } = {
  song: parseSongRow,
  offer: json => asWritten(parseOffer(json)),
  host: json => asWritten(parseHostRow(json)),
  'offer-change': parseOfferChange,
  'song-id': parseSongIdRow,
  broadcast: parseBroadcastRow,
};

/** As it stands on the wire: `hash`, or `live` and `feed`. */
const asWritten = ({ hash, live, ...fields }: OfferRow): object => ({
  ...identityOf({ hash, live }),
  ...fields,
});

/** Everything that the framer says of `chunks`, with the data of a stream joined. */
function read(
  chunks: readonly Uint8Array[],
  maxPayloadBytes?: number,
): { events: FrameEvent[]; error?: RemoteProtocolError } {
  const framer = new Framer(maxPayloadBytes === undefined ? {} : { maxPayloadBytes });
  const events: FrameEvent[] = [];
  try {
    for (const chunk of chunks) {
      framer.push(chunk);
      for (let event = framer.next(); event !== undefined; event = framer.next()) {
        const last = events.at(-1);
        if (event.kind === 'data' && last?.kind === 'data') {
          events[events.length - 1] = { kind: 'data', bytes: Buffer.concat([last.bytes, event.bytes]) };
        } else {
          events.push(event);
        }
      }
    }
  } catch (error) {
    if (error instanceof RemoteProtocolError) return { events, error };
    throw error;
  }
  return { events };
}

const messagesIn = (events: readonly FrameEvent[]): object[] =>
  events.flatMap(event => (event.kind === 'message' ? [event.message] : []));

t.test('every message has two vectors at least', async t => {
  for (const type of Object.keys(MESSAGE_TYPE)) {
    const found = [...vectors.messages, ...vectors.streams].filter(vector => vector.type === type);
    t.ok(found.length >= 2, type);
  }
});

for (const { name, type, bytes, message, decodeOnly } of vectors.messages) {
  t.test(`${type}: ${name}`, async t => {
    const whole = bytesOf(bytes);
    if (!decodeOnly) t.same(encode(message), whole, 'encodes to the bytes');
    const tail = whole.subarray(0, 1);
    t.same(messagesIn(read([whole]).events), [message], 'decodes whole');
    t.same(messagesIn(read(byteByByte(whole)).events), [message], 'decodes byte by byte');
    t.same(
      messagesIn(read([Buffer.concat([whole, whole, tail])]).events),
      [message, message],
      'decodes two and a tail',
    );
  });
}

for (const { name, type, bytes, message, payload, rowKind, rows } of vectors.streams) {
  t.test(`${type}: ${name}`, async t => {
    const header = bytesOf(bytes);
    t.same(encode(message), header, 'encodes to the header');
    if (payload === null) {
      t.same(read([header]).events, [{ kind: 'stream', header: message }]);
      return;
    }
    const body = bytesOf(payload);
    const whole = Buffer.concat([header, body]);
    for (const chunks of [[whole], byteByByte(whole), [Buffer.concat([whole, Uint8Array.of(0x06)])]]) {
      const { events } = read(chunks);
      const data = body.length === 0 ? [] : [{ kind: 'data', bytes: new Uint8Array(body) }];
      t.same(
        events.map(event =>
          event.kind === 'data' ? { kind: 'data', bytes: new Uint8Array(event.bytes) } : event,
        ),
        [{ kind: 'stream', header: message }, ...data, { kind: 'end', header: message }],
      );
    }
    if (rowKind === undefined) return;
    for (const chunks of [[body], byteByByte(body)]) {
      const reader = new RowReader();
      const json = [...chunks.flatMap(chunk => reader.push(chunk)), ...reader.end()];
      t.same(json.map(PARSE_ROW[rowKind]), rows, 'its rows');
    }
  });
}

for (const { name, bytes, error, unknown, maxPayloadBytes } of vectors.rejects) {
  t.test(`refused: ${name}`, async t => {
    for (const chunks of [[bytesOf(bytes)], byteByByte(bytesOf(bytes))]) {
      const got = read(chunks, maxPayloadBytes);
      t.equal(got.error?.code, error);
      t.same(
        got.events.flatMap(event => (event.kind === 'unknown' ? [event.type] : [])),
        unknown ?? [],
      );
    }
  });
}

for (const { name, bytes, unknown, messages, zerosThatFollow } of vectors.accepted) {
  t.test(`read past: ${name}`, async t => {
    const whole = Buffer.concat([bytesOf(bytes), Buffer.alloc(zerosThatFollow ?? 0)]);
    for (const chunks of [[whole], byteByByte(whole)]) {
      const { events, error } = read(chunks);
      t.equal(error, undefined);
      t.same(messagesIn(events), messages);
      t.same(
        events.flatMap(event => (event.kind === 'unknown' ? [event.type] : [])),
        unknown,
      );
    }
  });
}

t.test('a count of RANGE past 2^53 is one past the end', async t => {
  const asked = Buffer.from('410000000a00000010' + '0000000000010000' + 'ffffffffffffffff', 'hex');
  const count = Number.MAX_SAFE_INTEGER;
  t.same(messagesIn(read([asked]).events), [{ type: 'RANGE', song: 10, offset: 65_536, count }]);
});

t.test('rows', async t => {
  for (const { name, kind, line, hex, row, error } of vectors.rows) {
    const bytes = hex === undefined ? Buffer.from(line ?? '') : Buffer.from(hex, 'hex');
    const parse = () => {
      const reader = new RowReader();
      return [...reader.push(bytes), ...reader.end()].map(PARSE_ROW[kind]);
    };
    if (error === undefined) t.same(parse(), [row], name);
    else t.throws(parse, { name: 'RemoteProtocolError', code: error }, name);
  }
});

t.test('rows come out as they went in', async t => {
  const hash = 'ab'.repeat(32) as ContentHash;
  const song = { id: asSongId(7), hash, title: 'Olé', hosts: ['192.0.2.7:7461'], hostCount: 3 };
  t.same(parseSongRow(JSON.parse(encodeRow(song).toString())), song);
  t.same(parseHostRow({ id: 7, hash, title: 'Olé' }), { id: 7, hash, title: 'Olé' });
  t.same(parseHostRow({ id: 0, hash }), { hash }, 'a host that does not know the ID yet');
  for (const row of [
    { kind: 'whole' },
    { kind: 'since', revision: 41 },
    { kind: 'host-gone', host: '192.0.2.7:7461' },
    { kind: 'song', id: asSongId(7), change: { hosts: [] } },
  ] as const) {
    t.same(parseBroadcastRow(JSON.parse(encodeBroadcastRow(row).toString())), row);
  }
  for (const change of [
    { hash, title: 'Olé' },
    { hash, live: true, title: 'On Air' },
    { hash, gone: true },
  ] as const)
    t.same(parseOfferChange(JSON.parse(encodeOfferChange(change).toString())), change);
  t.equal(asContentHash(hash), hash);
  t.equal(asContentHash(5), undefined);
});

t.test('a row may have 64 KiB and not a byte more, however it comes', async t => {
  const row = Buffer.from(`{"a":"${'x'.repeat(65536 - 8)}"}`);
  t.equal(row.length, 65536);
  t.equal(new RowReader().push(Buffer.concat([row, Buffer.from('\n')])).length, 1);
  const longer = Buffer.concat([row, Buffer.from(' \n')]);
  t.throws(() => new RowReader().push(longer), { code: 'too-large' });
  const reader = new RowReader();
  t.throws(() => byteByByte(longer).map(byte => reader.push(byte)), { code: 'too-large' });
});

t.test('addresses', async t => {
  for (const { text, defaultPort, host, port } of vectors.addresses.parse) {
    const expected = host === undefined ? undefined : { host, port };
    t.same(parseHostPort(text, defaultPort), expected, `parses ${JSON.stringify(text)}`);
  }
  for (const { host, port, text } of vectors.addresses.format) t.equal(formatHostPort(host, port), text);
  for (const { host, scope } of vectors.addresses.scope) t.equal(addressScope(host), scope, host);
  for (const [ip, scope] of [
    ['100.64.0.1', 'private'],
    ['255.255.255.255', 'reserved'],
    ['64:ff9b::10.0.0.1', 'private'],
    ['2002:7f00:1::', 'loopback'],
    ['::2', 'reserved'],
    ['example.org', 'reserved'],
    ['1:2:3:4:5:6:7:8::', 'reserved'],
    ['1::2::3', 'reserved'],
    ['1:2:3', 'reserved'],
    ['::g', 'reserved'],
    ['g::', 'reserved'],
  ] as const) {
    t.equal(addressScope(ip), scope, ip);
  }
  t.equal(addressKey('192.0.2.7'), '192.0.2.7');
  t.equal(addressKey('2001:db8:1:2:3::4'), '2001:db8:1:2::/64');
  t.equal(canonicalIp('2001:DB8:0:0:0:0:0:1%eth0'), '2001:db8::1');
});

t.test('every IPv6 address survives being written and read', async () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 }), words => {
      const text = canonicalIp(words.map(word => word.toString(16)).join(':'));
      return canonicalIp(text) === text && parseHostPort(formatHostPort(text, 7461))?.host === text;
    }),
  );
});

t.test('any cut of a conversation reads as the whole', async () => {
  const whole = Buffer.concat([
    ...vectors.messages.map(vector => bytesOf(vector.bytes)),
    ...vectors.streams.flatMap(({ bytes, payload }) =>
      payload === null ? [] : [bytesOf(bytes), bytesOf(payload)],
    ),
  ]);
  const expected = JSON.stringify(read([whole]).events);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: whole.length }), { maxLength: 40 }), cuts => {
      const at = [0, ...cuts.sort((a, b) => a - b), whole.length];
      const chunks = at.slice(1).map((end, i) => whole.subarray(at[i], end));
      return JSON.stringify(read(chunks).events) === expected;
    }),
  );
});

t.test('random bytes never give more than a RemoteProtocolError', async () => {
  const someBytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.constantFrom(
      ...[...vectors.messages, ...vectors.rejects].map(vector => new Uint8Array(bytesOf(vector.bytes))),
    ),
  );
  fc.assert(
    fc.property(fc.array(someBytes, { maxLength: 8 }), fc.nat(), (pieces, flip) => {
      const bytes = Buffer.concat(pieces);
      if (bytes.length > 0) bytes[flip % bytes.length]! ^= 1 << (flip % 8);
      read([bytes]);
    }),
    { numRuns: 2_000 },
  );
});

t.test('random rows never give more than a RemoteProtocolError', async () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(...Object.values(PARSE_ROW)), (value, parse) => {
      try {
        new RowReader().push(Buffer.from(`${JSON.stringify(value)}\n`)).map(parse);
      } catch (error) {
        if (!(error instanceof RemoteProtocolError)) throw error;
      }
    }),
    { numRuns: 2_000 },
  );
});

t.test('a stream’s payload is handed on in pieces no longer than wanted', async t => {
  const framer = new Framer({ maxPieceBytes: 4 });
  const header = encode({ type: 'LIST_INFO', revision: 0, length: 10 });
  framer.push(Buffer.concat([header, Buffer.from('0123456789')]));
  const pieces: string[] = [];
  for (let event = framer.next(); event !== undefined; event = framer.next())
    pieces.push(event.kind === 'data' ? Buffer.from(event.bytes).toString() : event.kind);
  t.strictSame(pieces, ['stream', '0123', '4567', '89', 'end']);
});

t.test('a connection that ends inside a message is the network’s fault', async t => {
  for (const part of ['03', '0300000000' + '03', '4000000000' + '00000009' + '7b']) {
    const framer = new Framer();
    framer.push(Buffer.from(part, 'hex'));
    while (framer.next() !== undefined);
    t.throws(() => framer.end(), TransportError, part);
  }
  const between = new Framer();
  between.push(Buffer.from('0300000000', 'hex'));
  t.throws(() => between.end(), TransportError, 'a message that nobody has read yet');
  between.next();
  between.end();
  t.equal(between.buffered, 0);
});

t.test('what cannot be said is our caller’s fault', async t => {
  const hash = 'ab' as ContentHash;
  const song = asSongId(1);
  const bad: Message[] = [
    { type: 'INIT', port: 70_000 },
    { type: 'PING', value: -1 },
    { type: 'PING', value: 2 ** 32 },
    { type: 'RANGE', song, offset: -1, count: 0 },
    { type: 'RANGE', song, offset: 0, count: 0, hash },
    { type: 'FIND', words: 'x'.repeat(70_000) },
  ];
  for (const message of bad) t.throws(() => encode(message), LocalProtocolError, message.type);
  t.throws(() => decode(MESSAGE_TYPE.SONG_DATA, 0, new Uint8Array(0)), LocalProtocolError);
  t.throws(() => decodeStreamHeader(MESSAGE_TYPE.PLAY, 0, 0), LocalProtocolError);
  t.throws(() => asSongId(0), LocalProtocolError);
});

t.test('revisions go round and skip 0', async t => {
  t.equal(nextRevision(1), 2);
  t.equal(nextRevision(0xffffffff), 1);
  t.ok(isNewer(2, 1));
  t.notOk(isNewer(1, 2));
  t.notOk(isNewer(7, 7));
  t.ok(isNewer(1, 0xffffffff), 'past the end of the circle');
});
