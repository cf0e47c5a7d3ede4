/**
 * Who is in which swarm, as PyPPSPP's clients ask for it: one row a peer, gone with the connection that registered it.
 *
 *     register ─▶ row ─▶ new_node to all others of that swarm          get_peers ─▶ other_peers
 *     unregister, the connection ends ─▶ remove_node to them
 *
 * Pure: says who is to be told what. Deviation: PyPPSPP's own tracker keeps rows for ever and believes any address; here a
 * row stands at the address that was seen, unless a machine of a private network names another such (`placeOf`).
 */
import { addressScope } from '../protocol/ip.js';
import type { PeerAddress } from '../protocol/ppspp/gate.js';
import {
  MAX_PEERS_LISTED,
  type TrackerNews,
  type TrackerRequest,
} from '../protocol/ppspp/tracker-messages.js';

export const MAX_SWARMS = 10_000;
export const MAX_PEERS_A_SWARM = 1_000;
/** Of one connection. */
export const MAX_SWARMS_A_MEMBER = 100;
/** As in TSP §5.2: nobody is to be sent to a service of the system. */
const LOWEST_PORT = 1_024;

/** Whoever is connected: `M` is the shell's. */
export interface ToTell<M> {
  readonly to: M;
  readonly news: TrackerNews;
}

export class SwarmTable<M extends object> {
  /** By swarm, by member, where it is. A swarm without peers is none. */
  readonly #swarms = new Map<string, Map<M, PeerAddress>>();
  readonly #swarmsOf = new Map<M, Set<string>>();

  get swarms(): number {
    return this.#swarms.size;
  }

  /** `observed`: the address that this member's connection comes from. */
  heard(member: M, observed: string, request: TrackerRequest): readonly ToTell<M>[] {
    const { swarm_id } = request;
    if (request.type === 'get_peers') return [{ to: member, news: this.#others(swarm_id, member) }];
    if (request.type === 'unregister') return this.#remove(member, swarm_id);
    const [address, port] = request.endpoint;
    const at = placeOf({ address, port }, observed);
    return at === undefined ? [] : this.#add(member, swarm_id, at);
  }

  left(member: M): readonly ToTell<M>[] {
    return [...(this.#swarmsOf.get(member) ?? [])].flatMap(swarm => this.#remove(member, swarm));
  }

  #add(member: M, swarm_id: string, at: PeerAddress): readonly ToTell<M>[] {
    const swarm = this.#swarms.get(swarm_id) ?? new Map<M, PeerAddress>();
    const own = this.#swarmsOf.get(member) ?? new Set<string>();
    const before = swarm.get(member);
    if (before?.address === at.address && before.port === at.port) return [];
    const isFull =
      (swarm.size === 0 && this.#swarms.size >= MAX_SWARMS) ||
      swarm.size >= MAX_PEERS_A_SWARM ||
      own.size >= MAX_SWARMS_A_MEMBER;
    if (before === undefined && isFull) return [];
    const gone = before === undefined ? [] : this.#remove(member, swarm_id);
    swarm.set(member, at);
    own.add(swarm_id);
    this.#swarms.set(swarm_id, swarm);
    this.#swarmsOf.set(member, own);
    return [...gone, ...this.#toOthers(swarm_id, member, 'new_node', at)];
  }

  #remove(member: M, swarm_id: string): readonly ToTell<M>[] {
    const swarm = this.#swarms.get(swarm_id);
    const at = swarm?.get(member);
    if (swarm === undefined || at === undefined) return [];
    swarm.delete(member);
    if (swarm.size === 0) this.#swarms.delete(swarm_id);
    const own = this.#swarmsOf.get(member);
    own?.delete(swarm_id);
    if (own?.size === 0) this.#swarmsOf.delete(member);
    return this.#toOthers(swarm_id, member, 'remove_node', at);
  }

  #toOthers(
    swarm_id: string,
    member: M,
    type: 'new_node' | 'remove_node',
    { address, port }: PeerAddress,
  ): ToTell<M>[] {
    const news: TrackerNews = { swarm_id, type, endpoint: [address, port] };
    return [...(this.#swarms.get(swarm_id)?.keys() ?? [])].flatMap(to => (to === member ? [] : { to, news }));
  }

  /** The newest: they are the likeliest to be there. */
  #others(swarm_id: string, member: M): TrackerNews {
    const rows = [...(this.#swarms.get(swarm_id) ?? [])].filter(([other]) => other !== member);
    const newest = rows.slice(-MAX_PEERS_LISTED);
    return { swarm_id, type: 'other_peers', details: newest.map(([, at]) => [at.address, at.port] as const) };
  }
}

/** Where a peer is said to be, so that nobody can send a crowd to somebody else; undefined: nowhere that one could go. */
export function placeOf(said: PeerAddress, observed: string): PeerAddress | undefined {
  const { address, port } = said;
  if (port < LOWEST_PORT) return undefined;
  const isNear = ['loopback', 'private'].includes(addressScope(observed));
  return isNear && addressScope(address) === 'private' ? said : { address: observed, port };
}
