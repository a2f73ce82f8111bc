import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type Bundle } from '../../spiffe/bundle.ts'
import { readDocument } from './accept-bundle.ts'
import { type HeldBundle, listHeld } from './held-store.ts'

export { type HeldBundle } from './held-store.ts'

/** Documents in memory at once. */
const PAGE = 200

/** Every domain of a mesh's living relationships with the bundle in use as it is stored, page by page. */
export async function* heldBundles(
  db: Db,
  meshId: MeshId,
): AsyncGenerator<HeldBundle & { readonly bundle: Bundle | undefined }> {
  let after: HeldBundle | undefined
  do {
    const page: HeldBundle[] = await listHeld(db, meshId, { after, limit: PAGE })
    for (const held of page) yield { ...held, bundle: bundleIn(held) }
    after = page.length < PAGE ? undefined : page.at(-1)
  } while (after !== undefined)
}

/** The bundle in a stored document; undefined without one. */
export function bundleIn({ trustDomain, document }: HeldBundle): Bundle | undefined {
  return document === undefined ? undefined : readDocument(trustDomain, document).bundle
}
