/** What only Linux tells of itself, below /proc: what a process and a socket hold, and who is whose child. */

/** Why that can't be asked here, as tap's `skip` wants it; false where it can. */
export const noProc: string | false =
  process.platform !== 'linux' && 'only Linux tells what a process or a socket holds';
