/**
 * What a peer has to offer, as its tracker link sees it: rows that come, change and go.
 *
 *     library and cache ─┐
 *     live feeds        ─┴─▶ AllOffers ─▶ TrackerLink
 */
import type { ContentHash, OfferRow } from '../../protocol/tsp/rows.js';

export interface Offered {
  readonly offer: OfferRow;
}

export interface OfferChanges {
  /** New, or with another row than before. */
  readonly changed: readonly Offered[];
  readonly removed: readonly ContentHash[];
}

export interface OfferSource {
  get(hash: ContentHash): Offered | undefined;
  songs(): Iterable<Offered>;
  /** Returns what ends the listening. */
  onChange(listener: (change: OfferChanges) => void): () => void;
}

/** Sources that have nothing in common. */
export class AllOffers implements OfferSource {
  readonly #sources: readonly OfferSource[];

  constructor(sources: readonly OfferSource[]) {
    this.#sources = sources;
  }

  get(hash: ContentHash): Offered | undefined {
    for (const source of this.#sources) {
      const offered = source.get(hash);
      if (offered !== undefined) return offered;
    }
    return undefined;
  }

  *songs(): Iterable<Offered> {
    for (const source of this.#sources) yield* source.songs();
  }

  onChange(listener: (change: OfferChanges) => void): () => void {
    const stops = this.#sources.map(source => source.onChange(listener));
    return () => {
      for (const stop of stops) stop();
    };
  }
}
