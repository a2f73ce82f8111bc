import { type ChangeContext, recordAudit } from '../../audit/record.ts'
import { publishedBundles } from '../../bundle/find-bundle.ts'
import { bumpChange } from '../../db/changes.ts'
import { isUniqueViolation } from '../../db/failures.ts'
import { type MeshId, newId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { quoted, ServiceError } from '../../errors.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import { type Dependant } from '../../mesh/hooks.ts'
import { parseBundle } from '../../spiffe/bundle.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { examineDistrust, type Examination, type KeyPlace } from './distrust-effects.ts'
import {
  type DistrustedKey,
  insertDistrusted,
  liftDistrusted,
  lockStanding,
  overtakePolls,
} from './distrust-store.ts'
import { distrustedIn } from './effective-bundle.ts'

/** Tells what of a higher feature uses the bundles of these domains; handed in by compose. */
export type DistrustDependants = (
  db: Db,
  target: { readonly meshId: MeshId; readonly trustDomains: readonly TrustDomain[] },
) => Promise<readonly Dependant[]>

/** A key that somebody distrusts. */
export interface DistrustRequest {
  /** SHA-256 of the public key, lower-case hex. */
  readonly digest: string
  readonly note: string | undefined
  readonly context: ChangeContext
  readonly dependants: readonly DistrustDependants[]
}

/** A change of distrust: where the key stands and what that means. */
export interface DistrustChanged {
  readonly key: DistrustedKey
  readonly places: readonly KeyPlace[]
  readonly effects: readonly Dependant[]
}

/** Reads a SHA-256 as people write one: 64 hex digits, with or without colons and `sha256:`. Throws INVALID_REQUEST. */
export function parseKeyDigest(text: string): string {
  const digest = text
    .trim()
    .toLowerCase()
    .replace(/^sha-?256[:=]/, '')
    .replaceAll(':', '')
  if (/^[0-9a-f]{64}$/.test(digest)) return digest
  throw new ServiceError(
    'INVALID_REQUEST',
    `${quoted(text)} is no SHA-256 of a public key; wanted 64 hex digits, with or without colons`,
    { next: 'entente federation doctor NAME shows the keys of a peer' },
  )
}

/**
 * Distrusts a foreign public key in this mesh from the commit on: for workloads, the relay, endpoints and tokens,
 * in whatever certificate it comes. Fetches in flight that it may have authenticated are thrown away.
 *
 * Throws NOT_FOUND without such a mesh, ALREADY_EXISTS, CONFLICT for a key that we publish ourselves, and
 * INVALID_REQUEST when the digest is that of a certificate.
 */
export async function distrustKey(
  trx: Db,
  meshId: MeshId,
  request: DistrustRequest,
): Promise<DistrustChanged> {
  const { digest, note, context } = request
  await loadMesh(trx, meshId)
  await refuseOwn(trx, meshId, digest)
  const found = await examineDistrust(trx, meshId, { digest, now: context.now, change: 'distrust' })
  refuseCertificate(digest, found)
  const key: DistrustedKey = {
    id: newId(),
    digest,
    note,
    since: context.now,
    by: context.actor,
    liftedAt: undefined,
    liftedBy: undefined,
  }
  await insertOnce(trx, meshId, key)
  const effects = await effectsOf(trx, meshId, { found, dependants: request.dependants })
  await settle(trx, meshId, { action: 'distrusted-key.create', key, found, context })
  return { key, places: found.places, effects }
}

/** Trusts a key again wherever a peer publishes it; the record of its distrust stays. Throws NOT_FOUND. */
export async function liftDistrust(
  trx: Db,
  meshId: MeshId,
  { digest, context }: { readonly digest: string; readonly context: ChangeContext },
): Promise<DistrustChanged> {
  await loadMesh(trx, meshId)
  const standing = await lockStanding(trx, meshId, digest)
  if (standing === undefined) throw notDistrusted(digest)
  const found = await examineDistrust(trx, meshId, { digest, now: context.now, change: 'lift' })
  await liftDistrusted(trx, meshId, { id: standing.id, at: context.now, by: context.actor })
  const key = { ...standing, liftedAt: context.now, liftedBy: context.actor }
  await settle(trx, meshId, { action: 'distrusted-key.delete', key, found, context })
  return { key, places: found.places, effects: found.effects }
}

async function refuseOwn(trx: Db, meshId: MeshId, digest: string): Promise<void> {
  for (const { trustDomain, document } of await publishedBundles(trx, meshId)) {
    const { bundle } = parseBundle(trustDomain, document)
    if (distrustedIn(bundle, new Set([digest])).length === 0) continue
    throw new ServiceError(
      'CONFLICT',
      `that key is one of our own: ${trustDomain} publishes it; distrust is for keys of peers`,
      { next: 'entente authority list' },
    )
  }
}

function refuseCertificate(digest: string, { certificateOf }: Examination): void {
  if (certificateOf === undefined) return
  throw new ServiceError(
    'INVALID_REQUEST',
    `sha256:${digest} is the fingerprint of a certificate of ${certificateOf.trustDomain}, not of its public key`,
    { next: `entente federation distrust ${certificateOf.keyDigest}` },
  )
}

async function insertOnce(trx: Db, meshId: MeshId, key: DistrustedKey): Promise<void> {
  try {
    await insertDistrusted(trx, meshId, key)
  } catch (cause) {
    if (!isUniqueViolation(cause)) throw cause
    throw new ServiceError('ALREADY_EXISTS', `sha256:${key.digest} is distrusted already`, {
      cause,
      next: 'entente federation distrust list',
    })
  }
}

async function effectsOf(
  trx: Db,
  meshId: MeshId,
  about: { readonly found: Examination; readonly dependants: readonly DistrustDependants[] },
): Promise<Dependant[]> {
  const { found, dependants } = about
  const served = found.places.filter(({ state }) => state === 'active')
  const trustDomains = [...new Set(served.map(({ trustDomain }) => trustDomain))]
  const effects = [...found.effects]
  if (trustDomains.length === 0) return effects
  for (const ask of dependants) effects.push(...(await ask(trx, { meshId, trustDomains })))
  return effects
}

async function settle(
  trx: Db,
  meshId: MeshId,
  change: {
    readonly action: string
    readonly key: DistrustedKey
    readonly found: Examination
    readonly context: ChangeContext
  },
): Promise<void> {
  const { action, key, found, context } = change
  await overtakePolls(trx, meshId, { polls: found.polls, now: context.now })
  await recordAudit(trx, {
    meshId,
    actor: context.actor,
    action,
    object: `distrusted-key/${key.digest}`,
    at: context.now,
    body: {
      publicKeySha256: key.digest,
      note: key.note ?? null,
      since: key.since,
      places: found.places.slice(0, 100),
      placeCount: found.places.length,
    },
  })
  await bumpChange(trx, meshId, 'distrust')
  await bumpChange(trx, meshId, 'relationship')
}

function notDistrusted(digest: string): ServiceError {
  return new ServiceError('NOT_FOUND', `sha256:${digest} is not distrusted in this mesh`, {
    next: 'entente federation distrust list',
  })
}
