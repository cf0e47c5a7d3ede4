/**
 * What the server of a publishing protocol is to the peer: something that opens, closes, and knows its URLs.
 */
export interface LiveDoor {
  /** Rejects with CommandError when it cannot listen. */
  start(): Promise<void>;
  /** Resolves when nothing of it is left. */
  stop(): Promise<void>;
  /** What a publisher types, or the two halves of it. Told once: it has the key. */
  publishUrl(name: string, key: string): string;
  /** What a player types. */
  listenUrl(name: string): string;
}
