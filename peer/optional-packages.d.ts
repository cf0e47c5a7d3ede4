/**
 * What we use of the packages that may be absent: npm leaves them out where they can't be built, and the house still
 * compiles. These declarations go before the packages' own.
 */

declare module 'speaker' {
  import { Writable } from 'node:stream';

  class Speaker extends Writable {
    constructor(options: {
      readonly channels: number;
      readonly sampleRate: number;
      readonly bitDepth: number;
      readonly signed: boolean;
      readonly samplesPerFrame: number;
    });
    /** With `flush`, what the device still holds is dropped. */
    close(flush: boolean): void;
  }
  export = Speaker;
}

declare module 'node-lame' {
  import { Duplex } from 'node:stream';

  /** A `lame` process as a stream: a 44-byte WAV header, then samples. */
  export class LameStream extends Duplex {
    constructor(options: {
      readonly mode: 'decode';
      readonly quiet?: boolean;
      /** Without it lame takes a stream that it decodes for WAV. */
      readonly mp3Input?: boolean;
      readonly 'decode-mp3delay'?: number;
    });
    /** Gives out progress, and every error a second time. */
    getEmitter(): { on(event: 'error', listener: (error: Error) => void): unknown };
  }
  /** Where the libraries of such a lame are. */
  export function resolveBundledLibraryDirectory(): string | null;
  /** An absolute path where the package brought its own, else a name to be found on PATH. */
  export function resolveLameBinary(): string;
}

declare module 'koffi' {
  export interface Library {
    /** A function of the library, from its prototype in C. */
    // biome-ignore lint/suspicious/noExplicitAny: its type is what the prototype says
    func(prototype: string): any;
  }
  /** null: what the process itself is linked with. */
  export function load(path: null): Library;
  /** Memory at an address, as it is: nothing is copied, nothing frees it. */
  export function view(address: bigint, length: number): ArrayBuffer;
}
