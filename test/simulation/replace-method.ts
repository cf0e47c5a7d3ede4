/**
 * Changes one method of the house as a tired hand might, until it is put back: how bugs are planted.
 */

/** A bug that the simulator must find. */
export interface PlantedBug {
  readonly name: string;
  /** A seed that shows it, where that is not the first: there the search begins, so that it is short. */
  readonly from?: number;
  /** What the broken rule says. */
  readonly shows: RegExp;
  /** Takes it back. */
  plant(): () => void;
}

// biome-ignore lint/suspicious/noExplicitAny: methods of any shape
type Method = (...args: any[]) => any;
// biome-ignore lint/suspicious/noExplicitAny: of any class
type Instead = (this: any, real: Method, ...args: any[]) => any;

/** Has `instead` called for a method, with the real one, bound, before its arguments; the answer puts that back. */
export function replace(prototype: object, name: string, instead: Instead): () => void {
  const methods = prototype as Record<string, Method>;
  const real = methods[name]!;
  methods[name] = function (this: object, ...args) {
    return instead.call(this, real.bind(this), ...args);
  };
  return () => {
    methods[name] = real;
  };
}

/** The same of a property that is computed. */
export function replaceGetter<T extends object>(prototype: T, name: keyof T, get: () => unknown): () => void {
  const original = Object.getOwnPropertyDescriptor(prototype, name)!;
  Object.defineProperty(prototype, name, { ...original, get });
  return () => Object.defineProperty(prototype, name, original);
}
