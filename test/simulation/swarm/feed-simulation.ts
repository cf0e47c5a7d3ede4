/**
 * One seed: a broadcast of 128 kbit/s behind an uplink of 512, and forty listeners who come within a few seconds, with a liar
 * among them. Everybody is told where the source is, and no more.
 *
 *     LiveFeed ─▶ FeedSource ─ 512 kbit/s ─▶ three listeners ─▶ the others        each: FeedHearing ─▶ what is heard, and when
 *
 * What anybody hears is the broadcast, byte by byte, without a gap: what is not ends it with BrokenRule. How late it is heard
 * is counted in bytes of the broadcast, as a player would hear that begins with the first byte and waits where it must.
 */
import { generateKeyPairSync } from 'node:crypto';
import { RateLimit } from '../../../peer/hosting/rate-limit.js';
import { FeedHearing } from '../../../peer/live/feed-hearing.js';
import { FeedPlaces } from '../../../peer/live/feed-places.js';
import { FeedSource } from '../../../peer/live/feed-source.js';
import { type FeedSwarms, feedIdOf } from '../../../peer/live/feed-swarm.js';
import type { LiveFeed } from '../../../peer/live/live-feed.js';
import type { Publication } from '../../../peer/live/publication.js';
import type { UploadRate } from '../../../peer/swarm/upload-allowance.js';
import { ECDSA_P256 } from '../../../protocol/ppspp/constants.js';
import { liveSwarmId } from '../../../protocol/ppspp/signatures.js';
import { makeFeeds } from '../../peer/live/feeding.js';
import { mpegFrames } from '../../support/mp3.js';
import type { Link } from '../../support/virtual-link.js';
import { Chance } from '../chance.js';
import { BrokenRule } from '../invariants.js';
import { Timeline } from '../timeline.js';
import { DatagramNetwork, SWARM_PORT } from './datagram-network.js';
import { nodeOn, QUIET, SOME_DAY_MS } from './swarm-programs.js';

const LISTENERS = 40;
const SOURCE = '10.0.0.1';
const LIAR = '10.0.2.1';
const BITRATE = 128_000;
const BYTES_A_MS = BITRATE / 8_000;
const SOURCE_UPLINK = 512_000 / 8;
/** Bytes a second: from 0.5 to 2 Mbit/s. */
const UPLINKS = [64_000, 128_000, 256_000];
const LINK: Link = { delayMs: 20, reorderMs: 20, loss: 0.002 };
const PUBLISHED_EACH_MS = 100;
const COME_WITHIN_MS = 3_000;
const LASTS_MS = 10_000;

export interface FeedOutcome {
  /** How many heard it. */
  readonly heard: number;
  /** Behind the source, of whoever was furthest behind at worst. */
  readonly worstDelayMs: number;
  /** How many found the liar out. */
  readonly caught: number;
}

/** Places are bytes of the broadcast. */
interface Listener {
  readonly address: string;
  readonly lies: () => boolean;
  heardFrom?: number;
  heardTo: number;
  /** How far the broadcast was when the first byte came. */
  beganAt: number;
  /** The longest wait for a byte that was due. */
  waited: number;
}

export class FeedSimulation {
  readonly #timeline = new Timeline();
  readonly #chance: Chance;
  readonly #network: DatagramNetwork;
  readonly #broadcast: Buffer;
  readonly #listeners: Listener[] = [];
  #published = 0;
  #broken: unknown;

  constructor(seed: number) {
    this.#chance = new Chance(seed);
    this.#network = new DatagramNetwork(this.#timeline, this.#chance.fork(), LINK);
    this.#broadcast = mpegFrames({ seconds: LASTS_MS / 1_000 + 2, seed });
  }

