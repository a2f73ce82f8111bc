import { type ChangeContext, recordAudit } from '../audit/record.ts'
import type { Keyring } from '../db/keyring.ts'
import type { Db } from '../db/schema.ts'
import { clustersOf, trustDomainsOf } from '../mesh/find-mesh.ts'
import type { Founder } from '../mesh/hooks.ts'
import type { Mesh, MeshTrustDomain } from '../mesh/mesh.ts'
import { objectOf } from './authority.ts'
import { insertAuthority, setActive } from './change-store.ts'
import { type Made, makeIntermediate, makeJwtKey, makeRoot } from './make-authority.ts'
import { findObserved } from './observed-store.ts'
import { publishAuthorities } from './publish-authorities.ts'
import { slotsOf } from './situation.ts'

/**
 * Gives a new mesh its first authorities: root, an intermediate for each cluster, JWT key, all published and
 * activated in the transaction that makes the mesh, as nobody can hold an older bundle.
 */
export function authorityFounder(keyring: Keyring): Founder {
  return async (trx, mesh, context) => {
    for (const domain of await trustDomainsOf(trx, mesh.meshId)) {
      if (domain.issuer === 'managed') await foundDomain(trx, mesh, { domain, keyring, context })
    }
  }
}

interface Founding {
  readonly domain: MeshTrustDomain
  readonly keyring: Keyring
  readonly context: ChangeContext
}

async function foundDomain(trx: Db, mesh: Mesh, founding: Founding): Promise<void> {
  const { domain, context } = founding
  const made = await makeAll(trx, mesh, founding)
  for (const { authority } of made) await insertAuthority(trx, authority)
  await publishAuthorities(trx, mesh, {
    trustDomain: domain.name,
    cause: 'trust domain created',
    context,
  })
  for (const { authority } of made) {
    await setActive(trx, mesh.meshId, { id: authority.id, at: context.now, forced: false })
    await recordAudit(trx, {
      at: context.now,
      meshId: mesh.meshId,
      actor: context.actor,
      action: 'authority.activate',
      object: objectOf(authority),
      body: {
        reason: 'the first of its kind',
        keyId: authority.keyId,
        notAfter: authority.notAfter,
        parentId: authority.parentId ?? null,
      },
    })
  }
}

async function makeAll(
  trx: Db,
  mesh: Mesh,
  { domain, keyring, context }: Founding,
): Promise<Made[]> {
  const making = {
    meshId: mesh.meshId,
    trustDomain: domain.name,
    settings: mesh.settings,
    keyring,
    now: context.now,
  }
  const root = await makeRoot(making)
  const { id, certificate, notAfter } = root.authority
  if (certificate === undefined) throw new Error('a root was made without a certificate')
  const signing = { id, certificate, notAfter, privateKey: root.privateKey }
  const slots = slotsOf(await clustersOf(trx, mesh.meshId))
  const intermediates = slots
    .filter(({ kind }) => kind === 'x509_intermediate')
    .map(({ cluster }) => makeIntermediate(making, { root: signing, cluster }))
  return [root, ...(await Promise.all(intermediates)), await makeJwtKey(making)]
}

/** Publishes the bundles of a mesh again when its settings (the refresh hint) changed, in the same transaction. */
export async function republishOnSettings(
  trx: Db,
  mesh: Mesh,
  context: ChangeContext,
): Promise<void> {
  const cause = 'settings of the mesh changed'
  for (const domain of await trustDomainsOf(trx, mesh.meshId)) {
    const isPublished = domain.issuer === 'managed' || (await hasObserved(trx, domain))
    if (!isPublished) continue
    await publishAuthorities(trx, mesh, { trustDomain: domain.name, cause, context })
  }
}

// Before its first bundle is accepted, an observed trust domain has nothing to publish.
async function hasObserved(trx: Db, { meshId, name }: MeshTrustDomain): Promise<boolean> {
  return (await findObserved(trx, meshId, name)) !== undefined
}
