import { canSign, withdrawObserved } from '../../authority/observed.ts'
import { type ChangeContext } from '../../audit/record.ts'
import { type MeshId } from '../../db/ids.ts'
import { type ChangePolicy, type Db } from '../../db/schema.ts'
import { quoted, ServiceError } from '../../errors.ts'
import { createMesh, type CreateMeshDeps } from '../../mesh/create-mesh.ts'
import { findMesh, loadMesh, loadTrustDomain } from '../../mesh/find-mesh.ts'
import { addObservedDomain, forgetOtherIssuer } from '../../mesh/observe-domain.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { changeStanding } from '../change-standing.ts'
import { createRelationship, type PeerReaders } from '../create-relationship.ts'
import { type DomainDraft, type Relationship } from '../relationship.ts'
import { deleteRelationship, listRelationships, lockRelationshipById } from '../store.ts'

/** A mesh, or a trust domain of one, whose present system goes on signing. */
export interface Adoption {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  /** Where its authorities are read from. */
  readonly source: Omit<DomainDraft, 'trustDomain'>
  readonly changePolicy: ChangePolicy
  /** For a new mesh: a trust domain of its own under which we serve, so that endpoints have an identity. */
  readonly endpointTrustDomain: TrustDomain | undefined
}

/** What adopting needs. */
export interface AdoptDeps {
  readonly mesh: CreateMeshDeps
  readonly readers: PeerReaders
}

/**
 * Takes a trust domain that another system signs for into a mesh, made for it if it is not there: its authorities
 * are read, judged and kept like a peer's, and published with our own sequence; nothing of that system is replaced.
 *
 * Throws ALREADY_EXISTS, INVALID_REQUEST without an identity to serve under, and what {@link createRelationship}
 * throws for a source that cannot be.
 */
export async function adopt(
  trx: Db,
  deps: AdoptDeps,
  { adoption, context }: { readonly adoption: Adoption; readonly context: ChangeContext },
): Promise<Relationship> {
  const { meshId, trustDomain, source } = adoption
  const observedFrom = originOf(source)
  if ((await findMesh(trx, meshId)) === undefined) {
    await makeMesh(trx, deps, { adoption, observedFrom, context })
  } else {
    refuseEndpointDomain(adoption)
  }
  if (!(await hasDomain(trx, adoption))) {
    await addObservedDomain(trx, meshId, { trustDomain, observedFrom, context })
  }
  return createRelationship(trx, meshId, {
    draft: {
      name: sourceName(trustDomain),
      domains: [{ ...source, trustDomain }],
      changePolicy: adoption.changePolicy,
    },
    context,
    readers: deps.readers,
    purpose: 'source',
  })
}

/**
 * Lets the other system go: its authorities leave the bundle and are read no longer. Ours must sign already.
 *
 * Throws NOT_FOUND, and CONFLICT while the trust domain is observed only.
 */
export async function release(
  trx: Db,
  meshId: MeshId,
  { trustDomain, context }: { readonly trustDomain: TrustDomain; readonly context: ChangeContext },
): Promise<void> {
  const domain = await loadTrustDomain(trx, meshId, trustDomain)
  if (domain.observedFrom === undefined) {
    throw new ServiceError('CONFLICT', `only we sign for trust domain ${quoted(trustDomain)}`)
  }
  if (domain.issuer === 'observed') {
    throw new ServiceError(
      'CONFLICT',
      `only ${domain.observedFrom} signs for ${trustDomain}; without it nobody would`,
      { next: `entente mesh manage ${meshId} --trust-domain ${trustDomain}` },
    )
  }
  if (!(await canSign(trx, meshId, trustDomain))) {
    throw new ServiceError(
      'CONFLICT',
      `our own authorities of ${trustDomain} do not sign yet; without ${domain.observedFrom} nobody would`,
      { next: `entente authority list --mesh ${meshId}` },
    )
  }
  const source = await sourceOf(trx, meshId, trustDomain)
  if (source !== undefined) {
    await changeStanding(trx, source, { event: 'terminate', context, reason: 'we sign alone' })
    await deleteRelationship(trx, meshId, source.id)
  }
  await forgetOtherIssuer(trx, meshId, { trustDomain, context })
  const cause = `${domain.observedFrom} no longer signs for it`
  await withdrawObserved(trx, await loadMesh(trx, meshId), { trustDomain, cause, context })
}

/** The name under which the source of a trust domain shows among the relationships. */
export function sourceName(trustDomain: TrustDomain): string {
  const label = trustDomain.replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-+|-+$/g, '')
  return `source-${label}`.slice(0, 63).replace(/-+$/, '')
}

async function sourceOf(
  trx: Db,
  meshId: MeshId,
  trustDomain: TrustDomain,
): Promise<Relationship | undefined> {
  const found = (await listRelationships(trx, meshId)).find(
    ({ purpose, domains }) =>
      purpose === 'source' && domains.some((domain) => domain.trustDomain === trustDomain),
  )
  return found === undefined ? undefined : lockRelationshipById(trx, meshId, found.id)
}

async function makeMesh(
  trx: Db,
  { mesh }: AdoptDeps,
  about: {
    readonly adoption: Adoption
    readonly observedFrom: string
    readonly context: ChangeContext
  },
): Promise<void> {
  const { adoption, observedFrom, context } = about
  const { meshId, trustDomain, endpointTrustDomain } = adoption
  if (endpointTrustDomain !== undefined) {
    await createMesh(trx, mesh, { wanted: { meshId, trustDomain: endpointTrustDomain }, context })
    return
  }
  if (!mesh.hasWebCertificate) throw noIdentity(adoption)
  const wanted = { meshId, trustDomain, observedFrom, profile: 'https_web' as const }
  await createMesh(trx, mesh, { wanted, context })
}

// We have no key of an observed domain, so nothing under it can prove who our bundle endpoint is.
function noIdentity({ trustDomain, meshId }: Adoption): ServiceError {
  const message = `another system signs for ${trustDomain}, so our bundle endpoint cannot have an identity in it`
  return new ServiceError('INVALID_REQUEST', message, {
    next: `add --endpoint-trust-domain NAME, a name of yours such as entente.${meshId}.example, under which we serve; or set ENTENTE_WEB_CERT_FILE and ENTENTE_WEB_KEY_FILE for https_web`,
    fields: [{ in: 'body', pointer: '/endpointTrustDomain', detail: 'is required here' }],
  })
}

function refuseEndpointDomain({ endpointTrustDomain, meshId }: Adoption): void {
  if (endpointTrustDomain === undefined) return
  const message = `mesh ${quoted(meshId)} is there already and serves under its own trust domain`
  throw new ServiceError('INVALID_REQUEST', message, {
    fields: [{ in: 'body', pointer: '/endpointTrustDomain', detail: 'is for new meshes only' }],
  })
}

async function hasDomain(trx: Db, { meshId, trustDomain }: Adoption): Promise<boolean> {
  try {
    const { issuer } = await loadTrustDomain(trx, meshId, trustDomain)
    if (issuer === 'observed') return true
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'NOT_FOUND') return false
    throw error
  }
  throw new ServiceError(
    'ALREADY_EXISTS',
    `mesh ${quoted(meshId)} signs for ${quoted(trustDomain)} itself`,
    { next: `entente mesh show ${meshId}` },
  )
}

function originOf({ source, endpointUrl }: Adoption['source']): string {
  return source === 'static' ? 'a bundle given by hand' : (endpointUrl ?? source)
}
