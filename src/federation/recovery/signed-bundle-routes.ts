import { loadCurrentBundle } from '../../bundle/find-bundle.ts'
import { addSeconds, wholeSeconds } from '../../clock.ts'
import { parseMeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { ServiceError } from '../../errors.ts'
import { type App } from '../../http/listener.ts'
import { MeshParams } from '../../mesh/api.ts'
import { chooseTrustDomain } from '../../mesh/find-mesh.ts'
import { writeSignedBundle } from '../../pki/signed-bundle.ts'
import { type X5cSigner } from '../../pki/x5c-jws.ts'
import { parseTrustDomain, type TrustDomain } from '../../spiffe/trust-domain.ts'
import { SignedBundleBody, SignedBundleQuery } from './signed-bundle-api.ts'

/** What the route of signed bundles needs. */
export interface SignedBundleRoutesOptions {
  readonly db: Db
  readonly now: DbClock
  /** The bundle endpoint's SVID of a trust domain, with its key; undefined while there is none. */
  readonly endpointSvidOf: (trustDomain: TrustDomain) => X5cSigner | undefined
}

const DEFAULT_SECONDS = 86_400

/** Our bundle signed by the bundle endpoint's own SVID, for one receiver, to be carried by hand. */
export const signedBundleRoutes = async (
  app: App,
  { db, now, endpointSvidOf }: SignedBundleRoutesOptions,
): Promise<void> => {
  app.get(
    '/meshes/:meshId/bundle/signed',
    {
      config: { action: 'bundle.read' },
      schema: {
        tags: ['bundles'],
        summary: 'Our bundle signed for one receiver, for networks that are not connected',
        params: MeshParams,
        querystring: SignedBundleQuery,
        response: { 200: SignedBundleBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const audience = parseTrustDomain(request.query.for)
      const { name: subject } = await chooseTrustDomain(db, meshId, request.query.trustDomain)
      const signer = endpointSvidOf(subject)
      if (signer === undefined) throw noSigner(subject)
      const { document, sequence } = await loadCurrentBundle(db, meshId, subject)
      const issuedAt = wholeSeconds(await now(db))
      const expiresAt = addSeconds(issuedAt, request.query.ttlSeconds ?? DEFAULT_SECONDS)
      const bundle = { subject, audience, sequence, document, issuedAt, expiresAt }
      return {
        trustDomain: subject,
        for: audience,
        sequence: sequence.toString(),
        expiresAt: expiresAt.toISOString(),
        signedBundle: writeSignedBundle(bundle, { how: 'svid', ...signer }),
      }
    },
  )
}

function noSigner(trustDomain: TrustDomain): ServiceError {
  return new ServiceError(
    'ISSUER_UNAVAILABLE',
    `the bundle endpoint has no SVID of ${trustDomain} to sign with`,
    { next: 'sign with a recovery key: entente bundle show --signed --recovery-key FILE' },
  )
}
