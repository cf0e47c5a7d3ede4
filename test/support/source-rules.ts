/**
 * The rules of the house as functions of a source file's path and text; test/architecture.test.ts applies them to all.
 *
 *     src ──▶ tracker, peer ──▶ protocol            test, bench, tunes may use anything; nothing uses them
 *
 * Each rule answers with sentences, one a breach. Imports are found in the text: `import … from`, `export … from`,
 * `import()`, `new URL('./x.js', import.meta.url)` of a worker or a child, `createRequire(…)('x')`.
 */
import { dirname, join, normalize } from 'node:path/posix';

export interface SourceFile {
  /** From the root of the project, with slashes: `protocol/tsp/codec.ts`. */
  readonly path: string;
  readonly text: string;
}

const MAX_LINES = 400;

/** What each room may import besides itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  tracker: ['protocol'],
  peer: ['protocol'],
  src: ['tracker', 'peer', 'protocol'],
  test: ['src', 'tracker', 'peer', 'protocol', 'bench', 'tunes'],
  bench: ['src', 'tracker', 'peer', 'protocol', 'test'],
  tunes: [],
};

/** Rooms of `protocol/` that stand side by side; what they share stands above them. */
const PROTOCOLS = ['tsp', 'ppspp', 'rtmp'];

/** The world, in any of the ways it can get into `protocol/`. */
const WORLD_MODULES =
  /^(?:node:)?(?:net|dgram|fs|fs\/promises|http|https|tls|dns|child_process|worker_threads|timers|os)(?:\/.*)?$/;
const WORLD_CALLS =
  /\b(?:Date\.now|new Date\b|performance\.now|setTimeout|setInterval|setImmediate|Math\.random|console\.|process\.)/;

/** A file that opens no socket, file, child or timer itself is pure, and may not lean on one that does. */
const SHELL_MODULES = /^node:(?:net|dgram|fs|fs\/promises|http|child_process|worker_threads|readline)$/;

/** Files outside `protocol/` that promise to be pure, by what they are called. */
const PURE_NAMES =
  /(?:^|\/)(?:logic|queue|grammar|[a-z-]*-session|choose-host|match|render[a-z-]*|table)\.ts$/;

const isPure = (path: string): boolean => path.startsWith('protocol/') || PURE_NAMES.test(path);

interface Import {
  readonly specifier: string;
  /** `import type`: gone when it runs. */
  readonly typeOnly: boolean;
  /** It is there when the file is; else later, or elsewhere. */
  readonly atOnce: boolean;
}

/** The text without comments, so that prose about an import is none. Strings stay. */
const withoutComments = (text: string): string =>
  text.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (_, quoted?: string) => quoted ?? ' ',
  );

