/**
 * The published specification (`protocol/tsp/README.md`) against the program: its tables of messages, errors, hashes
 * and states say what the constants and the sessions say, and its bytes are bytes.
 */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { fromHex, toHex } from '../../../protocol/bytes.js';
import { ERROR_CODES, isFatal } from '../../../protocol/errors.js';
import { CHUNK_BYTES, foldNodes, hashChunk, hashPair, MerkleTree } from '../../../protocol/merkle.js';
import { MESSAGE_TYPE, type MessageName } from '../../../protocol/tsp/constants.js';
import { describe } from '../../../protocol/tsp/describe.js';
import { DOWNLOAD_TABLE } from '../../../protocol/tsp/download.js';
import { Framer } from '../../../protocol/tsp/framing.js';
import { PEER_TABLE } from '../../../protocol/tsp/peer-table.js';
import { TRACKER_TABLE } from '../../../protocol/tsp/tracker-table.js';
import { UPLOAD_TABLE } from '../../../protocol/tsp/upload.js';
import { content } from '../../support/content.js';
import { vectors } from '../../support/vectors.js';

const SPEC = readFileSync(new URL('../../../../protocol/tsp/README.md', import.meta.url), 'utf8');

/** What stands under a heading, up to the next one of the same or a higher rank. */
function section(heading: string): string {
  const start = SPEC.indexOf(`\n${heading}\n`) + 1;
  if (start === 0) throw new Error(`the specification has no section ${heading}`);
  const body = SPEC.slice(start + heading.length);
  const rank = heading.indexOf(' ');
  const end = body.search(new RegExp(`\n#{1,${rank}} `));
  return end === -1 ? body : body.slice(0, end);
}

/** The cells of the first Markdown table in `text`, the heading's row first. */
function table(text: string): string[][] {
  const lines = text.split('\n');
  const first = lines.findIndex(line => line.startsWith('|'));
  const rows: string[][] = [];
  for (const line of lines.slice(first)) {
    if (!line.startsWith('|')) break;
    if (!line.startsWith('|---')) rows.push(cells(line));
  }
  return rows;
}

const cells = (line: string): string[] =>
  line
    .slice(1, -1)
    .split(' | ')
    .map(cell => cell.replace(/^\s*\|?|\|?\s*$/g, '').trim());

type StateTable = Readonly<Record<string, Readonly<Partial<Record<MessageName, string>>>>>;

const STATE_TABLES: readonly [heading: string, table: StateTable][] = [
  ["### 8.1 Registration, the peer's end", PEER_TABLE],
  ["### 8.2 Registration, the tracker's end", TRACKER_TABLE],
  ["### 8.3 Transfer, the listener's end", DOWNLOAD_TABLE],
  ["### 8.4 Transfer, the host's end", UPLOAD_TABLE],
];

for (const [heading, states] of STATE_TABLES) {
  t.test(`the published table «${heading.slice(8)}» is the one by which the session goes`, async t => {
    const [head = [], ...rows] = table(section(heading));
    const published: Record<string, Record<string, string>> = {};
    for (const [column, state] of head.entries()) {
      if (column === 0) continue;
      published[state] = {};
      for (const row of rows) if (row[column] !== '–') published[state][row[0]!] = row[column]!;
    }
    t.strictSame(published, JSON.parse(JSON.stringify(states)));
  });
}

t.test('the table of messages has every type once', async t => {
  const rows = table(section('## 3. The messages')).slice(1);
  t.strictSame(
    Object.fromEntries(rows.map(([type, name]) => [name, Number.parseInt(type!.replaceAll('`', ''), 16)])),
    MESSAGE_TYPE,
  );
});

t.test('the table of errors has every code, and says which end the connection', async t => {
  const rows = table(section('## 6. Errors')).slice(1);
  t.strictSame(
    rows.map(([code, , , connection]) => [code!.replaceAll('`', ''), connection]),
    ERROR_CODES.map(code => [code, isFatal(code) ? '**ends**' : 'lives']),
  );
});

t.test('the published hashes are those of the vectors', async t => {
  const published = table(section('## 4. The content hash')).slice(1);
  t.not(published.length, 0);
  for (const [size, hash] of published) {
    const root = vectors.merkle.roots.find(root => root.size === Number(size!.replaceAll(',', '')));
    t.equal(`\`${root?.sha256}\``, hash);
  }
});

t.test('the published nodes and proofs are true', async t => {
  for (const { size, level, root, nodes } of vectors.merkle.nodes) {
    const digest = new MerkleTree({ hash: 'sha256', keep: 0 }).update(content(size)).digest();
    t.equal(toHex(digest.nodes(level)), nodes.join(''), `level ${level} of ${size} bytes`);
    t.equal(toHex(foldNodes(digest.nodes(level), level)), root);
  }
  for (const { size, chunk, root, node, uncles } of vectors.merkle.proofs) {
    const leaf = hashChunk(content(size).subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES), 'sha256');
    t.equal(toHex(leaf), node);
    const top = uncles
      .map(uncle => fromHex(uncle)!)
      .reduce((below, uncle, level) => {
        const isRight = (chunk >> level) % 2 === 1;
        return isRight ? hashPair(uncle, below, 'sha256') : hashPair(below, uncle, 'sha256');
      }, leaf);
    t.equal(toHex(top), root, `${chunk} of ${size}`);
  }
});

t.test('the published bytes are messages', async t => {
  let read = 0;
  for (const line of section('### Byte by byte').split('\n')) {
    const [label = '', ...columns] = line.split(/ {2,}/);
    const hex = columns.find(column => /^[0-9a-f]{2} [0-9a-f ]+$/.test(column));
    if (hex === undefined) continue;
    const framer = new Framer();
    framer.push(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
    const event = framer.next();
    const message =
      event?.kind === 'stream' ? event.header : event?.kind === 'message' ? event.message : undefined;
    t.ok(message !== undefined && describe(message).startsWith(/^[A-Z_]+/.exec(label)![0]), line);
    while (framer.next() !== undefined);
    t.doesNotThrow(() => framer.end(), line);
    read += 1;
  }
  t.equal(read, 15);
});
