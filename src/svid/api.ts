import { type Static, Type } from 'typebox'
import { MAX_JOIN_TOKEN_CHARACTERS } from '../pki/join-token.ts'

const Moment = Type.String({ format: 'date-time' })

/** Characters of a CSR in PEM or base64: 16 KiB of DER and the armour. */
const MAX_CSR_CHARACTERS = 24 * 1024

/** Body of `POST /v1/svids/x509`. */
export const X509RequestBody = Type.Object(
  {
    csr: Type.String({
      minLength: 1,
      maxLength: MAX_CSR_CHARACTERS,
      description: 'PKCS#10, PEM or base64 DER; only its key counts',
    }),
    token: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: MAX_JOIN_TOKEN_CHARACTERS,
        description: 'a join token, unless the connection shows an X509-SVID of ours',
      }),
    ),
  },
  { additionalProperties: false },
)

/** A SPIFFE bundle of one trust domain; the document is text, so that no number in it loses digits. */
export const BundleBody = Type.Object({
  trustDomain: Type.String(),
  sequence: Type.Union([Type.String({ description: 'decimal' }), Type.Null()]),
  document: Type.String({ description: 'SPIFFE bundle, JSON' }),
})

/** Answer of `POST /v1/svids/x509`. */
export const X509AnswerBody = Type.Object({
  spiffeId: Type.String(),
  hint: Type.Union([Type.String(), Type.Null()]),
  serial: Type.String({ description: 'lower-case hex' }),
  certificateChain: Type.String({ description: 'PEM: the SVID and the intermediates above it' }),
  notBefore: Moment,
  expiresAt: Moment,
  renewAt: Type.String({ format: 'date-time', description: 'when to ask again, by this SVID' }),
  bundleRefreshSeconds: Type.Integer({
    description: 'ask for bundles again within this time (GET /v1/bundles)',
  }),
  bundle: BundleBody,
  federatedBundles: Type.Array(BundleBody),
  missingBundles: Type.Array(Type.Object({ trustDomain: Type.String(), reason: Type.String() }), {
    description: 'federated domains of which there is no bundle now, and why',
  }),
})

/** Body of `POST /v1/svids/jwt`. */
export const JwtRequestBody = Type.Object(
  {
    audience: Type.Array(Type.String({ minLength: 1, maxLength: 2048 }), {
      minItems: 1,
      maxItems: 16,
      description: 'whom the token is for; one, unless the service allows several',
    }),
  },
  { additionalProperties: false },
)

/** Answer of `POST /v1/svids/jwt`. */
export const JwtAnswerBody = Type.Object({
  spiffeId: Type.String(),
  hint: Type.Union([Type.String(), Type.Null()]),
  token: Type.String({ description: 'JWT-SVID' }),
  keyId: Type.String(),
  issuedAt: Moment,
  expiresAt: Moment,
})

/** The answer to a request for an X509-SVID. */
export type X509AnswerView = Static<typeof X509AnswerBody>
/** The answer to a request for a JWT-SVID. */
export type JwtAnswerView = Static<typeof JwtAnswerBody>
/** A SPIFFE bundle on the wire. */
export type BundleView = Static<typeof BundleBody>
