/**
 * What stands after `tsp-peer list`, `get` and so on, besides the options that every peer takes.
 */
export interface CommandArguments {
  /** In the order of the command line. */
  readonly words: readonly string[];
  /** `-o` of `get`: a file, or `-` for stdout. */
  readonly out?: string;
}
