/**
 * SHA-256 of four messages of one length at once, a lane of a 128-bit vector each: what hash trees are made of is many
 * short messages, and alone each costs a call into OpenSSL and half of what the processor could do.
 *
 *     message 0 ─┐                                  w = ⎡ m0 m1 m2 m3 ⎤ word by word, 16 a block
 *     message 1 ─┼─▶ 64 bytes of each ─ transposed ─▶ 64 rounds on four states ─ … padding ─ transposed ─▶ 4 × 32 bytes
 *     message 2 ─┤
 *     message 3 ─┘
 *
 * The WebAssembly module is put together here, instruction by instruction: FIPS 180-4 §6.2.2 with its loops unrolled as far
 * as it takes for the eight working variables to change their names and never their places, eight rounds or sixteen. More
 * would take longer to compile than most have to hash. What is the same for all messages lies ready in memory, each word in
 * all lanes. Where there are no vectors, there are no lanes, and who hashes does it one by one.
 */

export const LANES = 4;
const HASH_BYTES = 32;
const BLOCK_BYTES = 64;
const VECTOR_BYTES = 16;
const PAGE_BYTES = 65_536;
const PAGES = 3;

// The memory: input, then words, then room for hashes.
export const INPUT_BYTES = PAGE_BYTES;
/** The words of a block … */
const W = INPUT_BYTES;
/** … and with the constants of their rounds. */
const ROUND_WORDS = W + 16 * VECTOR_BYTES;
const STATE = ROUND_WORDS + 16 * VECTOR_BYTES;
const CONSTANTS = STATE + 8 * VECTOR_BYTES;
const TABLE_BYTES = 64 * VECTOR_BYTES;
/** All words of the block that ends a message, with the constants: of a pair of hashes, and of what was last hashed. */
const PAIR_PADDING = CONSTANTS + TABLE_BYTES;
const PADDING = PAIR_PADDING + TABLE_BYTES;
const HASHES = 2 * PAGE_BYTES;

interface Kernel {
  readonly memory: { readonly buffer: ArrayBuffer };
  /**
   * Hashes LANES messages of `blocks` × 64 bytes, `stride` bytes apart from `at` on; the hashes go to `out`, end to end.
   * `padding`: the table for messages of this length.
   */
  readonly hash: (at: number, stride: number, blocks: number, out: number, padding: number) => void;
}

export class Sha256Lanes {
  readonly #kernel: Kernel;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Whose padding is in the table. */
  #paddedLength = 0;

  private constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#bytes = new Uint8Array(kernel.memory.buffer);
    this.#view = new DataView(kernel.memory.buffer);
    this.#lay(CONSTANTS, ROUND);
    this.#lay(PAIR_PADDING, paddingWords(BLOCK_BYTES));
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
    this.#run(0, HASHES, whole, length);
    if (lastHash !== undefined) this.#bytes.set(lastHash, HASHES + whole * HASH_BYTES);
    let nodes = messages.length;
    let from = HASHES;
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
    const padding = this.#paddingOf(length);
    for (let i = 0; i < count; i += LANES)
      hash(from + i * length, length, length / BLOCK_BYTES, to + i * HASH_BYTES, padding);
  }

  #paddingOf(length: number): number {
    if (length === BLOCK_BYTES) return PAIR_PADDING;
    if (length !== this.#paddedLength) this.#lay(PADDING, paddingWords(length));
    this.#paddedLength = length;
    return PADDING;
  }

  /** Each word in all lanes. */
  #lay(at: number, words: readonly number[]): void {
    for (const [i, word] of words.entries())
      for (let lane = 0; lane < LANES; lane += 1)
        this.#view.setUint32(at + i * VECTOR_BYTES + 4 * lane, word, true);
  }
}

