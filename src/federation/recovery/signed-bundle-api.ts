import { type Static, Type } from 'typebox'
import { MAX_SIGNED_BUNDLE_SECONDS } from '../../pki/signed-bundle.ts'

/** Query of `GET …/bundle/signed`. */
export const SignedBundleQuery = Type.Object(
  {
    for: Type.String({ maxLength: 300, description: 'the trust domain that may use it' }),
    trustDomain: Type.Optional(
      Type.String({ maxLength: 300, description: "default the mesh's primary one" }),
    ),
    ttlSeconds: Type.Optional(
      Type.Integer({
        minimum: 60,
        maximum: MAX_SIGNED_BUNDLE_SECONDS,
        description: 'default 86400',
      }),
    ),
  },
  { additionalProperties: false },
)

/** A bundle of ours, signed for one receiver. */
export const SignedBundleBody = Type.Object({
  trustDomain: Type.String(),
  for: Type.String(),
  sequence: Type.String(),
  expiresAt: Type.String({ format: 'date-time' }),
  signedBundle: Type.String({ description: 'a compact JWS of type entente-bundle+jws' }),
})

/** The answer to a wish for a signed bundle. */
export type SignedBundleView = Static<typeof SignedBundleBody>
