/**
 * Who is dialled for a swarm, and when: those that a person named for ever, those that we heard of until they don't answer.
 *
 *     known ─ due ─▶ dialled ─ open ─▶ here ─ ended ─▶ after 1 s, 2 s, 4 s … 60 s again          lies ─▶ never
 *
 * Pure. At most `maxPeers` at once, so that what somebody tells us of costs us no more than that; the cheapest first, where
 * somebody knows what they cost, and half of them while he is asked.
 */
import type { Milliseconds } from '../../protocol/ports.js';
import { addressText, type PeerAddress } from '../../protocol/ppspp/gate.js';
import type { PeerRanking } from './alto-ranking.js';

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
/** A name's next address is tried when the one before was dialled so long ago and has not answered. */
const TRY_OTHER_MS = 2_000;
/** Addresses that others told us of and that we may try. */
const MAX_HEARD_OF = 1_000;

/** Whom a person named. */
export interface NamedPeer extends PeerAddress {
  /** Further addresses of its name, as IPv4 beside IPv6. */
  readonly others?: readonly string[];
}

interface Neighbour {
  readonly address: PeerAddress;
  /** To be tried while it does not answer, from then on. */
  others: readonly string[];
  otherAt: Milliseconds;
  isNamed: boolean;
  /** Of channels to it and from it that are there, open or being opened. */
  channels: number;
  failures: number;
  dialAt: Milliseconds;
}

export class Neighbours {
  readonly #maxPeers: number;
  readonly #ranking: Pick<PeerRanking, 'cost' | 'isAsking'> | undefined;
  readonly #known = new Map<string, Neighbour>();

  constructor(options: {
    readonly named: readonly NamedPeer[];
    readonly maxPeers: number;
    readonly ranking?: Pick<PeerRanking, 'cost' | 'isAsking'> | undefined;
  }) {
    this.#maxPeers = options.maxPeers;
    this.#ranking = options.ranking;
    for (const { others = [], ...address } of options.named) this.#learn(address, true).others = others;
  }

  /** Nobody more is dialled. */
  get isFull(): boolean {
    return this.count >= this.#places;
  }

  /** How many there are now. */
  get count(): number {
    let count = 0;
    for (const { channels } of this.#known.values()) if (channels > 0) count += 1;
    return count;
  }

  /** Somebody whom a person or a tracker names: dialled again and again. */
  name(address: PeerAddress): void {
    this.#learn(address, true);
  }

  heardOf(address: PeerAddress): void {
    if (this.#known.size < MAX_HEARD_OF) this.#learn(address, false);
  }

  /** Whom to dial now; they are taken for dialled. */
  due(now: Milliseconds): PeerAddress[] {
    for (const neighbour of [...this.#known.values()])
      if (now >= neighbour.otherAt) this.#tryOther(neighbour);
    const waiting = [...this.#known.values()].filter(
      ({ channels, dialAt }) => channels === 0 && now >= dialAt,
    );
    const ranking = this.#ranking;
    if (ranking !== undefined) {
      const cost = ({ address }: Neighbour): number => ranking.cost(address.address) ?? Number.MAX_VALUE;
      waiting.sort((a, b) => cost(a) - cost(b));
    }
    const due = waiting.slice(0, Math.max(0, this.#places - this.count));
    for (const neighbour of due) {
      neighbour.channels = 1;
      if (neighbour.others.length > 0) neighbour.otherAt = Math.min(neighbour.otherAt, now + TRY_OTHER_MS);
    }
    return due.map(({ address }) => address);
  }

  /** It came in by itself. */
  arrived(address: PeerAddress): void {
    this.#learn(address, false).channels += 1;
  }

  /** Who came in from one address is who can be dialled at another. */
  moved(from: PeerAddress, to: PeerAddress, now: Milliseconds): void {
    this.left(from, now, false);
    this.arrived(to);
  }

  /** It answers. */
  opened(address: PeerAddress): void {
    const neighbour = this.#learn(address, false);
    neighbour.failures = 0;
    neighbour.otherAt = Number.POSITIVE_INFINITY;
    neighbour.others = [];
  }

  /** A channel that was dialled or came in is over. */
  left(address: PeerAddress, now: Milliseconds, isBanned: boolean): void {
    const neighbour = this.#learn(address, false);
    neighbour.channels = Math.max(0, neighbour.channels - 1);
    // Of two channels, as when both called at once, one is enough.
    if (neighbour.channels > 0 && !isBanned) return;
    neighbour.failures += 1;
    const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (neighbour.failures - 1));
    neighbour.dialAt = isBanned ? Number.POSITIVE_INFINITY : now + waitMs;
    if (!neighbour.isNamed && !isBanned) this.#known.delete(addressText(address));
  }

  nextDeadline(): Milliseconds | undefined {
    let first: Milliseconds | undefined;
    if (this.count >= this.#places) return undefined;
    for (const { channels, dialAt, otherAt } of this.#known.values()) {
      const at = channels === 0 ? Math.min(dialAt, otherAt) : otherAt;
      if (at < (first ?? Number.POSITIVE_INFINITY)) first = at;
    }
    return first;
  }

  get #places(): number {
    return this.#ranking?.isAsking === true ? Math.ceil(this.#maxPeers / 2) : this.#maxPeers;
  }

  #tryOther(neighbour: Neighbour): void {
    const [next, ...others] = neighbour.others;
    neighbour.others = [];
    neighbour.otherAt = Number.POSITIVE_INFINITY;
    if (next !== undefined)
      this.#learn({ address: next, port: neighbour.address.port }, true).others = others;
  }

  #learn(address: PeerAddress, isNamed: boolean): Neighbour {
    const key = addressText(address);
    let neighbour = this.#known.get(key);
    if (neighbour === undefined) {
      neighbour = {
        address,
        isNamed,
        channels: 0,
        failures: 0,
        dialAt: Number.NEGATIVE_INFINITY,
        others: [],
        otherAt: Number.POSITIVE_INFINITY,
      };
      this.#known.set(key, neighbour);
    }
    neighbour.isNamed ||= isNamed;
    return neighbour;
  }
}
