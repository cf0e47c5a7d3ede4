/**
 * Who helps with a song that has begun: hosts by RANGE, and those that speak PPSPP through the swarm, too.
 *
 *     a host nobody has spoken to ─▶ HELLO ─▶ a helper ─ brings as much through the swarm ─▶ not asked by RANGE any more
 *                                       └ with `swarm` ─▶ met there
 *
 * The rule: nobody helps where nothing is to be gained: not before the first piece is here, not with a song that is nearly
 * here, not beside a single host that is quick enough. So one good host alone is asked just as if there were no swarms.
 */
import type { Milliseconds } from '../../protocol/ports.js';
import type { HostBook, HostCard } from './choose-host.js';
import type { HostTrials } from './host-trials.js';
import type { SwarmShare } from './swarm-share.js';

/** Hosts that are asked by RANGE at the same time, the lead among them. */
const MAX_BY_RANGE = 4;
/** Hosts of a song that are greeted, or met in its swarm; the swarm knows of more by itself. */
const MAX_GREETED = 8;
/** With less than this left the others would come too late. */
const LEAST_PIECES = 4;
/** How often it is looked who could help. */
const LOOK_EVERY_MS = 200;

export interface Recruits {
  readonly greet: readonly string[];
  readonly meet: readonly { readonly host: string; readonly port: number }[];
  readonly help: readonly string[];
}

export class Recruiting {
  readonly #book: HostBook;
  readonly #trials: HostTrials;
  readonly #swarm: SwarmShare;
  readonly #usesSwarms: boolean;
  readonly #greeted = new Set<string>();
  readonly #awaited = new Set<string>();
  #lookAt: Milliseconds = Number.NEGATIVE_INFINITY;

  constructor(book: HostBook, trials: HostTrials, swarm: SwarmShare, usesSwarms: boolean) {
    this.#book = book;
    this.#trials = trials;
    this.#swarm = swarm;
    this.#usesSwarms = usesSwarms;
  }

  /** `host` answered HELLO, or did not. */
  greeted(host: string): void {
    this.#awaited.delete(host);
    this.#lookAt = Number.NEGATIVE_INFINITY;
  }

  look(at: {
    /** Who is asked by RANGE already. */
    readonly working: ReadonlySet<string>;
    /** Who need not. */
    readonly except: ReadonlySet<string>;
    /** One alone does not suffice. */
    readonly isSlow: boolean;
    /** Bytes a second that the lead brings by RANGE; who brings as much through the swarm need not be asked so. */
    readonly leadRate: number | undefined;
    readonly piecesLeft: number;
    readonly now: Milliseconds;
  }): Recruits {
    const { working, except, isSlow, leadRate, piecesLeft, now } = at;
    const recruits = {
      greet: [] as string[],
      meet: [] as { host: string; port: number }[],
      help: [] as string[],
    };
    if (now < this.#lookAt || piecesLeft < LEAST_PIECES) return recruits;
    if (this.#trials.count < 2 && !isSlow) return recruits;
    this.#lookAt = now + LOOK_EVERY_MS;
    const idle = this.#trials.ready(now, working);
    let byRange = working.size;
    for (const host of [...working, ...idle]) {
      if (this.#book.hasLied(host, now)) continue;
      const card = this.#book.cardOf(host, now);
      if (this.#usesSwarms && card === undefined && !this.#greeted.has(host)) {
        if (this.#greeted.size >= MAX_GREETED) continue;
        this.#greeted.add(host);
        this.#awaited.add(host);
        recruits.greet.push(host);
        continue;
      }
      if (this.#mayMeet(card, now) && !this.#swarm.knows(host))
        recruits.meet.push({ host, port: card!.swarmPort! });
      if (
        byRange < MAX_BY_RANGE &&
        !working.has(host) &&
        !except.has(host) &&
        !this.#swarm.relieves(host, leadRate, now) &&
        this.#mayHelp(host, now)
      ) {
        byRange += 1;
        recruits.help.push(host);
      }
    }
    return recruits;
  }

  #mayMeet(card: HostCard | undefined, now: Milliseconds): boolean {
    return this.#usesSwarms && card?.swarmPort !== undefined && this.#swarm.mayMeet(now);
  }

  #mayHelp(host: string, now: Milliseconds): boolean {
    return !this.#awaited.has(host) && !this.#book.isBusy(host, now);
  }
}
