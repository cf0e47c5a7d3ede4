/**
 * Waiting for something to become true, instead of sleeping and hoping. The deadline is only for failing: a test that
 * passes takes as long as the thing itself.
 */

/** The part of a tap test that the fixtures of this folder need: what they start, they end there. */
export interface Teardown {
  teardown(end: () => unknown): unknown;
}

/** Only who hangs meets it: a machine may be many times slower than the one on which a test was written. */
export const DEADLINE_MS = 100_000;
const LOOK_AGAIN_MS = 5;
/** Looking costs whom it looks at: what takes long is looked at less often. */
const LEAST_OFTEN_MS = 20;

/** Resolves with the first value of `look` that is neither undefined nor false; rejects with `what` at the deadline. */
export async function until<T>(
  what: string | (() => string),
  look: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = DEADLINE_MS,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (let pauseMs = LOOK_AGAIN_MS; ; pauseMs = Math.min(LEAST_OFTEN_MS, 1.2 * pauseMs)) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) {
      throw new Error(`not within ${deadlineMs} ms: ${typeof what === 'string' ? what : what()}`);
    }
    await new Promise(resolve => setTimeout(resolve, pauseMs));
  }
}

/** Resolves with what `attempt` comes to, once it no longer rejects; rejects with `what` and its reason at the deadline. */
export async function untilDone<T>(what: string, attempt: () => Promise<T>): Promise<T> {
  let why: unknown;
  const done = await until(
    () => `${what}: ${why}`,
    () =>
      attempt().then(
        value => ({ value }),
        (error: unknown) => {
          why = error;
          return undefined;
        },
      ),
  );
  return done.value;
}

/** `promise`, or a rejection that says what was waited for. */
export async function within<T>(what: string, promise: Promise<T>, deadlineMs = DEADLINE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${deadlineMs} ms: ${what}`)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
