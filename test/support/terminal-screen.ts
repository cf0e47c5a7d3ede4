/**
 * What a person would see: a small screen that understands what a prompt writes. Cursor moves, erasing, CR, LF and BS;
 * colours and modes are skipped; a line that is full wraps; the top scrolls away into `history`.
 *
 *     bytes ──▶ write() ──▶ rows of cells ──▶ lines: what stands on the screen, without blanks at the ends
 */

const ESCAPE = '\x1b';
/** CSI … final byte, OSC … BEL or ST, or an escape with one letter. */
// biome-ignore lint/complexity/useRegexLiterals: the escapes read better in a string
const SEQUENCE = new RegExp(
  '^\\x1b(?:\\[([0-9;?]*)([@-~])|\\][^\\x07\\x1b]*(?:\\x07|\\x1b\\\\)|[()][A-Z0-9]|[78=>cDEHM])',
);

export class TerminalScreen {
  #rows: string[][] = [[]];
  /** Rows whose text goes on in the next. */
  readonly #wrapped = new WeakSet<readonly string[]>();
  #row = 0;
  #column = 0;
  #saved = { row: 0, column: 0 };
  #pending = '';
  /** Lines that scrolled off the top. */
  readonly history: string[] = [];

  constructor(
    public columns: number,
    readonly height: number,
  ) {}

  /** The lines on the screen from the top, blanks at their ends cut. */
  get lines(): string[] {
    return this.#rows.map(textOf);
  }

  get cursor(): { readonly row: number; readonly column: number } {
    return { row: this.#row, column: this.#column };
  }

  /** The line in which the cursor stands. */
  get currentLine(): string {
    return textOf(this.#rows[this.#row]!);
  }

  write(text: string): void {
    this.#pending += text;
    while (this.#pending.length > 0) {
      if (this.#pending[0] === ESCAPE) {
        const match = SEQUENCE.exec(this.#pending);
        // The rest of the sequence is still to come.
        if (match === null) return;
        this.#pending = this.#pending.slice(match[0].length);
        this.#perform(match);
      } else {
        const [character] = this.#pending;
        this.#pending = this.#pending.slice(character!.length);
        this.#put(character!);
      }
    }
  }

  /** Another width, and what was written as one line broken anew, as most terminals do; the cursor stays at its text. */
  reflow(columns: number): void {
    this.columns = columns;
    const written: string[][] = [];
    let cursor = { line: 0, column: 0 };
    for (const [at, row] of this.#rows.entries()) {
      const line = this.#wrapped.has(this.#rows[at - 1] ?? []) ? written.pop()! : [];
      if (at === this.#row) cursor = { line: written.length, column: line.length + this.#column };
      written.push([...line, ...row]);
    }
    this.#rows = [];
    for (const [at, line] of written.entries()) {
      if (at === cursor.line) this.#row = this.#rows.length + Math.floor(cursor.column / columns);
      const text = line.slice(0, textOf(line).length);
      for (let row = text.splice(0, columns); ; row = text.splice(0, columns)) {
        this.#rows.push(row);
        if (text.length === 0) break;
        this.#wrapped.add(row);
      }
    }
    this.#column = cursor.column % columns;
  }

  #put(character: string): void {
    if (character === '\r') this.#column = 0;
    else if (character === '\n') this.#down();
    else if (character === '\b') this.#column = Math.max(0, this.#column - 1);
    else if (character >= ' ') {
      if (this.#column >= this.columns) {
        this.#wrapped.add(this.#rows[this.#row]!);
        this.#column = 0;
        this.#down();
      }
      const cells = this.#rows[this.#row]!;
      while (cells.length < this.#column) cells.push(' ');
      cells[this.#column] = character;
      this.#column += 1;
    }
  }

  #down(): void {
    this.#row += 1;
    if (this.#row === this.#rows.length) this.#rows.push([]);
    if (this.#rows.length > this.height) {
      this.history.push(textOf(this.#rows.shift()!));
      this.#row -= 1;
    }
  }

  #perform([sequence, parameters, command]: RegExpExecArray): void {
    const counts = (parameters ?? '').split(';').map(Number);
    const first = counts[0] ?? 0;
    const count = Math.max(1, first);
    if (sequence === '\x1b7' || command === 's') this.#saved = { row: this.#row, column: this.#column };
    else if (sequence === '\x1b8' || command === 'u') this.#moveTo(this.#saved.row, this.#saved.column);
    else if (command === 'A') this.#moveTo(this.#row - count, this.#column);
    else if (command === 'B') this.#moveTo(this.#row + count, this.#column);
    else if (command === 'C') this.#moveTo(this.#row, this.#column + count);
    else if (command === 'D') this.#moveTo(this.#row, this.#column - count);
    else if (command === 'G') this.#moveTo(this.#row, count - 1);
    else if (command === 'H') this.#moveTo(count - 1, Math.max(1, counts[1] ?? 1) - 1);
    else if (command === 'J') this.#eraseScreen(first);
    else if (command === 'K') this.#eraseLine(first);
  }

  #moveTo(row: number, column: number): void {
    this.#row = Math.min(Math.max(0, row), this.height - 1);
    this.#column = Math.min(Math.max(0, column), this.columns - 1);
    while (this.#rows.length <= this.#row) this.#rows.push([]);
  }

  #eraseLine(mode: number): void {
    const cells = this.#rows[this.#row]!;
    this.#wrapped.delete(cells);
    if (mode === 0) cells.length = Math.min(cells.length, this.#column);
    else if (mode === 1) cells.fill(' ', 0, this.#column + 1);
    else cells.length = 0;
  }

  #eraseScreen(mode: number): void {
    if (mode >= 2) {
      this.#rows = this.#rows.map(() => []);
      return;
    }
    this.#eraseLine(mode);
    if (mode === 0) this.#rows.length = this.#row + 1;
    else for (let row = 0; row < this.#row; row += 1) this.#rows[row] = [];
  }
}

const textOf = (cells: readonly string[]): string => cells.join('').trimEnd();
