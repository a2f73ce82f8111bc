import { type Signers } from '../../authority/signers.ts'
import { type Clock } from '../../clock.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db, type NoticeEndpoint } from '../../db/schema.ts'
import { ServiceError } from '../../errors.ts'
import { type CallAnswer } from '../../http/outbound-call.ts'
import { type Outbound, type ServerProof } from '../../http/outbound.ts'
import { primaryTrustDomain } from '../../mesh/find-mesh.ts'
import { decodeBase64 } from '../../spiffe/base64.ts'
import { type EndpointUrl, parseEndpointUrl } from '../../spiffe/endpoint-profile.ts'
import { exchangeId, trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type AnchorCache } from '../poll/anchors.ts'
import { endpointProof } from '../poll/fetch-bundle.ts'
import { type PeerCall, signPeerCall } from './peer-call-token.ts'
import { type Exchange } from '../relationship.ts'
import { findCallTarget } from './peer-exchange-store.ts'

/** Where every path of a peer call begins; what stands before it in a URL belongs to proxies. */
export const PEER_API = '/federation/v1'

/** What calling peers needs. */
export interface CallPeerDeps {
  readonly db: Db
  readonly outbound: Outbound
  readonly anchors: AnchorCache
  readonly signers: Pick<Signers, 'jwt'>
  readonly clock: Clock
}

/** The peer that is called. */
export interface PeerToCall {
  readonly meshId: MeshId
  readonly relationshipId: string
  readonly exchange: Exchange
  /** Who proves the endpoint of a relationship that is over and so knows nobody any more. */
  readonly endpoint?: NoticeEndpoint | undefined
}

/** What a call came to: a complete answer, refusals included, or the reason why there is none. */
export type PeerAnswer =
  { readonly answer: CallAnswer } | { readonly error: ServiceError; readonly answer?: undefined }

/**
 * Calls a peer in the name of our exchange identity, over TLS to the endpoint that is pinned for its domain.
 *
 * Whatever goes wrong on the way is an outcome; throws only when the database is away, and the signal's reason.
 */
export async function callPeer(
  deps: CallPeerDeps,
  peer: PeerToCall,
  call: PeerCall & { readonly signal?: AbortSignal | undefined },
): Promise<PeerAnswer> {
  try {
    const proof = await proofOf(deps, peer)
    const token = await sign(deps, peer, call)
    const { meshId, exchange } = peer
    const url = urlOf(exchange, call.path)
    const common = { url, meshId, proof, headers: { authorization: `Bearer ${token}` } }
    const signal = call.signal === undefined ? {} : { signal: call.signal }
    const outcome = await deps.outbound.request(
      call.method === 'GET'
        ? { ...common, ...signal, method: 'GET' }
        : {
            ...common,
            ...signal,
            method: 'POST',
            body: call.body,
            contentType: 'application/json',
          },
    )
    return 'error' in outcome ? { error: outcome.error } : { answer: outcome.answer }
  } catch (error) {
    if (!isOutcome(error)) throw error
    return { error }
  }
}

/** A call of which the peer made nothing, for people; `undefined` for one that it took. */
export function refusalIn(answered: PeerAnswer): ServiceError | undefined {
  if (answered.answer === undefined) return answered.error
  const { status } = answered.answer
  if (status >= 200 && status < 300) return undefined
  const why =
    status === 401
      ? 'the peer answered 401: it does not know us, has ended the relationship, or lacks our newest bundle'
      : `the peer answered ${status}`
  return new ServiceError('PEER_ANSWER_REFUSED', why)
}

/** Longest error text that is kept and shown. */
const MAX_ERROR_LENGTH = 500

/** An error as it may be stored. */
export function errorText(error: ServiceError): string {
  return error.message.slice(0, MAX_ERROR_LENGTH).replaceAll('\0', '?').toWellFormed()
}

/** The pinned URL names the API itself or what it stands under. */
function urlOf({ url }: Exchange, path: string): EndpointUrl {
  const base = url.replace(/\/+$/, '')
  const isApi = base.endsWith(PEER_API)
  return parseEndpointUrl(isApi ? `${base}${path.slice(PEER_API.length)}` : `${base}${path}`)
}

async function sign(deps: CallPeerDeps, peer: PeerToCall, call: PeerCall): Promise<string> {
  const { name } = await primaryTrustDomain(deps.db, peer.meshId)
  const { kid, privateKey } = await deps.signers.jwt(peer.meshId, name)
  return signPeerCall(call, {
    from: exchangeId(name),
    to: peer.exchange.id,
    key: { kid, privateKey },
    now: deps.clock.now(),
  })
}

/**
 * The proof that was pinned for the bundle endpoint of the peer's domain, by the rule of polls: there is no second way
 * (FE-03), and a bundle that may not vouch for a poll vouches for no call (FE-24).
 */
async function proofOf(deps: CallPeerDeps, peer: PeerToCall): Promise<ServerProof> {
  if (peer.endpoint !== undefined) return storedProof(peer.endpoint)
  const { meshId, relationshipId } = peer
  const trustDomain = trustDomainOf(peer.exchange.id)
  const target = await findCallTarget(deps.db, meshId, { relationshipId, trustDomain })
  if (target?.source === 'https_web') return { kind: 'web' }
  if (target?.endpointId === undefined) {
    throw noProof(`${trustDomain} has no bundle endpoint that could prove itself`)
  }
  const { endpointId, inUse } = target
  const contacted = { meshId, relationshipId, trustDomain, endpointId, inUse }
  const proof = await endpointProof(deps, contacted)
  if (proof instanceof ServiceError) throw proof
  return proof
}

function storedProof({ id, anchors }: NoticeEndpoint): ServerProof {
  const certificates = anchors.flatMap((text) => decodeBase64(text) ?? [])
  return { kind: 'spiffe', id, anchors: certificates }
}

function noProof(message: string): ServiceError {
  return new ServiceError('PEER_IDENTITY_REFUSED', message)
}

const OUTCOMES = new Set([
  'ENDPOINT_URL_INVALID',
  'ISSUER_UNAVAILABLE',
  'NOT_FOUND',
  'PEER_IDENTITY_REFUSED',
])

function isOutcome(error: unknown): error is ServiceError {
  return error instanceof ServiceError && OUTCOMES.has(error.code)
}
