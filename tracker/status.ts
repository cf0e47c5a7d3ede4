/** What a tracker is doing, as numbers: for its log, for `--json`, for tests. */
export interface TrackerStatus {
  /** 16 hex digits; undefined before the start. */
  readonly tracker: string | undefined;
  /** Of the list (TSP §3.1). */
  readonly revision: number;
  readonly songs: number;
  /** There are changes that no batch has told yet. */
  readonly pending: boolean;
  /** Registered hosts that are listed, and those of the last run that are still awaited. */
  readonly hosts: number;
  readonly awaitedHosts: number;
  /** Registered connections, hosts and listeners; and all connections. */
  readonly peers: number;
  readonly connections: number;
  /** Who gets every batch. */
  readonly readers: number;
  /** IDs that were ever given. */
  readonly ids: number;
  /** Connections turned away at the door since the start. */
  readonly refused: number;
  /** Bytes that wait to be taken by those who asked for them. */
  readonly unsentBytes: number;
}
