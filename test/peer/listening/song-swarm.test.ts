/** A song's swarm as a fetch has it, on real sockets: what is told to others is at hand, whatever is taken back meanwhile. */
import { randomBytes } from 'node:crypto';
import t, { type Test } from 'tap';
import { RateLimit } from '../../../peer/hosting/rate-limit.js';
import { PieceHashes } from '../../../peer/listening/pieces.js';
import { SongSwarm } from '../../../peer/listening/song-swarm.js';
import type { JoinedSwarm } from '../../../peer/swarm/joined-swarm.js';
import { SwarmNode, type SwarmNodeOptions } from '../../../peer/swarm/swarm-node.js';
import { UdpWire } from '../../../peer/swarm/udp-wire.js';
import { toHex } from '../../../protocol/bytes.js';
import { MerkleTree, PIECE_BYTES, PIECE_LEVEL } from '../../../protocol/merkle.js';
import type { ContentHash } from '../../../protocol/tsp/rows.js';
import { Chance } from '../../simulation/chance.js';
import { patientClock } from '../../support/patient-clock.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { type Teardown, until } from '../../support/until.js';

const CONTENT = new Chance(8).bytes(300_001);
const DIGEST = new MerkleTree().update(CONTENT).digest();
const HASH = toHex(DIGEST.root) as ContentHash;
const NODES = DIGEST.nodes(PIECE_LEVEL);
const LAST = 4;
/** A piece takes more than a second. */
const SLOW = 40_000;

const pieceOf = (index: number): Uint8Array =>
  CONTENT.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES);

async function nodeFor(t: Teardown, options: Partial<SwarmNodeOptions> = {}) {
  const logger = new RecordingLogger();
  const node = new SwarmNode({ clock: patientClock, logger, randomBytes, wire: new UdpWire(), ...options });
  const { port } = await node.start({ host: '127.0.0.1', port: 0 });
  t.teardown(() => node.stop());
  return { node, port };
}

/** A listener in the swarm of the song, which one slow host gives. */
async function listener(t: Test, serves: boolean) {
  const content = {
    swarmId: DIGEST.root,
    size: CONTENT.length,
    nodes: NODES,
    read: async (offset: number, length: number) => CONTENT.subarray(offset, offset + length),
  };
  const rate = new RateLimit(SLOW, patientClock);
  const host = await nodeFor(t, { offered: id => (id === HASH ? content : undefined), rate });
  const { node } = await nodeFor(t);
  const brought = new Map<number, Uint8Array>();
  let joined: JoinedSwarm | undefined;
  const song = new SongSwarm({
    node: {
      join: options => {
        joined = node.join(options);
        return joined;
      },
      leave: swarm => node.leave(swarm),
    },
    hash: HASH,
    hashes: PieceHashes.prove(NODES, HASH)!,
    lastPiece: pieceOf(LAST),
    serves,
    ranking: undefined,
    place: 0,
    heard: () => {},
    brought: ({ index, bytes }) => brought.set(index, bytes),
    lied: (host, why) => t.fail(`${host} ${why}`),
  });
  song.meet(`127.0.0.1:${host.port}`, host.port);
  const { have } = joined!.swarm;
  const chunks = Array.from({ length: Math.ceil(CONTENT.length / 1_024) }, (_, chunk) => chunk);
  /** What others are told of, and could not be given. */
  const missing = (): number[] => chunks.filter(chunk => have.has(chunk) && song.read(chunk) === undefined);
  return { song, brought, have, missing };
}

for (const serves of [true, false])
  t.test(`a piece that is taken back half-way, and left to it again; serves: ${serves}`, async t => {
    const { song, brought, have, missing } = await listener(t, serves);
    song.want([1]);
    await until('some of it is here', () => have.size > 0);
    t.notOk(brought.has(1), 'and some is not');
    song.unwant([1]);
    t.same(missing(), [], 'what is forgotten is not told of');
    song.want([1]);
    await until('all of it', () => brought.has(1));
    t.same(brought.get(1), pieceOf(1));
    t.same(missing(), []);
  });

t.test('a piece that is here by half comes whole some other way', async t => {
  const { song, have, missing } = await listener(t, true);
  song.want([1]);
  await until('some of it is here', () => have.size > 0);
  song.gather(1, pieceOf(1));
  song.unwant([1]);
  t.equal(have.size, 64, 'all of it is told of');
  t.same(missing(), []);
});
