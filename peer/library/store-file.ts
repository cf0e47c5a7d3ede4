/**
 * Looks at an lmdb file before lmdb does, which maps it and believes it: a damaged one ends the process with SIGSEGV, and
 * one without room on its disk with SIGBUS.
 *
 *     page 0, page 1    pgno 8 · txn 8 · flags 8 │ magic 4 · version 4 · … │ page size at 48 │ roots at 88, 136 │ txn at 152
 *     a root's page     begins with its own number
 *
 * Both first pages carry the magic number, the newer one (by its transaction) is in force, and the pages that it calls the
 * roots are where it says. Damage deeper down is not found. Layout of the lmdb package, 64 bit.
 */
import { access, constants, type FileHandle, open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../make-folder.js';

const MAGIC = 0xbeefc0de;
const MAGIC_AT = 24;
const PAGE_SIZE_AT = 48;
const ROOTS_AT = [88, 136] as const;
const TRANSACTION_AT = 152;
const META_BYTES = 160;
const MIN_PAGE_BYTES = 512;
const MAX_PAGE_BYTES = 65_536;
/** A tree without a page. */
const NO_PAGE = 0xffff_ffff_ffff_ffffn;

/** More than a new store takes: its lock file, two pages, and the first tables. */
const ROOM_BYTES = 256 * 1024;
const STAT_BLOCK_BYTES = 512;

/**
 * Makes `folder`, and rejects with Node's error when its disk has no room for a store to begin in (ENOSPC), or when one that
 * has begun may not be written (EACCES: somebody else began it). Else that is left alone: it is read on a full disk too.
 */
export async function makeRoom(folder: string): Promise<void> {
  await makeFolder(folder);
  if ((await hasRoom(join(folder, 'lock.mdb'))) && (await hasRoom(join(folder, 'data.mdb')))) return;
  const trial = join(folder, 'trial');
  try {
    await writeFile(trial, Buffer.alloc(ROOM_BYTES));
  } finally {
    await rm(trial, { force: true });
  }
}

/** Whether there is something, with blocks behind all of it. Rejects when it may not be written. */
async function hasRoom(path: string): Promise<boolean> {
  const { size = 0, blocks = 0 } = (await stat(path).catch(() => undefined)) ?? {};
  if (size > 0) await access(path, constants.R_OK | constants.W_OK);
  return size > 0 && blocks * STAT_BLOCK_BYTES >= size;
}

/** The file of the store in `folder` if it is damaged; undefined if it is whole, new, or cannot be read at all. */
export async function damagedStoreFile(folder: string): Promise<string | undefined> {
  const path = join(folder, 'data.mdb');
  let file: FileHandle;
  try {
    file = await open(path);
  } catch {
    return undefined;
  }
  try {
    const { size } = await file.stat();
    return size === 0 || (await isWhole(file, size)) ? undefined : path;
  } finally {
    await file.close();
  }
}

/** Moves it out of the way, for what can be made again. Resolves with where it is now. */
export async function moveAside(file: string): Promise<string> {
  const aside = `${file}.damaged`;
  await rename(file, aside);
  return aside;
}

async function isWhole(file: FileHandle, size: number): Promise<boolean> {
  const first = await read(file, 0);
  const pageBytes = first.readUInt32LE(PAGE_SIZE_AT);
  if (pageBytes < MIN_PAGE_BYTES || pageBytes > MAX_PAGE_BYTES) return false;
  const second = await read(file, pageBytes);
  if (![first, second].every(meta => meta.readUInt32LE(MAGIC_AT) === MAGIC)) return false;
  const [a, b] = [first, second].map(meta => meta.readBigUInt64LE(TRANSACTION_AT)) as [bigint, bigint];
  const inForce = b > a ? second : first;
  for (const at of ROOTS_AT) {
    const root = inForce.readBigUInt64LE(at);
    if (root === NO_PAGE) continue;
    const start = root * BigInt(pageBytes);
    if (start + BigInt(pageBytes) > BigInt(size)) return false;
    if ((await read(file, Number(start))).readBigUInt64LE(0) !== root) return false;
  }
  return true;
}

/** Beyond the end of the file: zeros. */
async function read(file: FileHandle, position: number): Promise<Buffer> {
  const bytes = Buffer.alloc(META_BYTES);
  await file.read(bytes, 0, META_BYTES, position);
  return bytes;
}
