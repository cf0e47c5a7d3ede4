/**
 * The words in which the rooms of the library tell one another about files.
 *
 *     scan:    path ──▶ Found      what the folder says, without opening anything
 *     reader:  path ──▶ FileReading   what the file says: a song, or why not
 *
 * A fingerprint that has not changed is taken as content that has not changed; ctime is in it since mtime can be set.
 */
import type { ContentHash, SongFields } from '../../protocol/tsp/rows.js';
import type { SongTags } from './tags.js';

export interface Fingerprint {
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly inode: bigint;
}

export const isSameFile = (a: Fingerprint, b: Fingerprint): boolean =>
  a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs && a.inode === b.inode;

/** Why a file is not offered, and how that is said to people after a count: «3 empty». */
export const SKIP_REASONS = {
  empty: 'empty',
  'not-mp3': 'not MP3',
  pcm: 'WAV or AIFF (offered with --encode)',
  'not-encoded': 'WAV or AIFF that could not be encoded',
  truncated: 'cut off before any sound',
  'too-large': 'larger than 2 GiB',
  'not-regular': 'no regular file',
  link: 'a link that leads out of the folder or nowhere',
  hidden: 'hidden',
  'not-utf8': 'with a name that is no UTF-8',
  unreadable: 'unreadable',
  'too-slow': 'too slow to read',
  'too-deep': 'more than 16 folders deep',
  'too-many': 'where a scan of 100,000 files stopped',
} as const;
export type SkipReason = keyof typeof SKIP_REASONS;

/** Bounds of one folder of the library. */
export const MAX_FILE_BYTES = 2 * 1024 ** 3;
/** Files and folders together: bounds memory and the time of a look, whatever somebody mounts there. */
export const MAX_ENTRIES = 100_000;
export const MAX_DEPTH = 16;

/**
 * What one look into a folder found. `gone`: nothing is at a path that was asked about. `unseen`: what is at the path, and
 * below it, cannot be told now, for the machine is out of descriptors or memory, or a disk failed.
 */
export type Found =
  | { readonly kind: 'file'; readonly path: string; readonly fingerprint: Fingerprint }
  /** `identity` tells a folder from another that took its place. */
  | { readonly kind: 'folder'; readonly path: string; readonly identity: string }
  | { readonly kind: 'skipped'; readonly path: string; readonly reason: SkipReason }
  | { readonly kind: 'gone' | 'unseen'; readonly path: string };

/** What is known of a file's content, and worth keeping until its fingerprint changes. */
export type FileContent =
  /** `fields.title` is absent when the tags name none: then the file's name serves, whatever it is by then. */
  | { readonly kind: 'song'; readonly hash: ContentHash; readonly fields: SongFields }
  | { readonly kind: 'skipped'; readonly reason: SkipReason };

/** What one reading of a file gave. */
export type FileReading =
  | {
      readonly kind: 'read';
      readonly fingerprint: Fingerprint;
      readonly content: FileContent;
      /** Of a song: its level-6 nodes, 32 bytes each. */
      readonly nodes?: Uint8Array;
      /** Of a WAV or AIFF file that was asked for them. */
      readonly tags?: SongTags;
    }
  | { readonly kind: 'gone' }
  /** It changed under every attempt to read it. */
  | { readonly kind: 'changing' }
  | {
      readonly kind: 'refused';
      readonly reason: SkipReason;
      /** It may be read when the machine is better: it was out of descriptors or memory, or a disk failed. */
      readonly passing?: true;
    };
