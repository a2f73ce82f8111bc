import { type JwtSigner } from '../authority/signers.ts'
import { addSeconds, wholeSeconds } from '../clock.ts'
import { newId } from '../db/ids.ts'
import { signJwtSvid } from '../pki/jwt-svid.ts'
import { type Entry } from '../registry/entry.ts'
import { type Caller, workloadOf } from './caller.ts'
import { type IssueDeps, issuerMoved, MOST_ATTEMPTS } from './deps.ts'
import { type Admitted, admitBySvid } from './evidence.ts'
import { type IssuedSvid } from './issued.ts'

/** A JWT-SVID that was just signed and recorded. */
export interface IssuedJwt {
  readonly entry: Entry
  readonly token: string
  readonly kid: string
  readonly issuedAt: Date
  readonly expiresAt: Date
}

/**
 * Issues a JWT-SVID to a caller that proved its identity by X509-SVID, recorded before it is answered.
 *
 * It ends no later than the key that signs it (JW-15). Throws EVIDENCE_REFUSED, RATE_LIMITED, SVID_REFUSED,
 * ISSUER_UNAVAILABLE, DATABASE_UNAVAILABLE, OUTCOME_UNKNOWN, CONFLICT.
 */
export async function issueJwt(
  deps: IssueDeps,
  { audience, caller }: { readonly audience: readonly string[]; readonly caller: Caller },
): Promise<IssuedJwt> {
  const { reader, reattestAfterSeconds, clock } = deps
  deps.limiter.takeForRenewal(workloadOf(caller))
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
    const now = clock.now()
    const admitted = await admitBySvid(caller, { reader, reattestAfterSeconds, now })
    const { entry } = admitted
    const signer = await deps.signers.jwt(entry.meshId, entry.trustDomain, entry.cluster)
    const issuedAt = wholeSeconds(now)
    const expiresAt = endOf(admitted, { signer, issuedAt })
    const jti = newId()
    const token = signJwtSvid({
      id: entry.spiffeId,
      audience,
      issuedAt,
      expiresAt,
      jti,
      key: signer,
    })
    const { served } = deps.bundles.load(entry.trustDomain)
    const record = recordOf(admitted, { signer, jti, expiresAt, now, sequence: served.sequence })
    if (await deps.writer.add(record)) {
      deps.usage.count(entry)
      return { entry, token, kid: signer.kid, issuedAt, expiresAt }
    }
    deps.signers.forget(entry.meshId)
  }
  throw issuerMoved()
}

function endOf(
  { entry, settings }: Admitted,
  { signer, issuedAt }: { readonly signer: JwtSigner; readonly issuedAt: Date },
): Date {
  const ttl = Math.min(entry.jwtTtlSeconds, settings.maxJwtSvidSeconds)
  const wanted = addSeconds(issuedAt, ttl)
  return wanted < signer.notAfter ? wanted : wholeSeconds(signer.notAfter)
}

interface Recording {
  readonly signer: JwtSigner
  readonly jti: string
  readonly expiresAt: Date
  readonly now: Date
  readonly sequence: bigint
}

function recordOf({ entry, firstAttestedAt }: Admitted, recording: Recording): IssuedSvid {
  const { signer, jti, expiresAt, now, sequence } = recording
  return {
    meshId: entry.meshId,
    trustDomain: entry.trustDomain,
    kind: 'jwt',
    serial: jti,
    spiffeId: entry.spiffeId,
    entryId: entry.id,
    publicKeySha256: undefined,
    authorityId: signer.authorityId,
    notAfter: expiresAt,
    firstAttestedAt,
    bundleSequence: sequence,
    refreshAt: now, // no bundle comes with a JWT-SVID, so nobody waits for its holder to refresh one
    issuedAt: now,
  }
}
