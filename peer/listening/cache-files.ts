/**
 * The files of one song in the disk cache, whole or in part, and the note that says what it is.
 *
 *     whole: HASH.mp3, HASH.json          in part: HASH.part (pieces at their places), HASH.map (which), HASH.json
 */
import { type FileHandle, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asContentHash, type ContentHash, type OfferRow, parseOffer } from '../../protocol/tsp/rows.js';

/** What HASH.json says. */
export interface Note {
  /** Of a song that is in part: without a size. */
  readonly offer: OfferRow;
  /** Level 6. */
  readonly nodes: Uint8Array;
}

const KINDS = ['mp3', 'json', 'part', 'map', 'new'] as const;
export type FileKind = (typeof KINDS)[number];

export class CacheFiles {
  constructor(
    readonly folder: string,
    readonly hash: ContentHash,
  ) {}

  /** Undefined when `name` is none of ours. */
  static parse(name: string): { readonly hash: ContentHash; readonly kind: FileKind } | undefined {
    const dot = name.lastIndexOf('.');
    const hash = asContentHash(name.slice(0, dot));
    const kind = KINDS.find(ours => ours === name.slice(dot + 1));
    return hash === undefined || kind === undefined ? undefined : { hash, kind };
  }

  path(kind: FileKind): string {
    return join(this.folder, `${this.hash}.${kind}`);
  }

  /** Rejects when there is none, or it is not legible. */
  async readNote(): Promise<Note> {
    const { offer, nodes } = JSON.parse(await readFile(this.path('json'), 'utf8'));
    return { offer: parseOffer({ ...offer }), nodes: Buffer.from(nodes, 'base64') };
  }

  async writeNote(note: Note): Promise<void> {
    await writeFile(this.path('json'), textOf(note));
  }

  /** Who reads meanwhile sees the old one, or this. */
  async replaceNote(note: Note): Promise<void> {
    await writeFile(this.path('new'), textOf(note));
    await rename(this.path('new'), this.path('json'));
  }

  async remove(kinds: readonly FileKind[] = KINDS): Promise<void> {
    await Promise.all(kinds.map(kind => rm(this.path(kind), { force: true })));
  }
}

const textOf = ({ offer, nodes }: Note): string =>
  JSON.stringify({ offer, nodes: Buffer.from(nodes).toString('base64') });

/** Opens it for `work` alone. */
export async function inFile<T>(
  path: string,
  flags: 'r' | 'r+' | 'w',
  work: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const file = await open(path, flags);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}
