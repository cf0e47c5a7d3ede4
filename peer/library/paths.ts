/** Which path is in which folder. All paths are absolute and real; pure. */
import { dirname, relative, sep } from 'node:path';

/** Whether `path` is `folder` or in it. */
export const isInside = (folder: string, path: string): boolean =>
  path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);

/** Whether `path` is one of `folders` or in one of them; the cost is the path's depth, however many folders. */
export function isInsideAny(folders: ReadonlySet<string>, path: string): boolean {
  for (let at = path; ; at = dirname(at)) {
    if (folders.has(at)) return true;
    if (at === dirname(at)) return false;
  }
}

/** The names between `root` and `path`. */
export const namesBelow = (root: string, path: string): string[] =>
  path === root ? [] : relative(root, path).split(sep);