/** The 64 words of the block after a message: one bit, zeros, the length in bits, and what is made of them (§6.2.2). */
function paddingWords(length: number): number[] {
  const words = Array.from({ length: 64 }, () => 0);
  words[0] = 0x8000_0000;
  words[15] = length * 8;
  const turned = (word: number, bits: number): number => (word >>> bits) | (word << (32 - bits));
  for (let t = 16; t < 64; t += 1) {
    const [near, far] = [words[t - 15]!, words[t - 2]!];
    const small = turned(near, 7) ^ turned(near, 18) ^ (near >>> 3);
    const great = turned(far, 17) ^ turned(far, 19) ^ (far >>> 10);
    words[t] = (words[t - 16]! + small + words[t - 7]! + great) | 0;
  }
  return words.map((word, t) => (word + ROUND[t]!) >>> 0);
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
const IS_LESS = [0x49];
const LOOP = [0x03, 0x40];
const IF = [0x04, 0x40];
const ELSE = [0x05];
const END = [0x0b];
const again = (condition: Code): Code => [...condition, 0x0d, 0];
const vector = (opcode: number, ...immediates: number[]): Code => [0xfd, ...unsigned(opcode), ...immediates];
/** From `offset` behind the address on the stack. */
const load = (offset: number): Code => vector(0x00, 0, ...unsigned(offset));
const store = (offset: number): Code => vector(0x0b, 0, ...unsigned(offset));
const shuffle = (lanes: Code): Code => vector(0x0d, ...lanes);
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
const PADDED = 4;
const LEFT = 5;
/** Where the block of each lane begins. */
const ROW = 6;
/** The words of the next rounds, and where those of this block end. */
const NEXT = 7;
const LAST = 8;
const I32_LOCALS = 4;
const WORKING = 9;
const SPARE = WORKING + 8;
const V128_LOCALS = 16;

const ROWS = [SPARE, SPARE + 1, SPARE + 2, SPARE + 3];

/** Four words of two vectors: compilers know these shuffles for single instructions. */
const words = (...which: number[]): Code =>
  shuffle(which.flatMap(i => [4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3]));
const FIRST_WORDS = words(0, 4, 1, 5);
const LAST_WORDS = words(2, 6, 3, 7);
const LOW_HALVES = words(0, 1, 4, 5);
const HIGH_HALVES = words(2, 3, 6, 7);
const OTHER_BYTE_ORDER = shuffle([3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]);

/** Four vectors as rows of a square become its columns, their words in the other byte order. */
function transpose(rows: readonly number[]): Code {
  const [a, b, c, d] = rows as [number, number, number, number];
  const [s0, s1, s2, s3] = [SPARE + 4, SPARE + 5, SPARE + 6, SPARE + 7];
  return [
    ...[...get(a), ...get(b), ...FIRST_WORDS, ...set(s0)],
    ...[...get(a), ...get(b), ...LAST_WORDS, ...set(s1)],
    ...[...get(c), ...get(d), ...FIRST_WORDS, ...set(s2)],
    ...[...get(c), ...get(d), ...LAST_WORDS, ...set(s3)],
    ...[...get(s0), ...get(s2), ...LOW_HALVES, ...set(a)],
    ...[...get(s0), ...get(s2), ...HIGH_HALVES, ...set(b)],
    ...[...get(s1), ...get(s3), ...LOW_HALVES, ...set(c)],
    ...[...get(s1), ...get(s3), ...HIGH_HALVES, ...set(d)],
    ...rows.flatMap(row => [...get(row), ...get(row), ...OTHER_BYTE_ORDER, ...set(row)]),
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

/** A vector of a table. */
const at = (table: number, i: number): Code => [...constant(table), ...load(i * VECTOR_BYTES)];
const into = (table: number, i: number, value: Code): Code => [
  ...constant(table),
  ...value,
  ...store(i * VECTOR_BYTES),
];

/** The words of a block of each lane, as they are and for their rounds. */
function loadWords(): Code {
  const code: number[] = [];
  for (let four = 0; four < 4; four += 1) {
    code.push(...get(AT), ...set(ROW));
    for (const row of ROWS) {
      code.push(...get(ROW), ...load(four * VECTOR_BYTES), ...set(row));
      code.push(...get(ROW), ...get(STRIDE), ...ADD, ...set(ROW));
    }
    code.push(...transpose(ROWS));
    for (const [i, row] of ROWS.entries()) {
      const t = 4 * four + i;
      code.push(...into(W, t, get(row)));
      code.push(...into(ROUND_WORDS, t, [...get(row), ...at(CONSTANTS, t), ...SUM]));
    }
  }
  return code;
}

/** `roundWord`: the word and the constant of the round, as their sum. */
function compress(round: number, roundWord: Code): Code {
  const [a, b, c, d, e, f, g, h] = Array.from({ length: 8 }, (_, i) => WORKING + ((i - round + 64) % 8)) as [
    ...(readonly [number, number, number, number, number, number, number, number]),
  ];
  return [
    ...[...get(h), ...roundWord, ...SUM, ...bigSigma(e, 6, 11, 25), ...SUM],
    ...[...get(f), ...get(g), ...get(e), ...SELECT, ...SUM, ...set(h)],
    ...[...get(d), ...get(h), ...SUM, ...set(d)],
    ...[...get(h), ...bigSigma(a, 2, 13, 22), ...SUM],
    ...[...get(c), ...get(b), ...get(a), ...get(b), ...XOR, ...SELECT, ...SUM, ...set(h)],
  ];
}

/** Rounds whose words are at hand, from NEXT to LAST: eight, and again. */
function rounds(): Code {
  const code: number[] = [...LOOP];
  for (let round = 0; round < 8; round += 1)
    code.push(...compress(round, [...get(NEXT), ...load(round * VECTOR_BYTES)]));
  code.push(...get(NEXT), ...constant(8 * VECTOR_BYTES), ...ADD, ...set(NEXT));
  return [...code, ...again([...get(NEXT), ...get(LAST), ...IS_LESS]), ...END];
}

/** Rounds 16 to 63, each with a word that is made of four earlier ones: sixteen, and again. NEXT goes along CONSTANTS. */
function roundsWithSchedule(): Code {
  const [made, earlier] = [SPARE, SPARE + 1];
  const begin = CONSTANTS + 16 * VECTOR_BYTES;
  const code: number[] = [...constant(begin), ...set(NEXT), ...LOOP];
  for (let round = 0; round < 16; round += 1) {
    const w = (ahead: number): Code => at(W, (round + ahead) % 16);
    code.push(...w(1), ...set(earlier), ...smallSigma(earlier, 7, 18, 3), ...w(0), ...SUM, ...w(9), ...SUM);
    code.push(...w(14), ...set(earlier), ...smallSigma(earlier, 17, 19, 10), ...SUM, ...set(made));
    code.push(...into(W, round, get(made)));
    code.push(...compress(round, [...get(made), ...get(NEXT), ...load(round * VECTOR_BYTES), ...SUM]));
  }
  code.push(...get(NEXT), ...constant(16 * VECTOR_BYTES), ...ADD, ...set(NEXT));
  return [...code, ...again([...get(NEXT), ...constant(CONSTANTS + TABLE_BYTES), ...IS_LESS]), ...END];
}

function storeHashes(): Code {
  const code: number[] = [];
  for (const half of [0, 4]) {
    for (const [i, row] of ROWS.entries()) code.push(...at(STATE, half + i), ...set(row));
    code.push(...transpose(ROWS));
    for (const [lane, row] of ROWS.entries())
      code.push(...get(OUT), ...get(row), ...store(HASH_BYTES * lane + 4 * half));
  }
  return code;
}

/** Blocks, and once more for the padding. */
function body(): Code {
  const eight = Array.from({ length: 8 }, (_, i) => i);
  return [
    ...eight.flatMap(i => into(STATE, i, word(INITIAL[i]!))),
    ...[...get(BLOCKS), ...set(LEFT)],
    ...LOOP,
    ...[...get(LEFT), ...IF],
    ...[...loadWords(), ...constant(ROUND_WORDS), ...set(NEXT)],
    ...[...constant(ROUND_WORDS + 16 * VECTOR_BYTES), ...set(LAST)],
    ...ELSE,
    ...[...get(PADDED), ...set(NEXT), ...get(PADDED), ...constant(TABLE_BYTES), ...ADD, ...set(LAST)],
    ...END,
    ...eight.flatMap(i => [...at(STATE, i), ...set(WORKING + i)]),
    ...rounds(),
    ...[...get(LEFT), ...IF, ...roundsWithSchedule(), ...END],
    ...eight.flatMap(i => into(STATE, i, [...at(STATE, i), ...get(WORKING + i), ...SUM])),
    ...[...get(AT), ...constant(BLOCK_BYTES), ...ADD, ...set(AT)],
    ...[...get(LEFT), ...constant(-1), ...ADD, ...set(LEFT)],
    ...again([...get(LEFT), ...constant(-1), 0x4a]), // while left > -1
    ...END,
    ...storeHashes(),
    ...END,
  ];
}

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const I32 = 0x7f;
  const V128 = 0x7b;
  const code = [2, I32_LOCALS, I32, V128_LOCALS, V128, ...body()];
  const name = (text: string): Code => [text.length, ...Buffer.from(text)];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 5, I32, I32, I32, I32, I32, 0]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, PAGES]),
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
