import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'

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
      servers: [{ url: 'http://127.0.0.1:8080', description: 'the admin listener' }],
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer', description: 'an API token' },
        },
      },
      security: [{ token: [] }],
    },
    transform: ({ schema, url }) => ({ schema: withProblems(schema), url }),
  }
}

const problem = {
  description: 'Refused: a problem document with a stable code (RFC 9457)',
  content: {
    'application/problem+json': {
      schema: {
        type: 'object',
        required: ['type', 'title', 'status', 'code', 'detail'],
        properties: {
          type: { type: 'string' },
          title: { type: 'string' },
          status: { type: 'integer' },
          code: { type: 'string' },
          detail: { type: 'string' },
          instance: { type: 'string' },
          next: { type: 'string' },
          errors: {
            type: 'array',
            items: {
              type: 'object',
              properties: {
                in: { type: 'string' },
                pointer: { type: 'string' },
                detail: { type: 'string' },
              },
            },
          },
        },
      },
    },
  },
}

/** Every route can refuse; the answer's shape is the same everywhere, so it is added here and not in each route. */
function withProblems<T>(schema: T): T {
  if (typeof schema !== 'object' || schema === null) return schema
  const known = 'response' in schema && isRecord(schema.response) ? schema.response : {}
  return { ...schema, response: { ...known, '4xx': problem, '5xx': problem } }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
