/**
 * Proof of address (TSP §5.2): nobody enters the list under an address at which he was not reached.
 *
 *     targets ─▶ allowed? ─▶ 4 a minute each ─▶ 256 at once ─▶ dial, PING v ─▶ PONG v on the registration connection
 *                    └───────────────┴──── not proven ◀────────── 3 s ──┴──────── 5 s
 *
 * The rule: all failures look the same from outside, so that a tracker is no port scanner, and no address is dialled
 * that the registrant could not itself be at. Dialling is lent (`Dialer`); time and chance too.
 */

import { addressKey, addressScope, canonicalIp, isIp } from '../protocol/ip.js';
import type { Clock, Milliseconds, RandomBytes } from '../protocol/ports.js';
import { formatHostPort, parseHostPort } from '../protocol/tsp/addresses.js';
import { encode } from '../protocol/tsp/codec.js';
import {
  LOWEST_PROVABLE_PORT,
  MAX_PROOF_DIALS_PER_HOST_PER_MINUTE,
  MAX_PROOF_DIALS_PER_TARGET_PER_MINUTE,
  MAX_PROOF_PONGS,
  PROOF_DIAL_MS,
  PROOF_ECHO_MS,
} from '../protocol/tsp/constants.js';
import type { Claim, Proved } from '../protocol/tsp/tracker-effects.js';

/** More names than anybody needs for one song server: IPv4, IPv6, and one of each through a second line. */
const MAX_ADVERTISED = 4;
/** Addresses of one name: one a family is usual. */
const MAX_RESOLVED = 2;
const MINUTE_MS = 60_000;
/** The oldest of a Map lies behind all that were deleted from it: looked for at each dial, it costs more than the dial. */
const FORGET_EVERY_MS = 1_000;
const VALUE_BYTES = 4;
/** Asking the system for chance costs more than all else in a dial, so it is asked for many values at once. */
const DRAWN_BYTES = 256 * VALUE_BYTES;

export interface Dial {
  /** Resolves when the bytes were handed to an open connection. */
  readonly sent: Promise<void>;
  close(): void;
}

export interface Dialer {
  /** IP addresses of a name. */
  resolve(name: string): Promise<readonly string[]>;
  dial(host: string, port: number, bytes: Uint8Array): Dial;
  /** Nothing is dialled any more. Resolves when whatever that took has ended. */
  stop(): Promise<void>;
}

export interface Attempt {
  /** A PONG of this value came on the registration connection. */
  echo(value: number): void;
  /** Ends without a result. */
  cancel(): void;
}

const NOTHING_PROVEN: Proved = { addresses: [] };

/** An attempt under way. */
interface Pending {
  readonly awaited: Set<Awaited>;
  over: boolean;
}

/** An echo that is awaited. */
interface Awaited {
  readonly value: number;
  end(hasCome: boolean): void;
}

interface Target {
  readonly host: string;
  readonly port: number;
  /** Both: what is dialled too often is known by it. */
  readonly place: string;
  /** As it will stand in the list. */
  readonly listed: string;
}

export interface ProverOptions {
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  /** At once. */
  readonly maxDials: number;
}

export class Prover {
  readonly #dialer: Dialer;
  readonly #clock: Clock;
  readonly #randomBytes: RandomBytes;
  readonly #maxDials: number;
  #dialling = 0;
  readonly #waiting: (() => void)[] = [];
  /** When each place and each host was dialled in the last minute, what was dialled last at the end. */
  readonly #dialled = new Map<string, readonly Milliseconds[]>();
  #forgetAt: Milliseconds = 0;
  #drawn = Buffer.alloc(0);
  #drawnTo = 0;

  constructor({ dialer, clock, randomBytes, maxDials }: ProverOptions) {
    this.#dialer = dialer;
    this.#clock = clock;
    this.#randomBytes = randomBytes;
    this.#maxDials = maxDials;
  }

