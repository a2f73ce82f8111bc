import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { CliFailure } from '../failure.ts'
import { isJsonRecord, type JsonRecord } from './json-schema.ts'
import { type Kind } from './kind.ts'

/** Names of objects as the service records who applied them. */
const OF_MESH = 'mesh'
const OF_NAMESPACE = 'namespace/'

/** The kind `Quota`: that of a namespace, or without one that of the mesh, within which the others are. */
export const quota: Kind = {
  kind: 'Quota',
  collection: '/meshes/{meshId}/quotas',
  nameMember: 'namespace',
  nameWanted: 'the name of a namespace, or none for the whole mesh',
  nameOf: ({ namespace }) => {
    if (namespace === undefined || namespace === null) return OF_MESH
    return typeof namespace === 'string' ? OF_NAMESPACE + namespace : undefined
  },
  pathOf: (name) => (name === OF_MESH ? '' : path`/${name.slice(OF_NAMESPACE.length)}`),
  isSet: true,
  find: findQuota,
  shape: ({ namespace, limits }) => ({
    ...(typeof namespace === 'string' && { namespace }),
    ...(isJsonRecord(limits) ? limits : {}),
  }),
  refersTo: ({ namespace }) => (namespace === undefined ? [] : [{ kind: 'Quota', name: OF_MESH }]),
}

/** The quota among those of its mesh; one that nobody set has no limits. */
async function findQuota(
  cli: Cli,
  { mesh, name }: { readonly mesh: string; readonly name: string },
): Promise<JsonRecord | undefined> {
  const namespace = name === OF_MESH ? null : name.slice(OF_NAMESPACE.length)
  try {
    const all = await cli.list<JsonRecord>(path`/meshes/${mesh}/quotas`)
    return all.find((one) => one['namespace'] === namespace) ?? { namespace, limits: {} }
  } catch (thrown) {
    if (thrown instanceof CliFailure && thrown.status === 404) return undefined
    throw thrown
  }
}
