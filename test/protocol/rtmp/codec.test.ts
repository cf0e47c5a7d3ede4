/**
 * RTMP's bytes, from the published vectors: handshakes, chunks, AMF0, messages, audio tags, names; each in three arrivals
 * (whole, byte by byte, cut at random) where it arrives.
 */
import t from 'tap';
import { LocalProtocolError, RemoteProtocolError } from '../../../protocol/errors.js';
import { type AmfValue, amfObject, decodeAmf0, encodeAmf0 } from '../../../protocol/rtmp/amf0.js';
import { ChunkReader, type RawMessage } from '../../../protocol/rtmp/chunk-reader.js';
import { chunksOf, followingChunk } from '../../../protocol/rtmp/chunk-writer.js';
import {
  HANDSHAKE_BYTES,
  MAX_CHUNK_STREAMS,
  MAX_KEPT_BYTES,
  MAX_PARTIAL_BYTES,
  MESSAGE_TYPE,
  OUR_CHUNK_BYTES,
} from '../../../protocol/rtmp/constants.js';
import { describe } from '../../../protocol/rtmp/describe.js';
import { mp3TagByte, parseFlvAudio } from '../../../protocol/rtmp/flv-audio.js';
import { ServerHandshake } from '../../../protocol/rtmp/handshake.js';
import { decodeMessage, encodePayload, type Message } from '../../../protocol/rtmp/messages.js';
import { queryOf, streamPath } from '../../../protocol/rtmp/stream-path.js';
import { arrivals } from '../../support/arrivals.js';
import { amfValue, filler, messageOf, piecesToBytes, rtmpVectors } from '../../support/rtmp-vectors.js';

/** Everything that the reader says of `chunks`, and how it ended. */
function read(chunks: readonly Uint8Array[]): { messages: RawMessage[]; error?: RemoteProtocolError } {
  const reader = new ChunkReader();
  const messages: RawMessage[] = [];
  try {
    for (const chunk of chunks) {
      reader.push(chunk);
      for (let message = reader.next(); message !== undefined; message = reader.next())
        messages.push(message);
    }
  } catch (error) {
    if (error instanceof RemoteProtocolError) return { messages, error };
    throw error;
  }
  return { messages };
}

const hexed = ({ payload, ...rest }: RawMessage): object => ({
  ...rest,
  payload: Buffer.from(payload).toString('hex'),
});

for (const { name, client, server, echo } of rtmpVectors.handshakes) {
  t.test(`handshake: ${name}`, async t => {
    const behind = Buffer.from('and connect');
    for (const pieces of arrivals(Buffer.concat([piecesToBytes(client), piecesToBytes(echo), behind]))) {
      const handshake = new ServerHandshake(length => filler(length, 7));
      const sent: Uint8Array[] = [];
      const rests: Uint8Array[] = [];
      for (const piece of pieces) {
        const { send, rest } = handshake.receive(piece);
        if (send !== undefined) sent.push(send);
        if (rest !== undefined) rests.push(rest);
      }
      t.equal(sent.length, 1, 'answers in one piece');
      t.ok(Buffer.from(sent[0]!).equals(piecesToBytes(server)), 'and exactly so');
      t.same(Buffer.concat(rests), behind, 'what follows is not its business');
    }
  });
}

t.test('what is not RTMP is refused at its first byte', async t => {
  for (const first of [0, 6, 0x47, 0xff]) {
    const handshake = new ServerHandshake(length => filler(length, 7));
    t.same(handshake.receive(new Uint8Array(0)), {});
    t.throws(() => handshake.receive(Uint8Array.of(first)), { code: 'bad-message' });
  }
});

t.test('the handshake is answered when C1 is whole, and does not wait for C2', async t => {
  const handshake = new ServerHandshake(length => filler(length, 7));
  const hello = piecesToBytes(rtmpVectors.handshakes[0]!.client);
  t.same(handshake.receive(hello.subarray(0, HANDSHAKE_BYTES)), {});
  const { send, rest } = handshake.receive(hello.subarray(HANDSHAKE_BYTES));
  t.equal(send?.length, 1 + 2 * HANDSHAKE_BYTES);
  t.equal(rest, undefined);
});

for (const { name, bytes, messages, chunkBytes, chunkStream } of rtmpVectors.chunks) {
  t.test(`chunks: ${name}`, async t => {
    for (const pieces of arrivals(piecesToBytes(bytes))) {
      const got = read(pieces);
      t.equal(got.error, undefined);
      t.same(got.messages.map(hexed), messages);
    }
    if (chunkBytes === undefined || chunkStream === undefined) return;
    const [{ payload, ...message } = { type: 0, stream: 0, timestamp: 0, payload: '' }] = messages;
    const whole = Buffer.from(payload, 'hex');
    for (const parts of [[whole], [whole.subarray(0, 3), whole.subarray(3)]]) {
      const written = chunksOf({ ...message, chunkStream, payload: parts }, chunkBytes);
      t.same(Buffer.concat(written), piecesToBytes(bytes), 'written');
    }
  });
}

