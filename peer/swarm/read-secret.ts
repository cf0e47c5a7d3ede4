/** A secret out of its file, which from then on is its owner's alone: a copy of it may be open to others. */
import { chmod, readFile } from 'node:fs/promises';

const OWNER_ONLY = 0o600;

/** Rejects with the file system's error. */
export async function readSecret(path: string): Promise<string> {
  const text = await readFile(path, 'utf8');
  await chmod(path, OWNER_ONLY);
  return text;
}
