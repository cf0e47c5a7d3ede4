/**
 * SHA-256 of four messages of one length at once, a lane of a 128-bit vector each: what hash trees are made of is many
 * short messages, and alone each costs a call into OpenSSL and half of what the processor could do.
 *
 *     message 0 ─┐                                  w = ⎡ m0 m1 m2 m3 ⎤ word by word, 16 a block
 *     message 1 ─┼─▶ 64 bytes of each ─ transposed ─▶ 64 rounds on four states ─ … padding ─ transposed ─▶ 4 × 32 bytes
 *     message 2 ─┤
 *     message 3 ─┘
 *
 * The WebAssembly module is put together here, instruction by instruction: FIPS 180-4 §6.2.2 with its loops unrolled, so
 * that the eight working variables change their names and never their places. Where there are no vectors, there are no
 * lanes, and who hashes does it one by one.
 */

export const LANES = 4;
const HASH_BYTES = 32;
const BLOCK_BYTES = 64;
const PAGE_BYTES = 65_536;
/** Input first, then room for hashes. */
export const INPUT_BYTES = PAGE_BYTES;

interface Kernel {
  readonly memory: { readonly buffer: ArrayBuffer };
  /** Hashes LANES messages of `blocks` × 64 bytes, `stride` bytes apart from `at` on; the hashes go to `out`, end to end. */
  readonly hash: (at: number, stride: number, blocks: number, out: number) => void;
}

export class Sha256Lanes {
  readonly #kernel: Kernel;
  readonly #bytes: Uint8Array;

  private constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#bytes = new Uint8Array(kernel.memory.buffer);
  }

  /** Undefined where the machine has no vectors for it. */
  static create(): Sha256Lanes | undefined {
    const bytes = moduleBytes();
    if (!WebAssembly.validate(bytes)) return undefined;
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
    return new Sha256Lanes(exports as unknown as Kernel);
  }

  /**
   * The hash tree over messages, all of `length` bytes but the last, which may have another hash (`lastHash`): its rows, the
   * leaves first and `levels` above them, a missing right neighbour as zeros. `length` is a multiple of 64, and all together
   * fit into INPUT_BYTES. The rows are good until the next call.
   */
  rows(messages: readonly Uint8Array[], length: number, levels: number, lastHash?: Uint8Array): Uint8Array[] {
    const whole = lastHash === undefined ? messages.length : messages.length - 1;
    for (let i = 0; i < whole; i += 1) this.#bytes.set(messages[i]!, i * length);
    this.#run(0, PAGE_BYTES, whole, length);
    if (lastHash !== undefined) this.#bytes.set(lastHash, PAGE_BYTES + whole * HASH_BYTES);
    let nodes = messages.length;
    let from = PAGE_BYTES;
    const rows = [this.#bytes.subarray(from, from + nodes * HASH_BYTES)];
    for (let level = 0; level < levels; level += 1) {
      // Lanes past the last write behind it.
      const to = from + (nodes + LANES) * HASH_BYTES;
      if (nodes % 2 === 1) this.#bytes.fill(0, from + nodes * HASH_BYTES, from + (nodes + 1) * HASH_BYTES);
      nodes = Math.ceil(nodes / 2);
      this.#run(from, to, nodes, BLOCK_BYTES);
      rows.push(this.#bytes.subarray(to, to + nodes * HASH_BYTES));
      from = to;
    }
    return rows;
  }

  /** Past the last message the lanes hash whatever is there, into room that nobody reads. */
  #run(from: number, to: number, count: number, length: number): void {
    const { hash } = this.#kernel;
    for (let i = 0; i < count; i += LANES)
      hash(from + i * length, length, length / BLOCK_BYTES, to + i * HASH_BYTES);
  }
}

// The first 32 bits of the fractional parts of the square and cube roots of the first primes (FIPS 180-4 §4.2.2, §5.3.3).
const INITIAL = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];
const ROUND = [
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
  0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
  0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
  0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
  0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
  0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
  0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
  0xc67178f2,
];

type Code = readonly number[];