for (const { name, bytes, error } of rtmpVectors.rejects) {
  t.test(`refused: ${name}`, async t => {
    for (const pieces of arrivals(piecesToBytes(bytes))) {
      const got = read(pieces);
      t.equal(got.error?.code, error);
      t.same(
        got.messages.filter(({ type }) => type === MESSAGE_TYPE.AUDIO),
        [],
      );
    }
  });
}

/** The first chunk of a message, whose payload is `sent` bytes long so far. */
const begun = (chunkStream: number, type: number, length: number, sent: number): Buffer =>
  Buffer.concat([
    Buffer.of(chunkStream, 0, 0, 0, length >> 16, (length >> 8) & 0xff, length & 0xff, type, 1, 0, 0, 0),
    filler(sent, 0),
  ]);

t.test('so many chunk streams and not one more', async t => {
  const each = Array.from({ length: MAX_CHUNK_STREAMS + 1 }, (_, i) =>
    Buffer.concat([Buffer.of(0, i), begun(0, MESSAGE_TYPE.AUDIO, 1, 1).subarray(1)]),
  );
  t.equal(read(each.slice(0, -1)).messages.length, MAX_CHUNK_STREAMS);
  t.equal(read(each).error?.code, 'too-large');
});

t.test('so much of unfinished messages and not more; what is finished or aborted does not count', async t => {
  const largeChunks = Buffer.concat(chunksOf(control(MESSAGE_TYPE.SET_CHUNK_SIZE, 60_000), 128));
  const abort = (chunkStream: number): Buffer =>
    Buffer.concat(chunksOf(control(MESSAGE_TYPE.ABORT, chunkStream), 128));
  const unfinished = (id: number): Buffer => begun(id, MESSAGE_TYPE.AUDIO, MAX_KEPT_BYTES, 60_000);
  const room = Math.floor(MAX_PARTIAL_BYTES / 60_000);
  const ids = Array.from({ length: room + 1 }, (_, i) => 3 + i);
  t.equal(read([largeChunks, ...ids.slice(1).map(unfinished)]).error, undefined);
  t.equal(read([largeChunks, ...ids.map(unfinished)]).error?.code, 'too-large');
  t.equal(read([largeChunks, ...ids.flatMap(id => [unfinished(id), abort(id)])]).error, undefined);
  const finished = ids.map(id => begun(id, MESSAGE_TYPE.AUDIO, 60_000, 60_000));
  t.equal(read([largeChunks, ...finished]).messages.length, 1 + ids.length);
});

const control = (type: number, value: number) => {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(value);
  return { chunkStream: 2, type, stream: 0, timestamp: 0, payload: [payload] };
};

t.test('video costs no memory, however long it says it is', async t => {
  const sixteenMegabytes = begun(4, MESSAGE_TYPE.VIDEO, 0xff_ffff, 128);
  t.same(read([sixteenMegabytes]), { messages: [] });
});

t.test('a frame is one chunk of ours', async t => {
  const pieces = chunksOf(
    { chunkStream: 4, type: 8, stream: 1, timestamp: 26, payload: [Buffer.of(0x2f), filler(1441, 0)] },
    OUR_CHUNK_BYTES,
  );
  t.equal(pieces.length, 3, 'header, tag byte, frame');
});

t.test(
  'a message that follows another says nothing of its stream, and only how much later it is',
  async t => {
    const first = chunksOf(
      { chunkStream: 4, type: 8, stream: 7, timestamp: 1_000, payload: [filler(9, 1)] },
      128,
    );
    const next = { chunkStream: 4, type: 8, deltaMs: 26, payload: [Buffer.of(0x2f), filler(100, 2)] };
    const following = followingChunk(next, 128);
    t.same(following[0], Buffer.from('4400001a00006508', 'hex'));
    t.same(
      read([...first, ...following, ...following]).messages.map(({ stream, timestamp, payload }) => [
        stream,
        timestamp,
        payload.length,
      ]),
      [
        [7, 1_000, 9],
        [7, 1_026, 101],
        [7, 1_052, 101],
      ],
    );
    t.throws(() => followingChunk({ ...next, payload: [filler(129, 0)] }, 128), LocalProtocolError);
    t.throws(() => followingChunk({ ...next, deltaMs: 0xff_ffff }, 128), LocalProtocolError);
  },
);

for (const { name, bytes, values, decodeOnly } of rtmpVectors.amf) {
  t.test(`AMF0: ${name}`, async t => {
    const expected = values.map(amfValue);
    t.strictSame(decodeAmf0(piecesToBytes(bytes)), expected);
    if (!decodeOnly) t.same(encodeAmf0(expected), piecesToBytes(bytes), 'encodes to the bytes');
  });
}

