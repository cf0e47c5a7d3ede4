/** What is said and what is taken in each dialect. */
import t from 'tap';
import { decodeDatagram, encodeDatagram } from '../../../protocol/ppspp/codec.js';
import {
  abilitiesOf,
  type Dialect,
  dialectOf,
  handshakeMismatch,
  ownOptions,
  type SwarmMetadata,
  wireFormatOf,
} from '../../../protocol/ppspp/handshake.js';
import type { Options } from '../../../protocol/ppspp/messages.js';

const ID = Buffer.from('06ca45ff41bc4e278daa251dfade94aa840b344e', 'hex');
const swarm: SwarmMetadata = {
  swarmId: ID,
  integrity: 'merkle',
  hash: 'sha1',
  addressing: 'chunk32',
  chunkBytes: 1_024,
};
const live: SwarmMetadata = {
  ...swarm,
  integrity: 'unified-merkle',
  live: { signature: 13, signatureBytes: 64, discardWindow: Number.POSITIVE_INFINITY },
};
const ALL: readonly Dialect[] = ['rfc7574', 'draft10', 'pyppspp'];

const bytesOf = (options: Options, channel: number): string =>
  encodeDatagram(0, [{ type: 'HANDSHAKE', channel, options }], wireFormatOf(swarm, [])).toString('hex');

t.test('our draft-10 HANDSHAKE is that of libswift, byte for byte', async t => {
  t.equal(
    bytesOf(ownOptions(swarm, 'draft10', 'initiator'), 0x82ed44a1),
    '000000000082ed44a10001010102001406ca45ff41bc4e278daa251dfade94aa840b344e030104000602ff',
  );
  t.equal(
    bytesOf(ownOptions(swarm, 'draft10', 'responder'), 0x82ce495f),
    '000000000082ce495f00010101030104000602ff',
  );
  t.match(bytesOf(ownOptions(live, 'draft10', 'initiator'), 1), /0303050d060207ffffffffff$/);
});

t.test('the RFC adds the chunk size, and an answer is shorter than its question', async t => {
  const question = bytesOf(ownOptions(swarm, 'rfc7574', 'initiator'), 1);
  const answer = bytesOf(ownOptions(swarm, 'rfc7574', 'responder'), 2);
  t.match(question, /06020900000400ff$/);
  t.ok(answer.length < question.length);
});

t.test('each dialect fits itself, where it is allowed', async t => {
  for (const metadata of [swarm, live])
    for (const dialect of ALL)
      for (const role of ['initiator', 'responder'] as const) {
        const options = ownOptions(metadata, dialect, role);
        t.equal(dialectOf(options, metadata), dialect);
        t.equal(dialectOf({ ...options, peerUuid: new Uint8Array(16) }, metadata), 'pyppspp');
        t.equal(handshakeMismatch(options, metadata, role, [dialect]), undefined);
        t.equal(handshakeMismatch(options, metadata, role, []), `dialect ${dialect}`);
        const format = wireFormatOf(metadata, [dialect]);
        const datagram = encodeDatagram(0, [{ type: 'HANDSHAKE', channel: 1, options }], format);
        t.equal(decodeDatagram(datagram, format).error, undefined);
      }
});

t.test('a swarm that proves nothing is the RFC’s too (method 0)', async t => {
  const unproven: SwarmMetadata = { ...swarm, integrity: 'none' };
  const options = ownOptions(unproven, 'rfc7574', 'initiator');
  t.equal(dialectOf(options, unproven), 'rfc7574');
  t.equal(handshakeMismatch(options, unproven, 'initiator', ['rfc7574']), undefined);
  t.equal(handshakeMismatch(options, swarm, 'initiator', ['rfc7574', 'draft10']), 'dialect pyppspp');
});

t.test('the window that PyPPSPP names in a swarm that is not live is none', async t => {
  t.equal(abilitiesOf({ discardWindow: 1_000 }, swarm).keeps, Number.POSITIVE_INFINITY);
  t.equal(abilitiesOf({ discardWindow: 1_000 }, live).keeps, 1_000);
});

t.test('what does not fit is told', async t => {
  const good = ownOptions(swarm, 'rfc7574', 'initiator');
  for (const [changes, why] of [
    [{ version: undefined }, /version/],
    [{ minimumVersion: 2, version: 2 }, /version/],
    [{ minimumVersion: undefined }, /without/],
    [{ swarmId: undefined }, /without/],
    [{ swarmId: new Uint8Array(20) }, /another swarm/],
    [{ integrity: 'sign-all' }, /integrity/],
    [{ integrity: undefined }, /integrity/],
    [{ hash: 'sha256' }, /hash/],
    [{ addressing: 'bin32' }, /addressing/],
    [{ chunkBytes: 512 }, /chunkBytes/],
    [{ discardWindow: 9 }, /live/],
    [{ signature: 13 }, /signature/],
  ] as const) {
    const options = { ...good, ...changes } as Options;
    t.match(handshakeMismatch(options, swarm, 'initiator', ALL), why);
  }
});
