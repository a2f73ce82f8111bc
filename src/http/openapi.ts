import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import { Type } from 'typebox'
import { describeVersions } from './describe-versions.ts'
import type { Versioning } from './etag.ts'

/** How the OpenAPI 3.1 document is made from the routes of the admin listener. */
export function openApiOptions(): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Entente admin API',
        version: '1',
        description:
          'Meshes, authorities, bundles, relationships, identities, services and rules. Errors are RFC 9457 problem documents with a stable code.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'the admin listener' }],
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer', description: 'an API token' },
        },
      },
      security: [{ token: [] }],
    },
    transform: ({ schema, url, route }) => ({
      schema: { ...schema, [VERSIONS]: route.config },
      url,
    }),
    transformObject: (document) => {
      const described = 'openapiObject' in document ? document.openapiObject : {}
      return finish(JSON.parse(JSON.stringify(described)) as Description)
    },
  }
}

const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.String({ description: 'stable; clients may branch on it' }),
  detail: Type.String({ description: 'found, and wanted' }),
  instance: Type.Optional(Type.String({ description: 'id of the request, as in the log' })),
  next: Type.Optional(Type.String({ description: 'what helps' })),
  errors: Type.Optional(
    Type.Array(Type.Object({ in: Type.String(), pointer: Type.String(), detail: Type.String() }), {
      description: 'one for each field that was refused',
    }),
  ),
})

/** Carries what a route says of versions to where its operation is finished, and goes again. */
const VERSIONS = 'x-versions'

interface Operation {
  operationId?: string
  parameters?: object[]
  responses?: Record<string, object>
  [VERSIONS]?: Versioning
}

interface Description {
  paths?: Record<string, Record<string, Operation>>
  components?: Record<string, unknown>
}

/** What is the same in every operation: its id from method and path, and the problem that it may answer with. */
function finish(description: Description): Description {
  for (const [path, operations] of Object.entries(description.paths ?? {})) {
    for (const [method, operation] of Object.entries(operations)) {
      operation.operationId = operationId(method, path)
      const refusal = { $ref: '#/components/responses/Problem' }
      operation.responses = { ...operation.responses, '4XX': refusal, '5XX': refusal }
      describeVersions(operation, operation[VERSIONS] ?? {})
      delete operation[VERSIONS]
    }
  }
  const content = { 'application/problem+json': { schema: Problem } }
  const responses = { Problem: { description: 'Refused, or failed (RFC 9457)', content } }
  return { ...description, components: { ...description.components, responses } }
}

/** `get /v1/meshes/{meshId}/join-tokens` is `getMeshesMeshIdJoinTokens`. */
function operationId(method: string, path: string): string {
  const words = path.replace(/^\/v1/, '').split(/[^A-Za-z0-9]+/)
  return method + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
}