for (const { name, bytes } of rtmpVectors.amfRejects) {
  t.test(`no AMF0: ${name}`, async t => {
    t.throws(() => decodeAmf0(piecesToBytes(bytes)), { name: 'RemoteProtocolError', code: 'bad-message' });
  });
}

t.test('a string of 64 KiB is a long one, a name of 64 KiB is our caller’s fault', async t => {
  const long = 'x'.repeat(65_536);
  t.same(decodeAmf0(encodeAmf0([long])), [long]);
  t.throws(() => encodeAmf0([amfObject({ [long]: 1 })]), LocalProtocolError);
});

for (const vector of rtmpVectors.messages) {
  t.test(`message: ${vector.name}`, async t => {
    const payload = piecesToBytes(vector.payload);
    const expected = messageOf(vector);
    const raw = { type: vector.type, stream: 0, timestamp: 0, payload } as RawMessage;
    t.strictSame(decodeMessage(raw), expected);
    if (vector.decodeOnly) return;
    t.same(encodePayload(expected), { type: vector.type, payload }, 'encodes to the bytes');
  });
}

for (const { name, type, payload } of rtmpVectors.messageRejects) {
  t.test(`no message: ${name}`, async t => {
    const raw = { type, stream: 0, timestamp: 0, payload: piecesToBytes(payload) } as RawMessage;
    t.throws(() => decodeMessage(raw), { name: 'RemoteProtocolError', code: 'bad-message' });
  });
}

t.test('a message is one readable line, without what may be a key', async t => {
  const command = (name: string, ...values: AmfValue[]): Message => ({
    kind: 'command',
    name,
    transaction: 4,
    values,
  });
  const about = (values: Record<string, AmfValue>): AmfValue => amfObject(values);
  const lines: [Message, string][] = [
    [
      command('connect', about({ app: 'live', tcUrl: 'rtmp://x/live/KEY', flashVer: 'F\u001b[2J' })),
      'connect 4 app "live" flashVer "F\\u001b[2J"',
    ],
    [command('connect', about({ app: 'live/KEY' })), 'connect 4 app (not shown)'],
    [command('connect', 'KEY'), 'connect 4'],
    [command('releaseStream', null, 'KEY'), 'releaseStream 4 (not shown)'],
    [command('publish', null, 'KEY', 'live'), 'publish 4 (not shown)'],
    [command('play', null, 'radio', -2_000), 'play 4 "radio" -2000'],
    [command('play', null, 'KEY', 0, 5), 'play 4 (not shown) 0 5'],
    [command('seek', null, 8_000), 'seek 4 8000'],
    [command('any\nthing', 'KEY', true), '"any\\nthing" 4 true'],
    [command('_result', null, 1), '_result 4 1'],
    [command('_result', undefined), '_result 4'],
    [
      command('onStatus', null, about({ level: 'error', code: 'NetStream.Failed', description: 'KEY' })),
      'onStatus 4 error NetStream.Failed',
    ],
    [
      {
        kind: 'data',
        values: ['@setDataFrame', 'onMetaData', about({ title: 'Olé', audiocodecid: 2, KEY: 'KEY' })],
      },
      'DATA @setDataFrame onMetaData title "Ol\\u00e9" audiocodecid 2',
    ],
    [{ kind: 'data', values: ['|RtmpSampleAccess', true, true] }, 'DATA |RtmpSampleAccess'],
    [{ kind: 'audio', timestamp: 26, body: filler(418, 0) }, 'AUDIO at 26 ms, 418 bytes'],
  ];
  const isPublic = (name: string): boolean => ['live', 'radio'].includes(name);
  for (const [message, line] of lines) t.equal(describe(message, 0, isPublic), line);
  for (const vector of rtmpVectors.messages) {
    const line = describe(messageOf(vector), 1, isPublic);
    t.match(line, /^[ -~·]{4,400}$/, vector.name);
    t.match(line, / · stream 1$/);
  }
});

t.test('audio tags', async t => {
  for (const { name, body, bytes, kind, codec, isConfiguration } of rtmpVectors.audio) {
    const expected = {
      kind,
      ...(bytes !== undefined && { bytes: Buffer.from(bytes, 'hex') }),
      ...(codec !== undefined && { codec, isConfiguration }),
    };
    t.same(parseFlvAudio(piecesToBytes(body)), expected, name);
  }
  for (const { sampleRate, channels, byte } of rtmpVectors.tags)
    t.equal(mp3TagByte({ sampleRate, channels }).toString(16), byte, `${sampleRate} Hz, ${channels}`);
});

t.test('names, however they are cut', async t => {
  for (const { client, app, name, room, path } of rtmpVectors.paths)
    t.same(streamPath(app, name), path === null ? undefined : { room, name: path }, client);
  t.equal(queryOf('live?user=bob&response=a+b/=='), 'user=bob&response=a+b/==');
  t.equal(queryOf('live'), '');
});
