import { type Static, Type } from 'typebox'
import { MeshBody, MeshParams } from '../../mesh/api.ts'

const TrustDomainName = Type.String({ maxLength: 300 })

/** Body of `POST /v1/meshes/{meshId}/adopt`. */
export const AdoptBody = Type.Object(
  {
    trustDomain: Type.String({
      maxLength: 300,
      description: 'the one that another system signs for',
    }),
    source: Type.Union([
      Type.Literal('https_web'),
      Type.Literal('https_spiffe'),
      Type.Literal('static'),
    ]),
    endpointUrl: Type.Optional(
      Type.String({ maxLength: 2048, description: 'the bundle endpoint of the present system' }),
    ),
    endpointSpiffeId: Type.Optional(Type.String({ maxLength: 2048 })),
    bundle: Type.Optional(
      Type.String({ minLength: 2, maxLength: 1_048_576, description: 'text of a SPIFFE bundle' }),
    ),
    bundlePem: Type.Optional(
      Type.String({
        minLength: 2,
        maxLength: 1_048_576,
        description: 'its X.509 authorities as PEM, instead of bundle',
      }),
    ),
    changePolicy: Type.Optional(
      Type.Union([Type.Literal('auto'), Type.Literal('overlap'), Type.Literal('approve')]),
    ),
    endpointTrustDomain: Type.Optional(
      Type.String({
        maxLength: 300,
        description: 'for a new mesh: a trust domain of its own, under which we serve',
      }),
    ),
  },
  { additionalProperties: false },
)

/** Path of a trust domain of a mesh. */
export const TrustDomainParams = Type.Object({
  ...MeshParams.properties,
  trustDomain: TrustDomainName,
})

/** A mesh after its trust domain was adopted, handed to us or released, and what to do next. */
export const AdoptedBody = Type.Object({
  mesh: MeshBody,
  source: Type.Union([Type.String(), Type.Null()], {
    description: 'the relationship by which the present system is read; null once it was released',
  }),
  warnings: Type.Array(Type.String()),
  next: Type.Array(Type.String({ description: 'a useful command' })),
})

/** The answer to an adoption. */
export type AdoptedView = Static<typeof AdoptedBody>
