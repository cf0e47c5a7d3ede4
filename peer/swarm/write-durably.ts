/** A small file as a whole, on the disk when this resolves, for nobody else to read. */
import { open, rename } from 'node:fs/promises';

export async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
