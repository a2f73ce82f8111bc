import { type Static, Type } from 'typebox'
import { SETTINGS } from './settings.ts'

const seconds = (name: keyof typeof SETTINGS) =>
  Type.Integer({
    minimum: SETTINGS[name].min,
    maximum: SETTINGS[name].max,
    description: `${SETTINGS[name].what} in seconds; default ${SETTINGS[name].default}`,
  })

/** The settings of a mesh in force. */
const MeshSettingsBody = Type.Object(
  {
    rootSeconds: seconds('rootSeconds'),
    intermediateSeconds: seconds('intermediateSeconds'),
    jwtKeySeconds: seconds('jwtKeySeconds'),
    endpointSvidSeconds: seconds('endpointSvidSeconds'),
    maxX509SvidSeconds: seconds('maxX509SvidSeconds'),
    maxJwtSvidSeconds: seconds('maxJwtSvidSeconds'),
    minPublishSeconds: seconds('minPublishSeconds'),
    hintSeconds: seconds('hintSeconds'),
    removalSkewSeconds: seconds('removalSkewSeconds'),
  },
  { additionalProperties: false },
)

const MeshSettingsPatch = Type.Partial(MeshSettingsBody, { additionalProperties: false })

const Profile = Type.Union([Type.Literal('https_web'), Type.Literal('https_spiffe')])
const Text = Type.String({ minLength: 1, maxLength: 200 })
const DnsSuffix = Type.String({
  maxLength: 200,
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$',
  description: 'suffix of the host names of imported services; default mesh.internal',
})
const Environment = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
  description: 'for example production; meshes of different environments are kept apart by default',
})

const AvailabilityTarget = Type.Integer({
  minimum: 1,
  maximum: 5,
  description: 'the availability tier below which an alert is raised',
})

/** Path of a mesh. */
export const MeshParams = Type.Object({ meshId: Type.String({ maxLength: 63 }) })

/** Body of `POST /v1/meshes`. */
export const CreateMeshBody = Type.Object(
  {
    meshId: Type.String({ maxLength: 63, description: 'a DNS label, unique in the service' }),
    trustDomain: Type.String({ maxLength: 300, description: 'for example acme.example' }),
    displayName: Type.Optional(Text),
    dnsSuffix: Type.Optional(DnsSuffix),
    environment: Type.Optional(Environment),
    bundleHost: Type.Optional(
      Type.String({
        maxLength: 253,
        description: 'host of the bundle endpoint; default <meshId>.<public host>',
      }),
    ),
    profile: Type.Optional(Profile),
    settings: Type.Optional(MeshSettingsPatch),
    availabilityTarget: Type.Optional(AvailabilityTarget),
  },
  { additionalProperties: false },
)

/** Body of `PATCH /v1/meshes/{meshId}`. */
export const ChangeMeshBody = Type.Object(
  {
    displayName: Type.Optional(Text),
    dnsSuffix: Type.Optional(DnsSuffix),
    environment: Type.Optional(Type.Union([Environment, Type.Null()])),
    settings: Type.Optional(MeshSettingsPatch),
    availabilityTarget: Type.Optional(Type.Union([AvailabilityTarget, Type.Null()])),
  },
  { additionalProperties: false, minProperties: 1 },
)

/** Whether the host of a bundle endpoint leads to this service, seen from here. */
const HostCheckBody = Type.Object({
  resolvesToUs: Type.Boolean(),
  addresses: Type.Array(Type.String()),
  detail: Type.String(),
})

/** A trust domain of a mesh, with what peers need to fetch its bundle. */
export const TrustDomainBody = Type.Object({
  name: Type.String(),
  isPrimary: Type.Boolean(),
  issuer: Type.Union([Type.Literal('managed'), Type.Literal('observed')]),
  bundleUrl: Type.String(),
  bundleHost: Type.String(),
  profile: Profile,
  endpointSpiffeId: Type.Union([Type.String(), Type.Null()]),
  selfServing: Type.Boolean(),
  hostCheck: Type.Optional(HostCheckBody),
})

/** A cluster of a mesh. */
const ClusterBody = Type.Object({
  name: Type.String(),
  role: Type.Union([Type.Literal('primary'), Type.Literal('remote')]),
  state: Type.Union([Type.Literal('active'), Type.Literal('draining'), Type.Literal('disabled')]),
  issuing: Type.Union([Type.Literal('managed'), Type.Literal('delegated')]),
})

/** How available the control planes of a mesh are, from where they are. */
const AvailabilityBody = Type.Object({
  tier: Type.Integer({
    minimum: 0,
    maximum: 5,
    description:
      '1 one control plane per region, 2 several per region, 3 one per zone, 4 several per zone, 5 each cluster its own; 0 less than that',
  }),
  reason: Type.String(),
  raise: Type.Array(Type.String({ description: 'what would raise the tier' })),
  target: Type.Union([Type.Integer(), Type.Null()]),
  met: Type.Boolean({ description: 'whether the tier is the target or above' }),
})

/** A mesh. */
export const MeshBody = Type.Object({
  meshId: Type.String(),
  displayName: Type.String(),
  dnsSuffix: Type.String(),
  environment: Type.Union([Type.String(), Type.Null()]),
  settings: MeshSettingsBody,
  availabilityTarget: Type.Union([Type.Integer(), Type.Null()]),
  availability: AvailabilityBody,
  trustDomains: Type.Array(TrustDomainBody),
  clusters: Type.Array(ClusterBody),
  version: Type.String(),
  createdAt: Type.String({ format: 'date-time' }),
})

/** A mesh that was just changed, and what to do about it. */
export const ChangedMeshBody = Type.Object({
  ...MeshBody.properties,
  crossesEnvironments: Type.Array(Type.String(), {
    description:
      'once an environment was named: relationships with meshes of another one that no rule keeps apart',
  }),
  next: Type.Array(Type.String({ description: 'a useful command' })),
})

/** A mesh that was just made, and what to do with it. */
export const CreatedMeshBody = Type.Object({
  ...MeshBody.properties,
  next: Type.Array(Type.String({ description: 'a useful command' })),
})

/** What ended, or would end, with a mesh. */
export const EndedBody = Type.Object({
  ended: Type.Array(
    Type.Object({
      kind: Type.String(),
      name: Type.String(),
      effect: Type.String(),
      blocks: Type.Boolean({ description: 'needs force=true' }),
    }),
  ),
})

/** A mesh on the wire. */
export type MeshView = Static<typeof MeshBody>
/** A trust domain on the wire. */
export type TrustDomainView = Static<typeof TrustDomainBody>
/** The answer to the change of a mesh. */
export type ChangedMeshView = Static<typeof ChangedMeshBody>
/** The answer to the creation of a mesh. */
export type CreatedMeshView = Static<typeof CreatedMeshBody>
/** The answer to the deletion of a mesh. */
export type EndedView = Static<typeof EndedBody>