  async run(): Promise<FeedOutcome> {
    const publication = makeFeeds({ clock: this.#timeline }).publish();
    this.#publish(publication);
    const source = this.#give(publication.feed);
    await this.#timeline.run(1_000, () => this.#observe());
    this.#come(source, LIAR, true);
    for (let i = 1; i <= LISTENERS; i += 1)
      this.#timeline.after(this.#chance.unit() * COME_WITHIN_MS, () => this.#come(source, `10.0.1.${i}`));
    await this.#timeline.run(LASTS_MS - 1_000, () => this.#observe());
    const listeners = this.#listeners.filter(({ address }) => address !== LIAR);
    return {
      heard: listeners.filter(({ heardFrom }) => heardFrom !== undefined).length,
      worstDelayMs: Math.max(...listeners.map(delayOf)) / BYTES_A_MS,
      caught: listeners.filter(({ lies }) => lies()).length,
    };
  }

  /** As time goes by. */
  #publish(publication: Publication): void {
    const bytes = PUBLISHED_EACH_MS * BYTES_A_MS;
    publication.send(this.#broadcast.subarray(this.#published, this.#published + bytes));
    this.#published += bytes;
    for (const listener of this.#listeners) {
      if (listener.heardFrom === undefined) continue;
      const due = listener.heardFrom + this.#published - listener.beganAt;
      listener.waited = Math.max(listener.waited, due - listener.heardTo);
    }
    this.#timeline.after(PUBLISHED_EACH_MS, () => this.#publish(publication));
  }

  #give(feed: LiveFeed): FeedSource {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const swarmId = liveSwarmId(ECDSA_P256, privateKey);
    const rate = new RateLimit(SOURCE_UPLINK, this.#timeline);
    const { swarms } = this.#machine(SOURCE, SOURCE_UPLINK, { rate });
    const slots = new FeedPlaces(SOURCE_UPLINK, () => BITRATE);
    const source = new FeedSource({
      feed,
      identity: {
        id: feedIdOf(swarmId),
        swarmId,
        privateKey,
        numbers: { begin: () => 4_096, lend: async () => {} },
      },
      join: ({ swarm }) => swarms.joinFeed({ swarm, slots }),
      unixMs: () => this.#timeline.now() + SOME_DAY_MS,
    });
    this.#soon(source.run());
    return source;
  }

  #come(source: FeedSource, address: string, lies = false): void {
    const machine = this.#machine(address, this.#chance.pick(UPLINKS), { lies });
    const listener: Listener = { address, lies: machine.caughtLiar, heardTo: 0, beganAt: 0, waited: 0 };
    this.#listeners.push(listener);
    const hearing = new FeedHearing({
      swarms: machine.swarms,
      swarmId: source.swarmId,
      from: undefined,
      bitrate: BITRATE,
      clock: this.#timeline,
      logger: QUIET,
      heard: (at, frames) => this.#hear(listener, at - source.positionOf(0), frames),
      ended: () => this.#fail(`${address} has heard an end`),
    });
    hearing.meet(`${SOURCE}:7461`, SWARM_PORT);
    hearing.start();
  }

  #hear(listener: Listener, from: number, frames: Uint8Array): void {
    const { address, heardFrom, heardTo } = listener;
    const to = from + frames.length;
    if (heardFrom === undefined) {
      listener.heardFrom = from;
      listener.beganAt = this.#published;
    } else if (from !== heardTo) this.#fail(`${address} hears ${from} behind ${heardTo}`);
    listener.heardTo = to;
    if (!this.#broadcast.subarray(from, to).equals(frames))
      this.#fail(`${address} hears something else from ${from} on`);
  }

  #machine(
    address: string,
    bytesPerSecond: number,
    { rate, lies = false }: { readonly rate?: UploadRate; readonly lies?: boolean },
  ) {
    const chance = this.#chance.fork();
    const wire = this.#network.wire(address, bytesPerSecond);
    const node = nodeOn({ network: this.#network, wire, chance }, rate);
    this.#soon(node.start({ port: SWARM_PORT }));
    let caughtLiar = (): boolean => false;
    const swarms: FeedSwarms = {
      joinFeed: async options => {
        const { source } = options.swarm;
        const read = (chunk: number) => source.read(chunk)?.map(byte => byte ^ 1);
        const swarm = lies ? { ...options.swarm, source: { read } } : options.swarm;
        const joined = node.join({ ...options, swarm, serves: true, place: chance.unit() });
        caughtLiar = () =>
          joined.failed.some(({ host, lied }) => lied === true && host.startsWith(`${LIAR}:`));
        return { joined, wake: () => node.wake(), leave: () => node.leave(joined) };
      },
    };
    return { swarms, caughtLiar: () => caughtLiar() };
  }

  #soon(work: Promise<unknown>): void {
    work.catch(error => {
      this.#broken ??= error;
    });
  }

  #fail(why: string): void {
    this.#broken ??= new BrokenRule(why);
  }

  #observe(): void {
    if (this.#broken !== undefined) throw this.#broken;
  }
}

/** In bytes. Who never heard anything is as late as can be. */
function delayOf({ heardFrom, beganAt, waited }: Listener): number {
  return heardFrom === undefined ? Number.POSITIVE_INFINITY : beganAt - heardFrom + waited;
}