export function importsOf(text: string): Import[] {
  const code = withoutComments(text);
  const found: Import[] = [];
  for (const match of code.matchAll(
    /^\s*(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]/gm,
  )) {
    found.push({ specifier: match[2]!, typeOnly: match[1] !== undefined, atOnce: true });
  }
  for (const match of code.matchAll(
    /\bimport\(\s*['"`]([^'"`]+)['"`]|new URL\(\s*['"`](\.[^'"`]+\.js)['"`]/g,
  )) {
    found.push({ specifier: (match[1] ?? match[2])!, typeOnly: false, atOnce: false });
  }
  for (const match of code.matchAll(/\bcreateRequire\(import\.meta\.url\)\('([^']+)'\)/g))
    found.push({ specifier: match[1]!, typeOnly: false, atOnce: true });
  return found;
}

/** `../errors.js` seen from `protocol/tsp/codec.ts` is `protocol/errors.ts`; undefined for a package. */
const resolved = (from: string, specifier: string): string | undefined =>
  specifier.startsWith('.') ? normalize(join(dirname(from), specifier)).replace(/\.js$/, '.ts') : undefined;

const roomOf = (path: string): string => path.split('/')[0]!;

/** The arrow between the rooms, and the protocols that keep out of one another. */
export function arrowBreaches({ path, text }: SourceFile): string[] {
  const room = roomOf(path);
  return importsOf(text).flatMap(({ specifier }) => {
    const target = resolved(path, specifier);
    if (target === undefined) return [];
    const other = roomOf(target);
    if (other !== room && MAY_IMPORT[other] !== undefined && !MAY_IMPORT[room]?.includes(other)) {
      return [`${path} imports ${target}: ${room} may not import ${other}`];
    }
    const [protocol, otherProtocol] = [protocolOf(path), protocolOf(target)];
    if (protocol !== undefined && otherProtocol !== undefined && protocol !== otherProtocol) {
      return [`${path} imports ${target}: ${protocol} and ${otherProtocol} don't know each other`];
    }
    return [];
  });
}

function protocolOf(path: string): string | undefined {
  const [room, protocol] = path.split('/');
  return room === 'protocol' && PROTOCOLS.includes(protocol!) ? protocol : undefined;
}

/** `protocol/` knows no time, no chance, no socket and no file. */
export function worldBreaches({ path, text }: SourceFile): string[] {
  if (roomOf(path) !== 'protocol') return [];
  const modules = importsOf(text).filter(({ specifier }) => WORLD_MODULES.test(specifier));
  const call = WORLD_CALLS.exec(withoutComments(text))?.[0];
  return [
    ...modules.map(({ specifier }) => `${path} imports ${specifier}`),
    ...(call === undefined ? [] : [`${path} calls ${call}`]),
  ];
}

/** A pure file imports no shell, neither Node's nor ours. Types may come from anywhere. */
export function purityBreaches({ path, text }: SourceFile, isShell: (path: string) => boolean): string[] {
  if (!isPure(path)) return [];
  return importsOf(text).flatMap(({ specifier, typeOnly }) => {
    const target = resolved(path, specifier);
    const impure = target === undefined ? SHELL_MODULES.test(specifier) : isShell(target);
    return impure && !typeOnly ? [`${path} is pure and imports ${target ?? specifier}, a shell`] : [];
  });
}

/** No file leads back to itself: whoever reads one knows where to begin. Types may. */
export function circleBreaches(sources: readonly SourceFile[]): string[] {
  const imports = new Map(sources.map(({ path, text }) => [path, runtimeImports(path, text)]));
  const breaches: string[] = [];
  const seen = new Set<string>();
  const follow = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) breaches.push([...way.slice(way.indexOf(path)), path].join(' → '));
    if (seen.has(path)) return;
    seen.add(path);
    for (const next of imports.get(path) ?? []) follow(next, [...way, path]);
  };
  for (const { path } of sources) follow(path, []);
  return breaches;
}

const runtimeImports = (path: string, text: string): string[] =>
  importsOf(text).flatMap(({ specifier, typeOnly }) => (typeOnly ? [] : (resolved(path, specifier) ?? [])));

/** Packages that are loaded when the file at `path` is, by itself or by what it imports. */
export function packagesLoadedWith(path: string, sources: readonly SourceFile[]): string[] {
  const texts = new Map(sources.map(source => [source.path, source.text]));
  const packages = new Set<string>();
  const seen = new Set<string>();
  const load = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const { specifier, typeOnly, atOnce } of importsOf(texts.get(file) ?? '')) {
      if (typeOnly || !atOnce || specifier.startsWith('node:')) continue;
      const target = resolved(file, specifier);
      if (target === undefined) packages.add(specifier);
      else load(target);
    }
  };
  load(path);
  return [...packages].sort();
}

/** Opens sockets, files or children itself. */
export const isShell = ({ text }: SourceFile): boolean =>
  importsOf(text).some(({ specifier, typeOnly }) => !typeOnly && SHELL_MODULES.test(specifier));

/** Not too long, and opening with what it is. */
export function shapeBreaches({ path, text }: SourceFile): string[] {
  const lines = text.split('\n').length - 1;
  const header = /^(?:#![^\n]*\n)?\/\*\*[\s\S]{20,}?\*\//.test(text);
  return [
    ...(lines > MAX_LINES ? [`${path} has ${lines} lines; past ${MAX_LINES} it wants two rooms`] : []),
    ...(header ? [] : [`${path} does not open by saying what it is`]),
  ];
}

/** Work left undone, exports and types that the house does without, and what hides why a test failed. */
export function habitBreaches({ path, text }: SourceFile): string[] {
  const told = (words: RegExp, breach: string): string[] => (words.test(text) ? [`${path} ${breach}`] : []);
  return [
    ...told(/\b(?:TODO|FIXME|XXX)\b/, 'leaves work undone'),
    ...told(/^export default /m, 'has a default export'),
    ...told(/^\s*(?:export )?(?:const )?enum /m, 'has an enum'),
    ...told(/\bconst \w+ = \{[^}]*\bbuffered:/, 'shares options between tests, and so what they say'),
  ];
}
