import { peerReadersOf } from '../../../src/federation/peer-readers.ts'
import { AnchorCache } from '../../../src/federation/poll/anchors.ts'
import { DistrustedKeys } from '../../../src/federation/trust/distrusted-keys.ts'

/** What relationships are read with where nothing is polled and no key is ever distrusted. */
export function trustDeps() {
  return {
    anchors: new AnchorCache(new DistrustedKeys({ on: () => undefined })),
    readers: peerReadersOf({ publicUrl: 'https://localhost:8443', secret: new Uint8Array(32) }),
  }
}
