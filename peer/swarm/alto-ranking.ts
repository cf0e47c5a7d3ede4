/**
 * Which peers an ALTO server would rather have us talk to: a client of its endpoint cost service (RFC 7285 §11.5).
 *
 *     addresses ─▶ POST {"cost-type":…,"endpoints":{"dsts":["ipv4:192.0.2.9",…]}} ─▶ {"endpoint-cost-map":{us:{"ipv4:192.0.2.9":7}}}
 *
 * Without `srcs` the server takes the address that the question comes from (§11.5.1.3). A hint and no more: nobody waits for
 * the answer longer than a moment, and a server that is wrong, slow or silent is as good as none.
 */
import type { Clock, Logger } from '../../protocol/ports.js';
import type { PeerAddress } from '../../protocol/ppspp/gate.js';

const PARAMS_TYPE = 'application/alto-endpointcostparams+json';
/** PyPPSPP's server says the last. */
const COST_TYPES = ['application/alto-endpointcost+json', 'application/json'];
/** From the question to the end of the answer. */
const TIMEOUT_MS = 2_000;
/** What is heard of within this goes into one question. */
const GATHER_MS = 50;
/** A row of an answer is some 40 bytes. */
const MAX_ENDPOINTS = 1_000;
const MAX_ANSWER_BYTES = 256 * 1_024;
/** Costs kept; then all are forgotten. */
const MAX_COSTS = 10_000;

export interface AltoCostType {
  readonly mode: 'numerical' | 'ordinal';
  /** As the server names it: `routingcost`. */
  readonly metric: string;
}

/** What a swarm needs of it. */
export interface PeerRanking {
  /** What it costs to talk to an address; undefined: nobody knows. Less is better. */
  cost(address: string): number | undefined;
  /** An answer is awaited, for a moment. */
  readonly isAsking: boolean;
  /** Learns the costs of those that are new; `told` is called when something is known. */
  consider(peers: readonly PeerAddress[], told: () => void): void;
}

export interface AltoRankingOptions {
  /** Of the endpoint cost service. */
  readonly url: URL;
  readonly costType: AltoCostType;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class AltoRanking implements PeerRanking {
  readonly #options: AltoRankingOptions;
  /** By address; undefined while nobody knows, which is not asked twice. */
  readonly #costs = new Map<string, number | undefined>();
  #gathered: string[] = [];
  #toTell = new Set<() => void>();
  #asking: AbortController | undefined;
  #isStopped = false;

  constructor(options: AltoRankingOptions) {
    this.#options = options;
  }

  cost(address: string): number | undefined {
    return this.#costs.get(address);
  }

  get isAsking(): boolean {
    return this.#asking !== undefined;
  }

  consider(peers: readonly PeerAddress[], told: () => void): void {
    const fresh = [...new Set(peers.map(({ address }) => address))].filter(
      address => !this.#costs.has(address),
    );
    if (fresh.length === 0) return;
    if (this.#costs.size + fresh.length > MAX_COSTS) this.#costs.clear();
    for (const address of fresh) this.#costs.set(address, undefined);
    this.#gathered.push(...fresh);
    this.#toTell.add(told);
    if (this.#asking === undefined) this.#askSoon();
  }

  /** Nothing is asked any more. */
  stop(): void {
    this.#isStopped = true;
    this.#gathered = [];
    this.#asking?.abort();
  }

  #askSoon(): void {
    const asking = new AbortController();
    this.#asking = asking;
    const { clock, logger, url } = this.#options;
    const disarm = clock.after(TIMEOUT_MS, () => asking.abort(new Error('no answer in time')));
    clock.after(GATHER_MS, () => {
      const addresses = this.#gathered.splice(0, MAX_ENDPOINTS);
      this.#ask(addresses, asking.signal)
        .catch((err: unknown) => {
          if (!this.#isStopped) logger.info({ err, alto: url.href }, 'the ALTO server does not rank');
        })
        .finally(() => {
          disarm();
          this.#asking = undefined;
          for (const told of this.#toTell) told();
          this.#toTell.clear();
          if (this.#gathered.length > 0) this.#askSoon();
        });
    });
  }

  async #ask(addresses: readonly string[], signal: AbortSignal): Promise<void> {
    if (addresses.length === 0) return;
    const { url, costType } = this.#options;
    const { mode, metric } = costType;
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': PARAMS_TYPE, Accept: COST_TYPES.join(', ') },
      body: JSON.stringify({
        'cost-type': { 'cost-mode': mode, 'cost-metric': metric },
        endpoints: { dsts: addresses.map(typed) },
      }),
      redirect: 'error',
      signal,
    });
    const type = answer.headers.get('Content-Type')?.split(';')[0]?.trim().toLowerCase() ?? '';
    if (!answer.ok || !COST_TYPES.includes(type)) {
      await answer.body?.cancel();
      throw new Error(`the answer is ${answer.status} ${type}`);
    }
    const costs = costsOf(JSON.parse(await boundedText(answer)), costType);
    for (const address of addresses) this.#costs.set(address, costs.get(typed(address)));
  }
}

const typed = (address: string): string => `${address.includes(':') ? 'ipv6' : 'ipv4'}:${address}`;

/** Throws for more than a bounded answer has. */
async function boundedText({ body }: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body ?? []) {
    length += part.length;
    if (length > MAX_ANSWER_BYTES) throw new Error(`the answer has more than ${MAX_ANSWER_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

/** By typed address; whatever source the server takes us for. Throws for what is no answer to what was asked. */
function costsOf(answer: unknown, { mode, metric }: AltoCostType): ReadonlyMap<string, number> {
  const { meta, 'endpoint-cost-map': map } = asRecord(answer);
  const said = asRecord(asRecord(meta)['cost-type']);
  if (said['cost-mode'] !== mode || said['cost-metric'] !== metric)
    throw new Error('other costs than were asked for');
  const costs = new Map<string, number>();
  for (const row of Object.values(asRecord(map)))
    for (const [endpoint, cost] of Object.entries(asRecord(row)))
      if (typeof cost === 'number' && cost >= 0) costs.set(endpoint, cost);
  return costs;
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw new Error('the answer lacks what it should have');
  return value as Record<string, unknown>;
}
