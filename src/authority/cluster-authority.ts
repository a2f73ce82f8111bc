import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpChange } from '../db/changes.ts'
import type { Keyring } from '../db/keyring.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { lockTrustDomain, trustDomainsOf } from '../mesh/find-mesh.ts'
import type {
  ClusterFounder,
  ClusterMover,
  TopologyDependants,
  TopologyEnder,
} from '../mesh/topology/hooks.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { canSign, objectOf, type StoredAuthority } from './authority.ts'
import * as store from './change-store.ts'
import { perform } from './perform.ts'
import { readSituation } from './situation.ts'
import { listLiving } from './store.ts'

/**
 * Gives a new cluster an intermediate under the root of every trust domain that we sign for, which signs from the
 * start: intermediates travel with what they signed, so nobody has to learn of it first.
 */
export function clusterFounder(keyring: Keyring): ClusterFounder {
  return async (trx, { meshId }, { cluster, context }) => {
    for (const { name, issuer } of await trustDomainsOf(trx, meshId)) {
      if (issuer !== 'managed') continue
      await lockTrustDomain(trx, meshId, name)
      const of = { trustDomain: name, cluster, deps: { keyring, context } }
      await foundIntermediate(trx, meshId, of)
    }
  }
}

interface Founding {
  readonly trustDomain: TrustDomain
  readonly cluster: string
  readonly deps: { readonly keyring: Keyring; readonly context: ChangeContext }
}

async function foundIntermediate(
  trx: Db,
  meshId: MeshId,
  { trustDomain, cluster, deps }: Founding,
): Promise<void> {
  const { now } = deps.context
  const slot = { kind: 'x509_intermediate', cluster } as const
  const reason = `cluster ${cluster} created`
  const before = await readSituation(trx, meshId, { trustDomain, now })
  const canFound = before.authorities.some(
    (one) => one.kind === 'x509_root' && one.state === 'active' && canSign(one, now),
  )
  // A domain that is being adopted has no root of ours that signs yet; its lifecycle fills the slot once it has.
  if (!canFound) return
  const id = await perform(trx, { act: 'prepare', slot, reason }, { situation: before, deps })
  const situation = await readSituation(trx, meshId, { trustDomain, now })
  const authority = situation.authorities.find((one) => one.id === id)
  if (authority === undefined) throw new Error('an intermediate was not stored')
  const act = { act: 'activate', authority, retires: undefined, unmet: [], reason } as const
  await perform(trx, act, { situation, deps })
}

/** Which intermediates end with a cluster. */
export const intermediatesOfCluster: TopologyDependants = async (db, { kind, meshId, name }) => {
  if (kind !== 'cluster') return []
  const effect = 'its key is erased; what it signed stays valid until its own end'
  return (await intermediatesOf(db, meshId, name)).map((one) => {
    return { kind: 'intermediate', name: titleOf(one), effect, blocks: false }
  })
}

/**
 * Ends the intermediates of a cluster that is deleted: their keys are erased in this transaction.
 *
 * Their rows stay, tied to no cluster, until they would have ended, because a root may not leave before what was
 * signed under it. What they signed stays valid until its own end. The one intermediate that keeps its key for our
 * listeners alone keeps it: it signs for no cluster any more.
 */
export const endIntermediates: TopologyEnder = async (trx, { kind, meshId, name }, context) => {
  if (kind !== 'cluster') return
  for (const { name: trustDomain } of await trustDomainsOf(trx, meshId)) {
    await lockTrustDomain(trx, meshId, trustDomain)
    const living = await listLiving(trx, meshId, trustDomain)
    for (const authority of living.filter(({ cluster }) => cluster === name)) {
      await endIntermediate(trx, authority, context)
    }
  }
  await store.releaseCluster(trx, meshId, name)
  await bumpChange(trx, meshId, 'bundle')
}

async function endIntermediate(
  trx: Db,
  authority: StoredAuthority,
  { actor, now: at }: ChangeContext,
): Promise<void> {
  const { meshId, id, state, notAfter, cluster } = authority
  if (state === 'prepared') await store.setRemoved(trx, meshId, { ids: [id], at })
  else await store.setRetired(trx, meshId, { id, at, removeAt: notAfter, endpointOnly: false })
  const body = { reason: 'its cluster was deleted', cluster, state }
  const object = objectOf(authority)
  await recordAudit(trx, { at, meshId, actor, action: 'authority.retire', object, body })
}

/** Tells of the intermediates of a cluster that moves; the founder makes the new ones, the ender ends the old ones. */
export const moveIntermediates: ClusterMover = async (trx, { from, to, cluster }) => {
  const before = await intermediatesOf(trx, from.meshId, cluster)
  const after = await intermediatesOf(trx, to.meshId, cluster)
  const made = after.map(titleOf).join(', ')
  return before.map((one) => ({
    kind: 'intermediate',
    name: titleOf(one),
    ...(made === '' ? {} : { becomes: made }),
    effect: 'its key is erased; a new one signs under the root of the other mesh',
  }))
}

async function intermediatesOf(
  trx: Db,
  meshId: MeshId,
  cluster: string,
): Promise<StoredAuthority[]> {
  const found: StoredAuthority[] = []
  for (const { name } of await trustDomainsOf(trx, meshId)) {
    const living = await listLiving(trx, meshId, name)
    found.push(...living.filter((one) => one.cluster === cluster && one.state === 'active'))
  }
  return found
}

function titleOf({ trustDomain, keyId }: StoredAuthority): string {
  return `${trustDomain} ${keyId}`
}
