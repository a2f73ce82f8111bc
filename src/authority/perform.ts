import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpChange } from '../db/changes.ts'
import type { Keyring } from '../db/keyring.ts'
import type { Db } from '../db/schema.ts'
import { ServiceError } from '../errors.ts'
import { canSign, fills, objectOf, type Slot, type StoredAuthority } from './authority.ts'
import * as store from './change-store.ts'
import { type Act, removalTime } from './lifecycle.ts'
import {
  type Made,
  type MakeContext,
  makeIntermediate,
  makeJwtKey,
  makeRoot,
  openPrivateKey,
  type SigningRoot,
} from './make-authority.ts'
import { publishAuthorities } from './publish-authorities.ts'
import type { FullSituation } from './situation.ts'
import { findSealedKey } from './store.ts'

/** What carrying out an act needs; everything happens in the caller's transaction. */
export interface PerformDeps {
  readonly keyring: Keyring
  readonly context: ChangeContext
}

/** Carries out one act of the lifecycle: rows, bundle, audit record, change. Answers the authority that it was about. */
export async function perform(
  trx: Db,
  act: Act,
  { situation, deps }: { readonly situation: FullSituation; readonly deps: PerformDeps },
): Promise<string> {
  const work = new Work(trx, situation, deps)
  if (act.act === 'prepare') return work.prepare(act)
  if (act.act === 'activate') return work.activate(act)
  return work.remove(act)
}

/** One act in one transaction. */
class Work {
  readonly #trx: Db
  readonly #situation: FullSituation
  readonly #deps: PerformDeps

  constructor(trx: Db, situation: FullSituation, deps: PerformDeps) {
    this.#trx = trx
    this.#situation = situation
    this.#deps = deps
  }

