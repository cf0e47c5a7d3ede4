/**
 * The hosts that a song is fetched from just now, each over its own connection.
 *
 *     lead      sees to it that what the reader needs next comes at all
 *     helpers   bring pieces beyond that
 *     race      a piece that somebody owes for too long, asked of a second one too: whoever proves it first stays
 */
import type { FetchSource } from './fetch-source.js';

export interface Race {
  readonly piece: number;
  readonly owner: FetchSource;
  readonly rival: FetchSource;
  /** Opened for this alone: who did not win need not stay. */
  readonly isFresh: boolean;
}

export class Crew {
  /** The lead first. */
  #sources: FetchSource[] = [];
  #race: Race | undefined;

  get lead(): FetchSource | undefined {
    return this.#sources[0];
  }

  /** One of them. */
  set lead(source: FetchSource) {
    this.#sources = [source, ...this.#sources.filter(other => other !== source)];
  }

  get sources(): readonly FetchSource[] {
    return this.#sources;
  }

  get hosts(): ReadonlySet<string> {
    return new Set(this.#sources.map(source => source.host));
  }

  get race(): Race | undefined {
    return this.#race;
  }

  of(host: string): FetchSource | undefined {
    return this.#sources.find(source => source.host === host);
  }

  has(source: FetchSource): boolean {
    return this.#sources.includes(source);
  }

  /** Who was asked for a piece that has not come. */
  whoOwes(piece: number): FetchSource | undefined {
    return this.#sources.find(source => source.isToSend(piece));
  }

  add(source: FetchSource): void {
    this.#sources.push(source);
  }

  begin(race: Race): void {
    this.#race = race;
  }

  endRace(): void {
    this.#race = undefined;
  }

  /** Who raced against the lead leads after it, else who helped longest. */
  remove(source: FetchSource): void {
    const race = this.#race;
    if (race !== undefined && (source === race.owner || source === race.rival)) {
      this.#race = undefined;
      if (source === this.lead && race.owner === source) this.lead = race.rival;
    }
    this.#sources = this.#sources.filter(other => other !== source);
  }

  clear(): void {
    this.#sources = [];
    this.#race = undefined;
  }
}
