/**
 * Bugs in the swarm engine and its protocol that the simulator must find, one at a time.
 */
import { AskedHost } from '../../../peer/swarm/asked-host.js';
import { JoinedSwarm } from '../../../peer/swarm/joined-swarm.js';
import { binOf } from '../../../protocol/ppspp/bins.js';
import { ChunkSet } from '../../../protocol/ppspp/chunk-set.js';
import { Conversation } from '../../../protocol/ppspp/conversation.js';
import { Endpoint } from '../../../protocol/ppspp/endpoint.js';
import { Fetching } from '../../../protocol/ppspp/fetching.js';
import { Gate } from '../../../protocol/ppspp/gate.js';
import { HashTree } from '../../../protocol/ppspp/hash-tree.js';
import { MerkleIntegrity } from '../../../protocol/ppspp/integrity.js';
import { LiveIntegrity } from '../../../protocol/ppspp/live-integrity.js';
import type { Claim } from '../../../protocol/ppspp/messages.js';
import { Wanted } from '../../../protocol/ppspp/wanted.js';
import { type PlantedBug, replace, replaceGetter } from '../replace-method.js';
import { SwarmDisk } from './swarm-content.js';

export const PLANTED_SWARM_BUGS: readonly PlantedBug[] = [
  {
    name: 'a chunk is kept though it is false',
    shows: /is kept and is not what it should be/,
    plant: () =>
      replace(HashTree.prototype, 'verify', (verify, ...args) => {
        const verdict = verify(...args);
        return verdict === 'wrong' ? 'verified' : verdict;
      }),
  },
  {
    name: 'a liar is never left',
    shows: /and has not noticed/,
    plant: () => replaceGetter(Fetching.prototype, 'hasLied', () => false),
  },
  {
    name: 'another channel to a liar who was caught stays',
    from: 3,
    shows: /still talks to/,
    plant: () => replace(Endpoint.prototype, 'shun', () => []),
  },
  {
    name: 'a hash is believed before it is proven',
    shows: /is kept and is not what it should be|takes .* for a liar|has \d+ of \d+ chunks/,
    plant: () =>
      replace(MerkleIntegrity.prototype, 'judge', function (judge) {
        const { hear, ...rest } = judge();
        const believe = (claim: Claim): boolean => {
          if (claim.type === 'INTEGRITY') this.tree.nodes.set(binOf(claim.range), claim.hash);
          return hear(claim);
        };
        return { ...rest, hear: believe };
      }),
  },
  {
    name: 'a stranger is sent more than came in its name',
    shows: /never asked and is sent/,
    plant: () =>
      replace(Gate.prototype, 'greet', (greet, ...args) => {
        const answer = greet(...args);
        return answer && Buffer.concat([answer, answer.subarray(4), answer.subarray(4)]);
      }),
  },
  {
    name: 'who gives nothing gives all the same',
    shows: /gives nothing, and gave/,
    plant: () => replace(Conversation.prototype, 'choke', () => undefined),
  },
  {
    name: 'a chunk is not written',
    shows: /says it has|is complete and has something else/,
    plant: () =>
      replace(SwarmDisk.prototype, 'write', (write, chunk, ...more) => {
        if (chunk !== 17) write(chunk, ...more);
      }),
  },
  {
    name: 'it is done before the last chunk',
    from: 2,
    shows: /is complete and has something else/,
    plant: () =>
      replaceGetter(JoinedSwarm.prototype, 'isComplete', function (this: JoinedSwarm) {
        const { chunks } = this.swarm.integrity;
        return chunks !== undefined && this.swarm.have.size >= chunks - 1;
      }),
  },
  {
    name: 'what is lost, or never comes, is asked of nobody again',
    from: 12,
    shows: /has \d+ of \d+ chunks/,
    plant: () => {
      const mends = [
        replace(Wanted.prototype, 'expire', () => undefined),
        replace(AskedHost.prototype, 'late', () => new ChunkSet()),
        replace(AskedHost.prototype, 'isSilent', () => false),
      ];
      return () => {
        for (const mend of mends) mend();
      };
    },
  },
];

/** The same for a live stream. */
export const PLANTED_LIVE_BUGS: readonly PlantedBug[] = [
  {
    name: 'whoever signs is believed',
    shows: /which is not what it should be|takes .* for a liar|tuned in at/,
    plant: () =>
      replace(LiveIntegrity.prototype, 'judge', function (judge) {
        const { hear, ...rest } = judge();
        const claimed = new Map<number, Uint8Array>();
        const believe = (claim: Claim, unixMs: number): boolean => {
          if (claim.type === 'INTEGRITY') claimed.set(claim.range.start, claim.hash);
          const hash = claimed.get(claim.range.start);
          if (claim.type === 'SIGNED_INTEGRITY' && hash !== undefined)
            this.add({ ...claim, hash }, new Map(), unixMs);
          return hear(claim, unixMs);
        };
        return { ...rest, hear: believe };
      }),
  },
  {
    name: 'a chunk is believed where its munro is known',
    shows: /which is not what it should be/,
    plant: () =>
      replace(LiveIntegrity.prototype, 'judge', judge => {
        const { hear, judge: judged } = judge();
        const believe = (chunk: number, bytes: Uint8Array): string =>
          judged(chunk, bytes) === 'unproven' ? 'unproven' : 'verified';
        return { hear, judge: believe };
      }),
  },
];
