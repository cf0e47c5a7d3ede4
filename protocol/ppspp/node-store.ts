/**
 * Hashes of a tree's nodes by bin, in pages of 64 neighbours of one layer, so that a million of them are no million objects.
 *
 *     layer ─▶ page (64 × hash, and which of them are there)
 *
 * A page exists once one of its nodes does: a size that somebody claims costs nothing.
 */
import { binAt, layerOf, offsetOf } from './bins.js';

const PAGE_NODES = 64;

interface Page {
  readonly hashes: Uint8Array;
  readonly present: Uint8Array;
}

export class NodeStore {
  readonly #layers: Map<number, Page>[] = [];

  constructor(readonly hashBytes: number) {}

  has(bin: number): boolean {
    const offset = offsetOf(bin);
    return (
      this.#layers[layerOf(bin)]?.get(Math.floor(offset / PAGE_NODES))?.present[offset % PAGE_NODES] === 1
    );
  }

  /** Shares the store's memory. */
  get(bin: number): Uint8Array | undefined {
    const offset = offsetOf(bin);
    const page = this.#layers[layerOf(bin)]?.get(Math.floor(offset / PAGE_NODES));
    const place = offset % PAGE_NODES;
    if (page?.present[place] !== 1) return undefined;
    return page.hashes.subarray(place * this.hashBytes, (place + 1) * this.hashBytes);
  }

  set(bin: number, hash: Uint8Array): void {
    const offset = offsetOf(bin);
    const page = this.#page(layerOf(bin), Math.floor(offset / PAGE_NODES));
    page.hashes.set(hash, (offset % PAGE_NODES) * this.hashBytes);
    page.present[offset % PAGE_NODES] = 1;
  }

  /** Neighbours of one layer, end to end, the first at `offset`. */
  setRow(layer: number, offset: number, row: Uint8Array): void {
    const { hashBytes } = this;
    const count = row.length / hashBytes;
    for (let done = 0; done < count; ) {
      const place = (offset + done) % PAGE_NODES;
      const take = Math.min(count - done, PAGE_NODES - place);
      const page = this.#page(layer, Math.floor((offset + done) / PAGE_NODES));
      page.hashes.set(row.subarray(done * hashBytes, (done + take) * hashBytes), place * hashBytes);
      page.present.fill(1, place, place + take);
      done += take;
    }
  }

  /** Upwards, and in each layer page by page. Shares the store's memory. */
  *[Symbol.iterator](): Iterator<readonly [bin: number, hash: Uint8Array]> {
    for (const [layer, pages] of this.#layers.entries())
      for (const [number, { hashes, present }] of pages)
        for (const [place, isPresent] of present.entries())
          if (isPresent === 1)
            yield [
              binAt(layer, number * PAGE_NODES + place),
              hashes.subarray(place * this.hashBytes, (place + 1) * this.hashBytes),
            ];
  }

  #page(layer: number, number: number): Page {
    while (this.#layers.length <= layer) this.#layers.push(new Map());
    const pages = this.#layers[layer]!;
    let page = pages.get(number);
    if (page === undefined) {
      page = { hashes: new Uint8Array(PAGE_NODES * this.hashBytes), present: new Uint8Array(PAGE_NODES) };
      pages.set(number, page);
    }
    return page;
  }

  /** Forgets the pages that have nothing from this chunk on. */
  forgetBefore(chunk: number): void {
    for (const [layer, pages] of this.#layers.entries()) {
      const first = Math.floor(chunk / 2 ** layer / PAGE_NODES);
      for (const number of pages.keys()) if (number < first) pages.delete(number);
    }
  }
}
