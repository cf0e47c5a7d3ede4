/**
 * Every path of the library and what is known of it: the difference between «look» and «read». Pure.
 *
 *     found, same fingerprint             ──▶ nothing to do
 *     found, fingerprint of another path  ──▶ it was renamed: what is known moves with it
 *     found, new or changed               ──▶ read it
 *     known, not found                    ──▶ forget it
 *
 * A rename keeps inode, size and mtime, and changes ctime.
 */
import { type Fingerprint, isSameFile, type SkipReason } from './file-facts.js';
import { isInsideAny } from './paths.js';
import type { KnownFile } from './store.js';

export type Judgement =
  | { readonly kind: 'same'; readonly file: KnownFile }
  | { readonly kind: 'renamed'; readonly from: string; readonly file: KnownFile }
  | { readonly kind: 'unknown' };

/** `reason`: skipped without a look inside, and looked at again next time. */
type Entry = KnownFile | { readonly reason: SkipReason };

export class KnownFiles {
  readonly #entries = new Map<string, Entry>();
  /** Which path had this inode last. */
  readonly #paths = new Map<bigint, string>();

  /** Undefined also for what was skipped without a look inside. */
  get(path: string): KnownFile | undefined {
    const entry = this.#entries.get(path);
    return entry !== undefined && 'content' in entry ? entry : undefined;
  }

  set(path: string, file: KnownFile): void {
    this.forget(path);
    this.#entries.set(path, file);
    this.#paths.set(file.fingerprint.inode, path);
  }

  skip(path: string, reason: SkipReason): void {
    this.forget(path);
    this.#entries.set(path, { reason });
  }

  forget(path: string): void {
    const file = this.get(path);
    if (file !== undefined && this.#paths.get(file.fingerprint.inode) === path)
      this.#paths.delete(file.fingerprint.inode);
    this.#entries.delete(path);
  }

  judge(path: string, fingerprint: Fingerprint): Judgement {
    const known = this.get(path);
    if (known !== undefined && isSameFile(known.fingerprint, fingerprint))
      return { kind: 'same', file: known };
    const from = this.#paths.get(fingerprint.inode);
    const other = from === undefined || from === path ? undefined : this.get(from);
    if (from === undefined || other === undefined || !isRenamed(other.fingerprint, fingerprint))
      return { kind: 'unknown' };
    return { kind: 'renamed', from, file: { fingerprint, content: other.content } };
  }

  /** Paths that are one of `starts` or in one of them. */
  *below(starts: readonly string[]): IterableIterator<string> {
    const wanted = new Set(starts);
    for (const path of this.#entries.keys()) if (isInsideAny(wanted, path)) yield path;
  }

  /** How many paths are skipped for each reason. */
  skipped(): Map<SkipReason, number> {
    const counts = new Map<SkipReason, number>();
    for (const entry of this.#entries.values()) {
      const reason =
        'reason' in entry
          ? entry.reason
          : entry.content.kind === 'skipped'
            ? entry.content.reason
            : undefined;
      if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1);
    }
    return counts;
  }
}

const isRenamed = (before: Fingerprint, after: Fingerprint): boolean =>
  before.inode === after.inode && before.size === after.size && before.mtimeNs === after.mtimeNs;
