import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { quoted, ServiceError } from '../errors.ts'
import { lockTrustDomain } from '../mesh/find-mesh.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { canSign, fills, type Slot, type StoredAuthority } from './authority.ts'
import { hardWaitsOf, type Waiting, waitingFor } from './lifecycle.ts'
import { perform, type PerformDeps } from './perform.ts'
import { type FullSituation, readSituation } from './situation.ts'
import { findAuthority } from './store.ts'

/**
 * Prepares a successor because a person asked for it, in the caller's transaction; answers its id.
 *
 * Throws CONFLICT when one is prepared already, NOT_FOUND for a slot that the trust domain does not have.
 */
export async function prepareByHand(
  trx: Db,
  meshId: MeshId,
  wanted: { readonly trustDomain: TrustDomain; readonly slot: Slot; readonly deps: PerformDeps },
): Promise<string> {
  const { trustDomain, slot, deps } = wanted
  await lockTrustDomain(trx, meshId, trustDomain)
  const situation = await readSituation(trx, meshId, { trustDomain, now: deps.context.now })
  if (!situation.slots.some((one) => fills(one, slot))) throw noSuchSlot(slot)
  const prepared = situation.authorities.find((one) => fills(slot, one) && one.state === 'prepared')
  if (prepared !== undefined) {
    throw new ServiceError('CONFLICT', `a ${slot.kind} is prepared already (${prepared.id})`, {
      next: `entente authority activate ${prepared.id}`,
    })
  }
  const act = { act: 'prepare', slot, reason: 'asked for' } as const
  return perform(trx, act, { situation, deps })
}

/**
 * Activates a prepared authority because a person asked for it, in the caller's transaction.
 *
 * Throws CONFLICT while a condition does not hold. `force` skips what only time and workloads still owe (it is
 * audited); never that the key is published, that all replicas serve it and that one hint has passed, as long
 * as the old authority can sign (FE-30).
 */
export async function activateByHand(
  trx: Db,
  meshId: MeshId,
  wanted: { readonly id: string; readonly force: boolean; readonly deps: PerformDeps },
): Promise<void> {
  const { id, force, deps } = wanted
  const found = await findAuthority(trx, meshId, id)
  if (found === undefined) throw noSuchAuthority(id)
  await lockTrustDomain(trx, meshId, found.trustDomain)
  const { now } = deps.context
  const situation = await readSituation(trx, meshId, { trustDomain: found.trustDomain, now })
  const authority = situation.authorities.find((one) => one.id === id)
  if (authority?.state !== 'prepared') throw notPrepared(authority ?? found)
  checkParent(authority, situation)
  const retires = situation.authorities.find(
    (one) => fills(authority, one) && one.state === 'active',
  )
  const unmet = waitingFor(authority, situation)
  refuseUnmet(authority, unmet, { force, oldSigns: retires !== undefined && canSign(retires, now) })
  const reason = unmet.length === 0 ? 'asked for' : 'asked for by force'
  const act = { act: 'activate', authority, retires, unmet, reason } as const
  await perform(trx, act, { situation, deps })
}

function refuseUnmet(
  authority: StoredAuthority,
  unmet: readonly Waiting[],
  { force, oldSigns }: { readonly force: boolean; readonly oldSigns: boolean },
): void {
  if (unmet.length === 0) return
  const never = unmet.filter((wait) => wait.for === 'publication' || wait.for === 'key')
  const hard = oldSigns ? hardWaitsOf(unmet) : never
  if (force && hard.length === 0) return
  const shown = force ? hard : unmet
  const until = shown.flatMap((wait) => (wait.until === undefined ? [] : [wait.until]))
  const last = until.toSorted((one, other) => other.getTime() - one.getTime())[0]
  const wait = last === undefined ? 'wait for it' : `wait until ${last.toISOString()}`
  throw new ServiceError(
    'CONFLICT',
    `the ${authority.kind} ${authority.id} may not sign yet: ${shown.map(({ detail }) => detail).join('; ')}`,
    { next: hard.length === 0 ? `${wait}, or add --force` : `${wait}; force does not skip this` },
  )
}

function checkParent(authority: StoredAuthority, situation: FullSituation): void {
  if (authority.kind !== 'x509_intermediate') return
  const parent = situation.authorities.find(({ id }) => id === authority.parentId)
  if (parent?.state === 'active') return
  throw new ServiceError('CONFLICT', `the root of intermediate ${authority.id} no longer signs`, {
    next: 'entente authority prepare x509_intermediate',
  })
}

function notPrepared(authority: StoredAuthority): ServiceError {
  return new ServiceError(
    'CONFLICT',
    `the ${authority.kind} ${authority.id} is ${authority.state}, only a prepared one can be activated`,
    { next: 'entente authority list' },
  )
}

function noSuchSlot(slot: Slot): ServiceError {
  return new ServiceError(
    'NOT_FOUND',
    slot.cluster === undefined
      ? `there is no ${slot.kind} to prepare here`
      : `the mesh has no cluster ${quoted(slot.cluster)} that we sign for`,
    { next: 'entente mesh show' },
  )
}

/** The refusal for an authority that does not exist. */
export function noSuchAuthority(id: string): ServiceError {
  return new ServiceError('NOT_FOUND', `there is no authority ${quoted(id)}`, {
    next: 'entente authority list',
  })
}
