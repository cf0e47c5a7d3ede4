/**
 * Options of a test that runs beside others of its file. A new object for each test: tap keeps what a test says in its
 * options, so that tests with one object between them would all show what the first of them said.
 */
export const besideOthers = (skip: string | false = false) => ({ skip, buffered: true });
