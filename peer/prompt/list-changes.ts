/**
 * Changes of the list, noticed quietly: what comes within one pause is one line, and what left and came back is none.
 *
 *     +1 song … +2 songs … −1 song ──(2 s without another, at most 10 s)──▶ «3 songs added, 1 gone.»
 *
 * A host or a tracker that starts again lists the same songs anew. So songs are compared, by content, since a tracker may
 * give them other IDs.
 */
import type { Clock } from '../../protocol/ports.js';
import type { SongRow } from '../../protocol/tsp/rows.js';

/** Long enough that a library being read is one line and not fifty. */
const QUIET_MS = 2_000;
const LONGEST_MS = 10_000;

export interface ListChanges {
  readonly added: number;
  readonly left: number;
}

type Key = string | number;

export class ListChangeNotice {
  readonly #clock: Clock;
  readonly #songs: () => readonly SongRow[];
  readonly #tell: (changes: ListChanges) => void;
  /** The songs as they were when something was told last. */
  #known: ReadonlySet<Key>;
  #since: number | undefined;
  #cancel: () => void = () => {};

  constructor(clock: Clock, songs: () => readonly SongRow[], tell: (changes: ListChanges) => void) {
    this.#clock = clock;
    this.#songs = songs;
    this.#tell = tell;
    this.#known = keysOf(songs());
  }

  /** The list is not what it was. */
  add(): void {
    const now = this.#clock.now();
    this.#since ??= now;
    this.#cancel();
    const wait = Math.min(QUIET_MS, this.#since + LONGEST_MS - now);
    this.#cancel = this.#clock.after(Math.max(0, wait), () => this.#say());
  }

  stop(): void {
    this.#cancel();
    this.#since = undefined;
  }

  #say(): void {
    this.#since = undefined;
    const before = this.#known;
    this.#known = keysOf(this.#songs());
    const added = countMissing(this.#known, before);
    const left = countMissing(before, this.#known);
    // That only a title was corrected is not worth a line.
    if (added + left > 0) this.#tell({ added, left });
  }
}

const keysOf = (songs: readonly SongRow[]): ReadonlySet<Key> =>
  new Set(songs.map(({ hash, feed, id }) => hash ?? feed ?? id));

function countMissing(keys: ReadonlySet<Key>, among: ReadonlySet<Key>): number {
  let count = 0;
  for (const key of keys) if (!among.has(key)) count += 1;
  return count;
}