// The instructions that are used (WebAssembly core specification, §5.4).
const get = (local: number): Code => [0x20, local];
const set = (local: number): Code => [0x21, local];
const constant = (value: number): Code => [0x41, ...signed(value)];
const ADD = [0x6a];
const SHIFT_LEFT = [0x74];
const vector = (opcode: number, ...immediates: number[]): Code => [0xfd, ...unsigned(opcode), ...immediates];
const load = (offset: number): Code => vector(0x00, 0, ...unsigned(offset));
const store = (offset: number): Code => vector(0x0b, 0, ...unsigned(offset));
const shuffle = (lanes: Code): Code => vector(0x0d, ...lanes);
const SPLAT = vector(0x11);
const XOR = vector(0x51);
/** Of three: the bits of the first where the third has ones, those of the second elsewhere. */
const SELECT = vector(0x52);
const OR = vector(0x50);
const shiftLeft = (bits: number): Code => [...constant(bits), ...vector(0xab)];
const shiftRight = (bits: number): Code => [...constant(bits), ...vector(0xad)];
const SUM = vector(0xae);

/** The same word in all lanes. */
const word = (value: number): Code => {
  const bytes = [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
  return vector(0x0c, ...bytes, ...bytes, ...bytes, ...bytes);
};

// Parameters and locals of the one function.
const AT = 0;
const STRIDE = 1;
const BLOCKS = 2;
const OUT = 3;
const LEFT = 4;
/** Where the block of each lane begins. */
const ROW = 5;
const I32_LOCALS = 2;
const V = 6;
const STATE = V;
const WORKING = V + 8;
const WORDS = V + 16;
const SPARE = V + 32;
const V128_LOCALS = 36;

/** Two of four words of one vector and two of another, each turned from or to big-endian. */
const reversed = (...words: number[]): Code => words.flatMap(i => [4 * i + 3, 4 * i + 2, 4 * i + 1, 4 * i]);
const FIRST_WORDS = shuffle(reversed(0, 4, 1, 5));
const LAST_WORDS = shuffle(reversed(2, 6, 3, 7));
const LOW_HALVES = shuffle([0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
const HIGH_HALVES = shuffle([8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31]);

/** Four vectors as rows of a square become its columns, their words in the other byte order. */
function transpose(from: readonly number[], to: readonly number[]): Code {
  const [a, b, c, d] = from as [number, number, number, number];
  const [s0, s1, s2, s3] = [SPARE, SPARE + 1, SPARE + 2, SPARE + 3];
  return [
    ...[...get(a), ...get(b), ...FIRST_WORDS, ...set(s0)],
    ...[...get(a), ...get(b), ...LAST_WORDS, ...set(s1)],
    ...[...get(c), ...get(d), ...FIRST_WORDS, ...set(s2)],
    ...[...get(c), ...get(d), ...LAST_WORDS, ...set(s3)],
    ...[...get(s0), ...get(s2), ...LOW_HALVES, ...set(to[0]!)],
    ...[...get(s0), ...get(s2), ...HIGH_HALVES, ...set(to[1]!)],
    ...[...get(s1), ...get(s3), ...LOW_HALVES, ...set(to[2]!)],
    ...[...get(s1), ...get(s3), ...HIGH_HALVES, ...set(to[3]!)],
  ];
}

const rotate = (local: number, bits: number): Code => [
  ...[...get(local), ...shiftRight(bits)],
  ...[...get(local), ...shiftLeft(32 - bits)],
  ...OR,
];
const bigSigma = (local: number, a: number, b: number, c: number): Code => [
  ...rotate(local, a),
  ...rotate(local, b),
  ...XOR,
  ...rotate(local, c),
  ...XOR,
];
const smallSigma = (local: number, a: number, b: number, shift: number): Code => [
  ...rotate(local, a),
  ...rotate(local, b),
  ...XOR,
  ...get(local),
  ...shiftRight(shift),
  ...XOR,
];

/** The words of a block of each lane. */
function loadWords(): Code {
  const code: number[] = [];
  for (let four = 0; four < 4; four += 1) {
    const rows = [0, 1, 2, 3].map(row => WORDS + 4 * four + row);
    code.push(...get(AT), ...set(ROW));
    for (const row of rows) {
      code.push(...get(ROW), ...load(16 * four), ...set(row));
      code.push(...get(ROW), ...get(STRIDE), ...ADD, ...set(ROW));
    }
    code.push(...transpose(rows, rows));
  }
  return code;
}

/** The words of the last block: one bit, zeros, and the length in bits. */
function padWords(): Code {
  const code: number[] = [...word(0x8000_0000), ...set(WORDS)];
  for (let i = 1; i < 15; i += 1) code.push(...word(0), ...set(WORDS + i));
  code.push(...get(BLOCKS), ...constant(9), ...SHIFT_LEFT, ...SPLAT, ...set(WORDS + 15));
  return code;
}

function compress(): Code {
  const code: number[] = [];
  for (let i = 0; i < 8; i += 1) code.push(...get(STATE + i), ...set(WORKING + i));
  for (let round = 0; round < 64; round += 1) {
    const w = (ahead: number): number => WORDS + ((round + ahead) % 16);
    const [a, b, c, d, e, f, g, h] = Array.from(
      { length: 8 },
      (_, i) => WORKING + ((i - round + 64) % 8),
    ) as [...(readonly [number, number, number, number, number, number, number, number])];
    if (round >= 16) {
      code.push(...get(w(0)), ...smallSigma(w(1), 7, 18, 3), ...SUM);
      code.push(...get(w(9)), ...SUM, ...smallSigma(w(14), 17, 19, 10), ...SUM, ...set(w(0)));
    }
    code.push(...get(h), ...bigSigma(e, 6, 11, 25), ...SUM);
    code.push(...get(f), ...get(g), ...get(e), ...SELECT, ...SUM);
    code.push(...word(ROUND[round]!), ...get(w(0)), ...SUM, ...SUM, ...set(h));
    code.push(...get(d), ...get(h), ...SUM, ...set(d));
    code.push(...get(h), ...bigSigma(a, 2, 13, 22), ...SUM);
    code.push(...get(c), ...get(b), ...get(a), ...get(b), ...XOR, ...SELECT, ...SUM, ...set(h));
  }
  for (let i = 0; i < 8; i += 1) code.push(...get(STATE + i), ...get(WORKING + i), ...SUM, ...set(STATE + i));
  return code;
}

function storeHashes(): Code {
  const code: number[] = [];
  for (const half of [0, 4]) {
    const rows = [0, 1, 2, 3].map(row => STATE + half + row);
    code.push(...transpose(rows, rows));
    for (const [lane, row] of rows.entries())
      code.push(...get(OUT), ...get(row), ...store(HASH_BYTES * lane + 4 * half));
  }
  return code;
}

/** Blocks, and once more for the padding. */
function body(): Code {
  const begin = INITIAL.flatMap((value, i) => [...word(value), ...set(STATE + i)]);
  return [
    ...begin,
    ...[...get(BLOCKS), ...set(LEFT)],
    ...[0x03, 0x40], // loop
    ...[...get(LEFT), 0x04, 0x40, ...loadWords(), 0x05, ...padWords(), 0x0b], // if left … else … end
    ...compress(),
    ...[...get(AT), ...constant(BLOCK_BYTES), ...ADD, ...set(AT)],
    ...[...get(LEFT), ...constant(-1), ...ADD, ...set(LEFT)],
    ...[...get(LEFT), ...constant(-1), 0x4a, 0x0d, 0], // again while left > -1
    0x0b,
    ...storeHashes(),
    0x0b,
  ];
}

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const I32 = 0x7f;
  const V128 = 0x7b;
  const locals = [2, I32_LOCALS, I32, V128_LOCALS, V128];
  const code = [...locals, ...body()];
  const name = (text: string): Code => [text.length, ...Buffer.from(text)];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 4, I32, I32, I32, I32, 0]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, 2]),
    ...section(7, [2, ...name('memory'), 0x02, 0, ...name('hash'), 0x00, 0]),
    ...section(10, [1, ...unsigned(code.length), ...code]),
  ]);
}

const section = (id: number, content: Code): Code => [id, ...unsigned(content.length), ...content];

/** LEB128. */
function unsigned(value: number): Code {
  const bytes: number[] = [];
  let left = value;
  for (; left > 0x7f; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  return [...bytes, left];
}

function signed(value: number): Code {
  const bytes: number[] = [];
  let left = value;
  for (; left < -64 || left > 63; left >>= 7) bytes.push((left & 0x7f) | 0x80);
  return [...bytes, left & 0x7f];
}
