/**
 * Who may publish which feed: a secret for each name, compared in constant time, never logged.
 *
 *     key ─▶ compared with every feed's ─▶ name            name and key ─▶ must go together
 *
 * Open, whoever comes may publish, under the name that it gives as its key, unless that name has a key of its own.
 */
import { createHash, timingSafeEqual } from 'node:crypto';

/** What can stand in a URL and in a file's name as it is. */
const FEED_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;

export const isFeedName = (name: string): boolean => FEED_NAME.test(name);

export class StreamKeys {
  readonly #keys: ReadonlyMap<string, string>;
  readonly #isOpen: boolean;

  /** `keys`: by the feed's name. */
  constructor(keys: ReadonlyMap<string, string>, isOpen: boolean) {
    this.#keys = keys;
    this.#isOpen = isOpen;
  }

  /** The feed that this key opens; with `name` only that one. Takes as long for a wrong key as for a right one. */
  feedOf(key: string, name?: string): string | undefined {
    let found: string | undefined;
    for (const [feed, secret] of this.#keys) {
      if (isSame(secret, key) && (name === undefined || name === feed)) found = feed;
    }
    if (found !== undefined || !this.#isOpen) return found;
    const open = name ?? key;
    return isFeedName(open) && !this.#keys.has(open) ? open : undefined;
  }

  /** For protocols in which a publisher proves that it knows the key without saying it. */
  keyOf(name: string): string | undefined {
    return this.#keys.get(name);
  }
}

/** Digests are of one length, whatever the keys are. */
const isSame = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b));

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
