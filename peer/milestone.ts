/** Something that happens once, and that others wait for. */
export interface Milestone {
  readonly reached: Promise<void>;
  reach(): void;
}

export function milestone(): Milestone {
  let reach = (): void => {};
  const reached = new Promise<void>(resolve => {
    reach = resolve;
  });
  return { reached, reach };
}
