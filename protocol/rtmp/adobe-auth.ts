/**
 * Adobe's authentication of publishers: what OBS's user and password fields and `rtmp://user:password@…` speak.
 *
 *     connect                              ─▶ rejected: need auth
 *     connect ?user=bob                    ─▶ rejected: salt, challenge, opaque         three connections
 *     connect ?user=bob&challenge&response ─▶ in, or rejected: authfailed
 *
 * A challenge is random, answers one connection, and is forgotten after a minute; which of user and password was wrong is
 * not told. A password never crosses the wire, nor does anything that would do in its place a second time.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Milliseconds, RandomBytes } from '../ports.js';

/** A client answers within a second or two. */
const CHALLENGE_MS = 60_000;
/** Who asks for more pushes the oldest out. */
export const MAX_CHALLENGES = 256;
const SECRET_BYTES = 12;

const NEED_AUTH = '[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ';
const REJECT = '[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=';

/** The user, or how NetConnection.Connect.Rejected is described. */
export type AuthAnswer = { readonly user: string } | { readonly rejected: string };

interface Challenge {
  readonly user: string;
  readonly salt: string;
  readonly expiresAt: Milliseconds;
}

export class AdobeAuth {
  readonly #passwordOf: (user: string) => string | undefined;
  readonly #randomBytes: RandomBytes;
  /** By their opaque, oldest first. */
  readonly #challenges = new Map<string, Challenge>();

  constructor(passwordOf: (user: string) => string | undefined, randomBytes: RandomBytes) {
    this.#passwordOf = passwordOf;
    this.#randomBytes = randomBytes;
  }

  /** Judges a `connect` by the query of its application. */
  judge(query: string, now: Milliseconds): AuthAnswer {
    const fields = fieldsOf(query);
    const user = fields.get('user');
    if (fields.get('authmod') !== 'adobe' || user === undefined) return { rejected: NEED_AUTH };
    const response = fields.get('response');
    return response === undefined
      ? { rejected: this.#challenge(user, now) }
      : this.#check(user, response, fields, now);
  }

  #challenge(user: string, now: Milliseconds): string {
    const [salt, opaque] = [this.#secret(), this.#secret()];
    this.#challenges.set(opaque, { user, salt, expiresAt: now + CHALLENGE_MS });
    if (this.#challenges.size > MAX_CHALLENGES) {
      const [oldest] = this.#challenges.keys();
      this.#challenges.delete(oldest!);
    }
    return `${REJECT}needauth&user=${user}&salt=${salt}&challenge=${opaque}&opaque=${opaque}`;
  }

  #check(user: string, response: string, fields: ReadonlyMap<string, string>, now: Milliseconds): AuthAnswer {
    const opaque = fields.get('opaque') ?? '';
    const challenge = this.#challenges.get(opaque);
    this.#challenges.delete(opaque);
    const password = this.#passwordOf(user);
    const expected = adobeResponse({
      user,
      password: password ?? '',
      salt: challenge?.salt ?? '',
      opaque,
      challenge: fields.get('challenge') ?? '',
    });
    const isKnown = password !== undefined && challenge?.user === user && now < challenge.expiresAt;
    return isSame(response, expected) && isKnown ? { user } : { rejected: `${REJECT}authfailed` };
  }

  #secret(): string {
    return Buffer.from(this.#randomBytes(SECRET_BYTES)).toString('base64');
  }
}

export interface AdobeAnswer {
  readonly user: string;
  readonly password: string;
  readonly salt: string;
  /** The server's. */
  readonly opaque: string;
  /** The client's own. */
  readonly challenge: string;
}

/** What a client that knows the password answers. */
export function adobeResponse({ user, password, salt, opaque, challenge }: AdobeAnswer): string {
  return md5(md5(user + salt + password) + opaque + challenge);
}

const md5 = (text: string): string => createHash('md5').update(text).digest('base64');

/** In a time that tells nothing of how much of it was right. */
const isSame = (given: string, expected: string): boolean =>
  timingSafeEqual(
    createHash('sha256').update(given).digest(),
    createHash('sha256').update(expected).digest(),
  );

/** By hand: base64's `+` and `/` stand there as they are. */
function fieldsOf(query: string): ReadonlyMap<string, string> {
  return new Map(
    query.split('&').map(field => {
      const at = field.indexOf('=');
      return at < 0 ? [field, ''] : [field.slice(0, at), field.slice(at + 1)];
    }),
  );
}
