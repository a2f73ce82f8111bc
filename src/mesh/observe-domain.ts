import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpChange } from '../db/changes.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { quoted, ServiceError } from '../errors.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { checkPathName } from './bundle-host.ts'
import { insertNamed } from './create-mesh.ts'
import { lockTrustDomain, primaryTrustDomain } from './find-mesh.ts'
import type { MeshTrustDomain } from './mesh.ts'
import * as store from './store.ts'

/** A trust domain that another system signs for. */
export interface ObservedDomain {
  readonly trustDomain: TrustDomain
  /** Where its authorities are read from, in words: a URL, or that they were given by hand. */
  readonly observedFrom: string
  readonly context: ChangeContext
}

/**
 * Gives a mesh one more trust domain, which another system goes on signing for. It has no host of its own: its
 * bundle is served at the mesh's primary host, under the primary domain's identity (FE-24).
 *
 * Throws NOT_FOUND without such a mesh, TRUST_DOMAIN_INVALID, ALREADY_EXISTS for a name taken in this service.
 */
export async function addObservedDomain(
  trx: Db,
  meshId: MeshId,
  { trustDomain, observedFrom, context }: ObservedDomain,
): Promise<MeshTrustDomain> {
  checkPathName(trustDomain)
  const primary = await primaryTrustDomain(trx, meshId)
  const domain = await insertNamed('trust domain', trustDomain, () =>
    store.insertTrustDomain(trx, {
      name: trustDomain,
      meshId,
      isPrimary: false,
      issuer: 'observed',
      observedFrom,
      bundleHost: undefined,
      baseUrl: undefined,
      formerHosts: [],
      profile: primary.profile,
      createdAt: context.now,
    }),
  )
  await recordAudit(trx, {
    meshId,
    at: context.now,
    actor: context.actor,
    action: 'trust-domain.observe',
    object: `trust-domain/${trustDomain}`,
    body: { observedFrom },
  })
  await bumpChange(trx, meshId, 'mesh')
  return domain
}

/** Which act on an observed trust domain: we begin to sign beside the other system, or that system is let go. */
export interface IssuerChange {
  readonly trustDomain: TrustDomain
  readonly context: ChangeContext
}

/**
 * Begins to sign for an observed trust domain: our first root is made, published beside the other system's
 * authorities, and signs when the gate of every new authority lets it. Throws NOT_FOUND, CONFLICT.
 */
export async function manageDomain(
  trx: Db,
  meshId: MeshId,
  { trustDomain, context }: IssuerChange,
): Promise<MeshTrustDomain> {
  const domain = await lockTrustDomain(trx, meshId, trustDomain)
  if (domain.issuer === 'managed') {
    throw new ServiceError('CONFLICT', `we sign for trust domain ${quoted(trustDomain)} already`, {
      next: `entente authority list --trust-domain ${trustDomain}`,
    })
  }
  return change(trx, { ...domain, issuer: 'managed' }, { action: 'trust-domain.manage', context })
}

/** Forgets the other system that signed for a trust domain; the caller has seen to its authorities. */
export async function forgetOtherIssuer(
  trx: Db,
  meshId: MeshId,
  { trustDomain, context }: IssuerChange,
): Promise<MeshTrustDomain> {
  const domain = await lockTrustDomain(trx, meshId, trustDomain)
  const after = { ...domain, observedFrom: undefined }
  return change(trx, after, { action: 'trust-domain.release', context })
}

async function change(
  trx: Db,
  after: MeshTrustDomain,
  { action, context }: { readonly action: string; readonly context: ChangeContext },
): Promise<MeshTrustDomain> {
  await store.setIssuer(trx, after.meshId, after)
  await recordAudit(trx, {
    meshId: after.meshId,
    at: context.now,
    actor: context.actor,
    action,
    object: `trust-domain/${after.name}`,
    body: { issuer: after.issuer, observedFrom: after.observedFrom ?? null },
  })
  await bumpChange(trx, after.meshId, 'mesh')
  return after
}