  /** Tries all addresses of `claim`, which came from `observed` (an IP address). `done` is called at most once. */
  prove(observed: string, claim: Claim, done: (outcome: Proved) => void): Attempt {
    const attempt: Pending = { awaited: new Set(), over: false };
    let wrong = 0;
    const end = (): void => {
      attempt.over = true;
      for (const awaited of attempt.awaited) awaited.end(false);
    };
    const finish = (outcome: Proved): void => {
      if (attempt.over) return;
      end();
      done(outcome);
    };
    void this.#targets(observed, claim)
      .then(async targets => {
        const waits = targets.map(target => this.#waitFor(target, canonicalIp(observed)));
        const proven = await Promise.all(
          targets.map(async (target, index) =>
            waits[index] === 0 && (await this.#reach(target, attempt)) ? target.listed : undefined,
          ),
        );
        const addresses = [...new Set(proven.filter(listed => listed !== undefined))];
        const wait = Math.max(0, ...waits);
        finish({ addresses, ...(wait === 0 ? {} : { retryInMs: wait }) });
      })
      .catch(() => finish(NOTHING_PROVEN));
    return {
      echo: value => {
        const awaited = [...attempt.awaited].find(awaited => awaited.value === value);
        if (awaited !== undefined) awaited.end(true);
        else if (++wrong === MAX_PROOF_PONGS) finish(NOTHING_PROVEN);
      },
      cancel: end,
    };
  }

  /** What may be dialled, names resolved once. */
  async #targets(observed: string, claim: Claim): Promise<Target[]> {
    const own = canonicalIp(observed);
    const fromPublic = addressScope(own) === 'public';
    const asListed = (host: string, port: number): Target => {
      const place = formatHostPort(host, port);
      const onLoopback = claim.local === true ? place : `:${port}`;
      return { host, port, place, listed: addressScope(host) === 'loopback' ? onLoopback : place };
    };
    const wanted = (claim.advertise ?? []).slice(0, MAX_ADVERTISED);
    if (wanted.length === 0) return [asListed(own, claim.port)].filter(({ port }) => isProvable(port));
    const found = await Promise.all(
      wanted.map(async text => {
        const address = parseHostPort(text, claim.port);
        if (address === undefined || address.host === '') return [];
        const { host, port } = address;
        const ips = isIp(host) ? [host] : await this.#dialer.resolve(host).catch(() => []);
        return ips.slice(0, MAX_RESOLVED).map(ip => asListed(canonicalIp(ip), port));
      }),
    );
    const targets = found
      .flat()
      .filter(({ host, port }) => isProvable(port) && (host === own || mayDial(host, fromPublic)));
    return [...new Map(targets.map(target => [target.place, target])).values()];
  }

  /** Whether the registration connection brought back what was said to `target`. */
  async #reach(target: Target, attempt: Pending): Promise<boolean> {
    if (this.#dialling === this.#maxDials) await new Promise<void>(resolve => this.#waiting.push(resolve));
    else this.#dialling += 1;
    if (attempt.over) {
      this.#release();
      return false;
    }
    const value = this.#freshValue(attempt.awaited);
    const dial = this.#dialer.dial(target.host, target.port, encode({ type: 'PING', value }));
    const hasCome = await new Promise<boolean>(resolve => {
      const fail = (): void => awaited.end(false);
      let disarm = this.#clock.after(PROOF_DIAL_MS, fail);
      const awaited = {
        value,
        end: (hasCome: boolean): void => {
          disarm();
          attempt.awaited.delete(awaited);
          resolve(hasCome);
        },
      };
      attempt.awaited.add(awaited);
      dial.sent.then(() => {
        disarm();
        if (attempt.awaited.has(awaited)) disarm = this.#clock.after(PROOF_ECHO_MS, fail);
      }, fail);
    });
    dial.close();
    this.#release();
    return hasCome;
  }

  /**
   * At most four dials a minute to one place, and 64 to a host that is not the registrant's `own`, whoever asks: 0, and it is
   * counted, or for how long it is too many.
   */
  #waitFor({ host, place }: Target, own: string): number {
    const now = this.#clock.now();
    this.#forget(now);
    const limits = [{ key: place, most: MAX_PROOF_DIALS_PER_TARGET_PER_MINUTE }];
    if (host !== own) limits.push({ key: addressKey(host), most: MAX_PROOF_DIALS_PER_HOST_PER_MINUTE });
    const dials = limits.map(({ key, most }) => {
      const recent = (this.#dialled.get(key) ?? []).filter(at => now - at < MINUTE_MS);
      return { key, recent, wait: recent.length < most ? 0 : recent[0]! + MINUTE_MS - now };
    });
    const wait = Math.max(...dials.map(({ wait }) => wait));
    if (wait > 0) return wait;
    for (const { key, recent } of dials) {
      this.#dialled.delete(key);
      this.#dialled.set(key, [...recent, now]);
    }
    return 0;
  }

  /** What was not dialled for a minute. */
  #forget(now: Milliseconds): void {
    if (now < this.#forgetAt) return;
    this.#forgetAt = now + FORGET_EVERY_MS;
    for (const [place, times] of this.#dialled) {
      if (now - times.at(-1)! < MINUTE_MS) return;
      this.#dialled.delete(place);
    }
  }

  /** Whoever waits takes the place over. */
  #release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#dialling -= 1;
    else next();
  }

  /** Not 0, which is what a keepalive says, and not one that is under way. */
  #freshValue(awaited: ReadonlySet<Awaited>): number {
    const isTaken = (value: number): boolean => [...awaited].some(other => other.value === value);
    let value = 0;
    while (value === 0 || isTaken(value)) {
      if (this.#drawnTo === this.#drawn.length) {
        this.#drawn = Buffer.from(this.#randomBytes(DRAWN_BYTES));
        this.#drawnTo = 0;
      }
      value = this.#drawn.readUInt32BE(this.#drawnTo);
      this.#drawnTo += VALUE_BYTES;
    }
    return value;
  }
}

const isProvable = (port: number): boolean => port >= LOWEST_PROVABLE_PORT;

/** Besides where he came from: what is public, and for those who came from a private network also what is private. */
function mayDial(host: string, fromPublic: boolean): boolean {
  const scope = addressScope(host);
  return scope === 'public' || (scope === 'private' && !fromPublic);
}
