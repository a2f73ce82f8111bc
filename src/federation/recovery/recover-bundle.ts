import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { ServiceError } from '../../errors.ts'
import { type ServerProof } from '../../http/outbound.ts'
import { trustDomainsOf } from '../../mesh/find-mesh.ts'
import { readSignedBundle } from '../../pki/signed-bundle.ts'
import { type SpiffeId, trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type PollTask } from '../poll/claim-store.ts'
import { type FetchDeps, type FetchResult } from '../poll/fetch-bundle.ts'
import { type PeerBundles } from '../peer-bundle/peer-bundles.ts'
import { nameOfRecovery, type RecoveryPath } from './recovery.ts'
import { findRecovery } from './recovery-store.ts'
import { type VerifiedBy } from '../peer-bundle/revision-store.ts'

/** What recovering a peer's bundle needs. */
export interface RecoverDeps extends FetchDeps {
  readonly peerBundles: Pick<PeerBundles, 'of'>
}

/**
 * Tries the recovery paths of a domain whose endpoint can no longer be authenticated, in their order, until one
 * gives a document; answers undefined when there is none to try, so that the failure before stands.
 *
 * Nothing else than these paths is tried, each with exactly its own parameters (FE-03).
 */
export async function recoverBundle(
  deps: RecoverDeps,
  task: PollTask,
  signal?: AbortSignal,
): Promise<FetchResult | undefined> {
  const startedMs = deps.clock.monotonicMs()
  const failures: string[] = []
  for (const path of await findRecovery(deps.db, task.meshId, task)) {
    const tried = await tryPath(deps, task, { path, signal })
    if (tried === undefined) continue
    if (!(tried instanceof ServiceError)) {
      return { ...tried, durationMs: Math.round(deps.clock.monotonicMs() - startedMs) }
    }
    failures.push(`${nameOfRecovery(path)}: ${tried.message}`)
  }
  if (failures.length === 0) return undefined
  const error = new ServiceError(
    'PEER_IDENTITY_REFUSED',
    `no authority of ${task.trustDomain} can authenticate its endpoint, and recovery failed: ${failures.join('; ')}`,
  )
  const durationMs = Math.round(deps.clock.monotonicMs() - startedMs)
  return {
    fetched: { kind: 'failed', error },
    verifiedBy: byNobody(task),
    voucher: undefined,
    durationMs,
  }
}

interface Trying {
  readonly path: RecoveryPath
  readonly signal: AbortSignal | undefined
}

type Tried = Omit<FetchResult, 'durationMs'> | ServiceError

async function tryPath(
  deps: RecoverDeps,
  task: PollTask,
  trying: Trying,
): Promise<Tried | undefined> {
  const { path, signal } = trying
  if (path.endpointUrl === undefined) return undefined
  const proof = await proofOf(deps, task.meshId, path)
  if (proof instanceof ServiceError) return proof
  const outcome = await deps.outbound.request({
    url: path.endpointUrl,
    meshId: task.meshId,
    proof,
    redirects: deps.redirects,
    ...(signal === undefined ? {} : { signal }),
  })
  if ('error' in outcome) return outcome.error
  const { answer, contact } = outcome
  if (answer.status !== 200) {
    return new ServiceError('PEER_ANSWER_REFUSED', `answered ${answer.status}, wanted 200`)
  }
  const { url, redirects, address, presentedIds, chainSha256 } = contact
  const verifiedBy: VerifiedBy = {
    how: 'fetch',
    url,
    redirects,
    address: address ?? null,
    presentedIds,
    chainSha256: chainSha256 ?? null,
    recovery: nameOfRecovery(path),
  }
  try {
    const document = await documentIn(deps, task, { path, body: answer.body })
    return {
      fetched: { kind: 'document', document, etag: undefined },
      verifiedBy,
      voucher: undefined,
    }
  } catch (error) {
    if (error instanceof ServiceError) return error
    throw error
  }
}

async function proofOf(
  { peerBundles }: RecoverDeps,
  meshId: MeshId,
  path: RecoveryPath,
): Promise<ServerProof | ServiceError> {
  // A signed bundle proves itself; who carries it does not matter, so any web server may.
  if (path.kind === 'signed-bundle' || path.endpointId === undefined) return { kind: 'web' }
  const trustDomain = trustDomainOf(path.endpointId)
  const bundle = (await peerBundles.of(meshId)).get(trustDomain)?.bundle
  const anchors = (bundle?.x509Authorities ?? []).map(({ certificate }) => certificate)
  if (anchors.length > 0) return { kind: 'spiffe', id: path.endpointId, anchors }
  return new ServiceError(
    'PEER_IDENTITY_REFUSED',
    `no bundle of ${trustDomain} is in force here, so ${path.endpointId} cannot be authenticated`,
  )
}

async function documentIn(
  deps: RecoverDeps,
  task: PollTask,
  { path, body }: { readonly path: RecoveryPath; readonly body: Uint8Array },
): Promise<Uint8Array> {
  if (path.kind === 'endpoint') return body
  const token = new TextDecoder().decode(body)
  const { bundle } = readSignedBundle(token, {
    recoveryKeys: [path.publicKey],
    // Nothing stored can prove an SVID now: that is why a recovery path is tried at all.
    endpoint: undefined,
    now: deps.clock.now(),
  })
  await checkParties(deps.db, task, bundle)
  return bundle.document
}

/** Refuses a signed bundle of another domain, or for another receiver. Throws SIGNED_BUNDLE_REFUSED. */
export async function checkParties(
  db: Db,
  { meshId, trustDomain }: { readonly meshId: MeshId; readonly trustDomain: TrustDomain },
  { subject, audience }: { readonly subject: TrustDomain; readonly audience: TrustDomain },
): Promise<void> {
  if (subject !== trustDomain) {
    throw refused(`is of ${subject}, wanted ${trustDomain}`)
  }
  const own = await trustDomainsOf(db, meshId)
  if (own.some(({ name }) => name === audience)) return
  throw refused(`is for ${audience}, and this mesh has ${own.map(({ name }) => name).join(', ')}`)
}

function refused(what: string): ServiceError {
  return new ServiceError('SIGNED_BUNDLE_REFUSED', `signed bundle ${what}`)
}

function byNobody(task: {
  readonly endpointUrl: string
  readonly endpointId: SpiffeId | undefined
}): VerifiedBy {
  return {
    how: 'fetch',
    url: task.endpointUrl,
    redirects: [],
    address: null,
    presentedIds: [],
    chainSha256: null,
  }
}
