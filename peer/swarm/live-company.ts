/**
 * Keeps a listener of a live swarm in company that feeds it: asks whom others know, and leaves who never has a place for it.
 *
 *     two feeders ─▶ content          fewer ─▶ PEX_REQ to all; and as many neighbours as there may be ─▶ some that choke go
 */
import type { Milliseconds } from '../../protocol/ports.js';
import type { Channel } from '../../protocol/ppspp/channel.js';

/** How often. Nobody is told of peers more often than once a second. */
const EVERY_MS = 1_000;
/** Neighbours who have no place for us, and make it for others. */
const LEFT_AT_ONCE = 4;
/** Who has found its feeders asks now and then, for they may go. */
const CONTENT_EVERY_MS = 5_000;

export class LiveCompany {
  #lookAt: Milliseconds = Number.NEGATIVE_INFINITY;

  /** `isFull`: nobody more may be dialled. Whom to leave. */
  look(
    channels: Iterable<Channel>,
    now: Milliseconds,
    { lacksFeeders, isFull }: { readonly lacksFeeders: boolean; readonly isFull: boolean },
  ): readonly Channel[] {
    if (now < this.#lookAt) return [];
    this.#lookAt = now + (lacksFeeders ? EVERY_MS : CONTENT_EVERY_MS);
    const open = [...channels];
    for (const channel of open) channel.askForPeers();
    if (!lacksFeeders || !isFull) return [];
    return open.filter(channel => !channel.mayRequest && !channel.isAsked).slice(0, LEFT_AT_ONCE);
  }
}
