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
type Method = (this: any, ...args: any[]) => any;

/** Puts `make(original)` in the place of a method; the answer puts it back. */
export function replace(prototype: object, name: string, make: (original: Method) => Method): () => void {
  const methods = prototype as Record<string, Method>;
  const original = methods[name]!;
  methods[name] = make(original);
  return () => {
    methods[name] = original;
  };
}

/** The same of a property that is computed. */
export function replaceGetter<T extends object>(prototype: T, name: keyof T, get: () => unknown): () => void {
  const original = Object.getOwnPropertyDescriptor(prototype, name)!;
  Object.defineProperty(prototype, name, { ...original, get });
  return () => Object.defineProperty(prototype, name, original);
}
