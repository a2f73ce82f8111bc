import { type Cli } from '../cli.ts'
import { CliFailure } from '../failure.ts'
import { isJsonRecord, type JsonSchema } from './json-schema.ts'
import { type Kind } from './kind.ts'

/** The bodies that the API takes for one kind. */
export interface KindSchemas {
  readonly create: JsonSchema
  readonly change: JsonSchema
}

interface Operation {
  readonly requestBody?: {
    readonly content?: Readonly<Record<string, { readonly schema?: JsonSchema }>>
  }
}

/** Operations by path and method. */
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>

/** The service's own description of its API; so documents may hold whatever that service knows. */
export class ApiDescription {
  readonly #paths: Paths

  constructor(document: unknown) {
    const paths = isJsonRecord(document) ? document['paths'] : undefined
    if (!isJsonRecord(paths)) throw new CliFailure('the service does not describe its API')
    this.#paths = paths as Paths
  }

  /** What the API takes for a kind; throws a failure when the service does not know the kind. */
  of({ kind, collection, item: below, isSet = false, nameMember }: Kind): KindSchemas {
    const at = `/v1${collection}`
    const whole = isSet ? bodyOf(this.#paths[at]?.['put']) : undefined
    if (whole !== undefined) return schemasOfSet(whole, nameMember)
    const item =
      below === undefined
        ? Object.keys(this.#paths).find(
            (path) => path.startsWith(`${at}/{`) && path.endsWith('}') && isOneMore(path, at),
          )
        : at + below
    const create = bodyOf(this.#paths[at]?.['post'])
    const change = item === undefined ? undefined : bodyOf(this.#paths[item]?.['patch'])
    if (create !== undefined && change !== undefined) return { create, change }
    throw new CliFailure(`this service knows no documents of kind ${kind}`, {
      next: ['use the commands of the version that the service has'],
    })
  }
}

/** Reads the description that the service serves beside its API. */
export async function readDescription(cli: Cli): Promise<ApiDescription> {
  return new ApiDescription(await cli.get('/docs/json'))
}

/** What is set whole takes any member away; its name stands in the path and not in the body. */
function schemasOfSet(whole: JsonSchema, nameMember: string): KindSchemas {
  const members = Object.entries(whole.properties ?? {})
  const removable = members.map(([name, member]) => [name, { anyOf: [member, { type: 'null' }] }])
  return {
    create: { ...whole, properties: { [nameMember]: { type: 'string' }, ...whole.properties } },
    change: { ...whole, properties: Object.fromEntries(removable) },
  }
}

function isOneMore(path: string, collection: string): boolean {
  return !path.slice(collection.length + 1).includes('/')
}

function bodyOf(operation: Operation | undefined): JsonSchema | undefined {
  return operation?.requestBody?.content?.['application/json']?.schema
}
