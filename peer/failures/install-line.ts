/**
 * What installs something that is optional here, as it is typed on this system.
 *
 *     installLine('ffmpeg')     apt install ffmpeg (Fedora: dnf install ffmpeg-free, Arch: pacman -S ffmpeg)
 */

/** What is said where npm left node-lame out. */
export const NO_NODE_LAME = 'node-lame is not installed: npm install --include=optional installs it';

interface Packages {
  readonly debian: string;
  readonly fedora: string;
  readonly arch: string;
  /** The whole line. */
  readonly macos: string;
  /** What is no line. */
  readonly elsewhere: string;
}

const named = (name: string): Packages => ({
  debian: name,
  fedora: name,
  arch: name,
  macos: `brew install ${name}`,
  elsewhere: `install ${name} and have it on PATH`,
});

const PACKAGES = {
  ffmpeg: { ...named('ffmpeg'), fedora: 'ffmpeg-free' },
  lame: named('lame'),
  /** A program that plays sound. */
  player: { ...named('alsa-utils'), macos: 'brew install ffmpeg', elsewhere: 'install ffmpeg' },
  /** What npm needs to build speaker. */
  'speaker-build': {
    debian: 'libasound2-dev build-essential python3',
    fedora: 'alsa-lib-devel gcc-c++ make python3',
    arch: 'alsa-lib base-devel python',
    macos: 'xcode-select --install',
    elsewhere: 'install a C++ compiler and Python',
  },
} as const satisfies Readonly<Record<string, Packages>>;

export function installLine(what: keyof typeof PACKAGES, platform: string = process.platform): string {
  const { debian, fedora, arch, macos, elsewhere }: Packages = PACKAGES[what];
  if (platform === 'linux')
    return `apt install ${debian} (Fedora: dnf install ${fedora}, Arch: pacman -S ${arch})`;
  return platform === 'darwin' ? macos : elsewhere;
}
