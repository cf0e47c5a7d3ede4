/**
 * A fetch's way into its song's swarm, and what goes between them: joining takes a moment, and nobody waits for it.
 *
 *     meet, want, keep ─▶ [ until it is joined: noted ] ─▶ SongSwarm ─▶ heard, brought, lied ─▶ the fetch
 */
import { setImmediate as othersTurn } from 'node:timers/promises';
import { PIECE_BYTES } from '../../protocol/merkle.js';
import type { Logger } from '../../protocol/ports.js';
import { WINDOW_BYTES } from './range-plan.js';
import type { SongSwarm, SongToJoin, SwarmAccess } from './song-swarm.js';

/** Kept for others until the swarm is joined: as much as is fetched ahead of a reader. */
const MAX_EARLY_PIECES = WINDOW_BYTES / PIECE_BYTES;

export class SwarmPart {
  readonly #access: SwarmAccess;
  readonly #logger: Logger;
  readonly #met: { readonly host: string; readonly port: number }[] = [];
  readonly #early = new Map<number, Uint8Array>();
  #swarm: SongSwarm | undefined;
  #isOver = false;

  constructor(access: SwarmAccess, logger: Logger) {
    this.#access = access;
    this.#logger = logger;
  }

  /** Resolves with whether it is joined; with false, too, when it was left meanwhile. */
  async join(song: SongToJoin): Promise<boolean> {
    try {
      const swarm = await this.#access.join(song);
      if (this.#isOver) swarm.leave();
      else this.#swarm = swarm;
    } catch (error) {
      this.#logger.info({ err: error }, 'songs come without swarms');
    }
    if (this.#swarm === undefined) return false;
    for (const { host, port } of this.#met) this.#swarm.meet(host, port);
    void this.#gatherEarly();
    return true;
  }

  meet(host: string, port: number): void {
    this.#met.push({ host, port });
    this.#swarm?.meet(host, port);
  }

  want(pieces: readonly number[]): void {
    this.#swarm?.want(pieces);
  }

  unwant(pieces: readonly number[]): void {
    this.#swarm?.unwant(pieces);
  }

  /** A proven piece, which others may want. */
  gather(index: number, piece: Uint8Array): void {
    if (this.#swarm !== undefined) this.#swarm.gather(index, piece);
    else if (!this.#isOver && this.#early.size < MAX_EARLY_PIECES) this.#early.set(index, piece);
  }

  leave(): void {
    this.#isOver = true;
    this.#early.clear();
    this.#swarm?.leave();
    this.#swarm = undefined;
  }

  /** One at a time, for hashing a piece takes half a millisecond. */
  async #gatherEarly(): Promise<void> {
    for (const [index, piece] of this.#early) {
      await othersTurn();
      this.#swarm?.gather(index, piece);
    }
    this.#early.clear();
  }
}
