import { findCurrentBundle } from '../../bundle/find-bundle.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { trustDomainsOf } from '../../mesh/find-mesh.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { type NamedFingerprint } from '../invite/create-invite.ts'
import { bundleFingerprint } from '../invite/fingerprint.ts'

/** The fingerprints of the bundles that a mesh publishes now, as its peers see them. */
export async function ownFingerprints(db: Db, meshId: MeshId): Promise<NamedFingerprint[]> {
  const found: NamedFingerprint[] = []
  for (const { name: trustDomain } of await trustDomainsOf(db, meshId)) {
    const current = await findCurrentBundle(db, meshId, trustDomain)
    if (current === undefined) continue
    const { bundle } = readDocument(trustDomain, current.document)
    found.push({ trustDomain, fingerprint: bundleFingerprint(bundle) })
  }
  return found
}
