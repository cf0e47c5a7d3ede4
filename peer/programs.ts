/** Whether a program that we would start is there. */
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** `program`: an absolute path, or a name to be found on PATH. */
export async function isRunnable(program: string): Promise<boolean> {
  const folders = /[/\\]/.test(program) ? [''] : (process.env.PATH ?? '').split(delimiter);
  for (const folder of folders) {
    const found = await access(join(folder, program), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}
