import { ServiceError } from '../../errors.ts'
import { importPublicJwk, keyTypeOf, publicJwk, spkiOf } from '../../pki/key-pair.ts'
import { type PublicJwk } from '../../spiffe/bundle.ts'
import { type EndpointUrl, parseEndpointUrl } from '../../spiffe/endpoint-profile.ts'
import { parseSpiffeId, type SpiffeId, trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'

/** Most recovery paths of one domain. */
export const MAX_RECOVERY_PATHS = 8

/**
 * One way to renew the bundle of a domain whose endpoint can no longer be authenticated (FE-26): a whole set of
 * parameters of its own, agreed beforehand. A profile is never a fallback for another (FE-03): nothing here is
 * tried while the endpoint can be authenticated.
 */
export type RecoveryPath =
  | {
      readonly kind: 'endpoint'
      readonly endpointUrl: EndpointUrl
      /** With https_spiffe; in another trust domain than the one that lost its bundle. */
      readonly endpointId: SpiffeId | undefined
    }
  | {
      readonly kind: 'signed-bundle'
      /** Where the newest signed bundle is fetched; without it, it comes by hand only. */
      readonly endpointUrl: EndpointUrl | undefined
      /** The public half of the recovery key, which is kept outside the peer's service. */
      readonly publicKey: PublicJwk
    }

/** A recovery path as it is written, stored and shown. */
export interface RecoveryDraft {
  readonly kind: 'endpoint' | 'signed-bundle'
  readonly source?: 'https_web' | 'https_spiffe'
  readonly endpointUrl?: string
  readonly endpointSpiffeId?: string
  /** A public JWK: EC, P-256. */
  readonly publicKey?: Readonly<Record<string, string>>
}

/**
 * Judges recovery paths; `at` is the JSON pointer of their list. Throws RELATIONSHIP_INVALID, ENDPOINT_URL_INVALID,
 * SPIFFE_ID_INVALID, KEY_INVALID.
 */
export function parseRecovery(
  drafts: readonly RecoveryDraft[],
  { trustDomain, at }: { readonly trustDomain: TrustDomain; readonly at: string },
): RecoveryPath[] {
  if (drafts.length > MAX_RECOVERY_PATHS) {
    throw invalid(`found ${drafts.length} recovery paths, at most ${MAX_RECOVERY_PATHS}`, at)
  }
  return drafts.map((draft, index) => {
    const pointer = `${at}/${index}`
    return draft.kind === 'endpoint'
      ? parseEndpoint(draft, { trustDomain, at: pointer })
      : parseSigned(draft, pointer)
  })
}

/** The stored and shown form of a recovery path. */
export function writeRecovery(path: RecoveryPath): RecoveryDraft {
  if (path.kind === 'signed-bundle') {
    const { endpointUrl, publicKey } = path
    return {
      kind: 'signed-bundle',
      publicKey: { ...publicKey },
      ...(endpointUrl === undefined ? {} : { endpointUrl }),
    }
  }
  const { endpointUrl, endpointId } = path
  return {
    kind: 'endpoint',
    source: endpointId === undefined ? 'https_web' : 'https_spiffe',
    endpointUrl,
    ...(endpointId === undefined ? {} : { endpointSpiffeId: endpointId }),
  }
}

/** A recovery path in one line that is the same whatever the order of its members; for comparing and showing. */
export function recoveryLine({
  kind,
  source,
  endpointUrl,
  endpointSpiffeId,
  publicKey,
}: RecoveryDraft): string {
  const key = publicKey === undefined ? undefined : `key ${publicKey['x']} ${publicKey['y']}`
  return [kind, source, endpointUrl, endpointSpiffeId, key]
    .filter((part) => part !== undefined)
    .join(' ')
}

/** Recovery paths as they are stored; judged again, so that nothing but paths comes out. */
export function readRecovery(stored: readonly unknown[], trustDomain: TrustDomain): RecoveryPath[] {
  return parseRecovery(stored as readonly RecoveryDraft[], { trustDomain, at: '/recovery' })
}

/** What a recovery path is called in words, for messages and history. */
export function nameOfRecovery(path: RecoveryPath): string {
  if (path.kind === 'endpoint') return `the second endpoint ${path.endpointUrl}`
  return 'a bundle signed by the recovery key'
}

function parseEndpoint(
  draft: RecoveryDraft,
  { trustDomain, at }: { readonly trustDomain: TrustDomain; readonly at: string },
): RecoveryPath {
  refuseExtra(draft, ['publicKey'], at)
  if (draft.endpointUrl === undefined) throw invalid('a second endpoint needs its URL', at)
  const endpointUrl = parseEndpointUrl(draft.endpointUrl)
  if (draft.source === undefined) throw invalid('a second endpoint needs its profile', at)
  if (draft.source === 'https_web') {
    refuseExtra(draft, ['endpointSpiffeId'], at)
    return { kind: 'endpoint', endpointUrl, endpointId: undefined }
  }
  if (draft.endpointSpiffeId === undefined) {
    throw invalid('profile https_spiffe needs the SPIFFE ID of the second endpoint', at)
  }
  const endpointId = parseSpiffeId(draft.endpointSpiffeId)
  if (trustDomainOf(endpointId) !== trustDomain)
    return { kind: 'endpoint', endpointUrl, endpointId }
  throw invalid(
    `the second endpoint stands in ${trustDomain} too, so it could not be authenticated when the first cannot`,
    at,
  )
}

function parseSigned(draft: RecoveryDraft, at: string): RecoveryPath {
  refuseExtra(draft, ['source', 'endpointSpiffeId'], at)
  const { endpointUrl, publicKey } = draft
  if (publicKey === undefined) {
    throw invalid('a signed bundle needs the public half of the recovery key', at)
  }
  return {
    kind: 'signed-bundle',
    endpointUrl: endpointUrl === undefined ? undefined : parseEndpointUrl(endpointUrl),
    publicKey: parseKey(publicKey, at),
  }
}

function parseKey(jwk: Readonly<Record<string, string>>, at: string): PublicJwk {
  if ('d' in jwk)
    throw invalid('a recovery key is pinned by its public half; found a private key', at)
  const key = importPublicJwk(jwk as unknown as PublicJwk)
  const type = keyTypeOf(spkiOf(key))
  if (type.kind === 'EC' && type.curve === 'P-256') return publicJwk(key)
  throw invalid('a recovery key must be an EC key on P-256', at)
}

function refuseExtra(
  draft: RecoveryDraft,
  members: readonly (keyof RecoveryDraft)[],
  at: string,
): void {
  const extra = members.find((member) => draft[member] !== undefined)
  if (extra !== undefined) throw invalid(`${extra} does not belong to kind ${draft.kind}`, at)
}

function invalid(message: string, pointer: string): ServiceError {
  return new ServiceError('RELATIONSHIP_INVALID', message, {
    fields: [{ in: 'body', pointer, detail: message }],
  })
}