  async prepare(act: Extract<Act, { act: 'prepare' }>): Promise<string> {
    const { authority } = await this.#make(act.slot)
    await store.insertAuthority(this.#trx, authority)
    await this.#audit('authority.prepare', authority, {
      reason: act.reason,
      keyId: authority.keyId,
      notAfter: authority.notAfter,
    })
    if (act.slot.kind === 'x509_intermediate') await this.#bump()
    else await this.#publish(`${act.slot.kind} prepared: ${act.reason}`)
    return authority.id
  }

  async activate(act: Extract<Act, { act: 'activate' }>): Promise<string> {
    const { authority, retires, unmet, reason } = act
    const { id, kind } = authority
    const removeAt =
      retires === undefined ? undefined : await this.#retire(this.#stored(retires.id))
    const forced = unmet.length > 0
    await store.setActive(this.#trx, this.#meshId, { id, at: this.#now, forced })
    await this.#audit('authority.activate', this.#stored(id), {
      reason,
      forced,
      unmet: unmet.map((wait) => ({ ...wait, until: wait.until ?? null })),
      retired: retires?.id ?? null,
      removeAt: removeAt ?? null,
    })
    if (kind === 'x509_root') await this.#moveIntermediates(this.#stored(id))
    await this.#bump()
    return id
  }

  async remove(act: Extract<Act, { act: 'remove' }>): Promise<string> {
    const authority = this.#stored(act.authority.id)
    const below = this.#situation.authorities.filter(({ parentId }) => parentId === authority.id)
    const ids = [authority.id, ...below.map(({ id }) => id)]
    await store.setRemoved(this.#trx, this.#meshId, { ids, at: this.#now })
    await this.#audit('authority.remove', authority, {
      reason: act.reason,
      intermediates: below.map(({ id }) => id),
    })
    if (authority.kind === 'x509_intermediate') await this.#bump()
    else await this.#publish(`${authority.kind} removed: ${act.reason}`)
    return authority.id
  }

  // The key goes in this transaction; only the one intermediate that our listeners stand under keeps it.
  async #retire(authority: StoredAuthority): Promise<Date> {
    const { meshId, situation } = { meshId: this.#meshId, situation: this.#situation }
    const removeAt =
      authority.kind === 'x509_intermediate'
        ? authority.notAfter
        : removalTime(authority, situation.readinessOf(authority), situation)
    const change = { id: authority.id, at: this.#now, removeAt, endpointOnly: false }
    await store.setRetired(this.#trx, meshId, change)
    return removeAt
  }

  async #moveIntermediates(root: StoredAuthority): Promise<void> {
    const signing = await this.#openRoot(root)
    const keeper = this.#chooseKeeper()
    const old = this.#situation.authorities.filter(({ kind }) => kind === 'x509_intermediate')
    for (const one of old.filter(({ state }) => state === 'prepared')) await this.#abandon(one)
    const retired = old.filter(({ state }) => state === 'active')
    for (const one of retired) {
      const endpointOnly = one.id === keeper?.id
      const change = { id: one.id, at: this.#now, removeAt: one.notAfter, endpointOnly }
      await store.setRetired(this.#trx, this.#meshId, change)
    }
    for (const slot of this.#situation.slots) {
      if (slot.kind !== 'x509_intermediate') continue
      await this.#foundIntermediate(signing, { slot, retired })
    }
  }

  async #abandon(authority: StoredAuthority): Promise<void> {
    const change = { ids: [authority.id], at: this.#now }
    await store.setRemoved(this.#trx, this.#meshId, change)
    await this.#audit('authority.remove', authority, { reason: 'its root was replaced' })
  }

  async #foundIntermediate(
    root: SigningRoot,
    { slot, retired }: { readonly slot: Slot; readonly retired: readonly StoredAuthority[] },
  ): Promise<void> {
    const before = retired.find((one) => fills(slot, one))
    const { authority } = await makeIntermediate(this.#makeContext, { root, cluster: slot.cluster })
    await store.insertAuthority(this.#trx, authority)
    const change = { id: authority.id, at: this.#now, forced: false }
    await store.setActive(this.#trx, this.#meshId, change)
    await this.#audit('authority.activate', authority, {
      reason: 'its root became active',
      parentId: root.id,
      notAfter: authority.notAfter,
      retired: before?.id ?? null,
    })
  }

  #chooseKeeper(): StoredAuthority | undefined {
    return this.#situation.authorities
      .filter((one) => one.kind === 'x509_intermediate' && one.state === 'active')
      .filter((one) => canSign(one, this.#now))
      .toSorted((one, other) => other.notAfter.getTime() - one.notAfter.getTime())[0]
  }

  async #make(slot: Slot): Promise<Made> {
    const context = this.#makeContext
    if (slot.kind === 'x509_root') return makeRoot(context)
    if (slot.kind === 'jwt') return makeJwtKey(context)
    const active = this.#situation.authorities.find(
      (one) => fills({ kind: 'x509_root', cluster: undefined }, one) && one.state === 'active',
    )
    if (active === undefined) throw noRoot(this.#situation.trustDomain)
    return makeIntermediate(context, { root: await this.#openRoot(active), cluster: slot.cluster })
  }

  async #openRoot(root: StoredAuthority): Promise<SigningRoot> {
    const { id, certificate, notAfter } = root
    if (certificate === undefined) throw noRoot(root.trustDomain)
    const sealed = await findSealedKey(this.#trx, this.#meshId, id)
    const privateKey = openPrivateKey(this.#deps.keyring, root, sealed)
    return { id, certificate, notAfter, privateKey }
  }

  async #publish(cause: string): Promise<void> {
    const { mesh, trustDomain } = this.#situation
    const { context } = this.#deps
    await publishAuthorities(this.#trx, mesh, { trustDomain, cause, context })
  }

  async #bump(): Promise<void> {
    await bumpChange(this.#trx, this.#meshId, 'bundle')
  }

  async #audit(
    action: string,
    authority: Pick<StoredAuthority, 'trustDomain' | 'kind' | 'id'>,
    body: Record<string, unknown>,
  ): Promise<void> {
    const { actor } = this.#deps.context
    const object = objectOf(authority)
    const entry = { at: this.#now, meshId: this.#meshId, actor, action, object, body }
    await recordAudit(this.#trx, entry)
  }

  #stored(id: string): StoredAuthority {
    const found = this.#situation.authorities.find((one) => one.id === id)
    if (found === undefined) throw new Error(`authority ${id} is not in this situation`)
    return found
  }

  get #meshId() {
    return this.#situation.mesh.meshId
  }

  get #now(): Date {
    return this.#deps.context.now
  }

  get #makeContext(): MakeContext {
    const { mesh, trustDomain, settings } = this.#situation
    const { keyring } = this.#deps
    return { meshId: mesh.meshId, trustDomain, settings, keyring, now: this.#now }
  }
}

function noRoot(trustDomain: string): ServiceError {
  return new ServiceError('ISSUER_UNAVAILABLE', `no root of ${trustDomain} can sign now`, {
    next: 'entente authority list',
  })
}
