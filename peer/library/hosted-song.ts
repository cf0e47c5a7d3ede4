/** A known file as a song on offer. Its nodes stay in the store until somebody asks for them: 2 KiB for a 4 MB song. */
import type { ContentHash, OfferRow, SongFields } from '../../protocol/tsp/rows.js';
import type { HostedSong } from './catalogue.js';
import type { Fingerprint } from './file-facts.js';
import type { LibraryStore } from './store.js';

/** `title` is what it is called if its tags do not say. */
export function hostedSong(
  path: string,
  fingerprint: Fingerprint,
  content: { readonly hash: ContentHash; readonly fields: SongFields },
  title: string,
  store: Pick<LibraryStore, 'nodes'>,
): HostedSong {
  const { hash, fields } = content;
  const offer: OfferRow = { hash, title, ...fields };
  return {
    hash,
    path,
    ...fingerprint,
    offer,
    get nodes(): Uint8Array {
      const nodes = store.nodes(path);
      if (nodes === undefined) throw new Error(`the nodes of ${path} are not in the store`);
      return nodes;
    },
  };
}
