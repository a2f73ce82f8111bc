import { path } from '../client.ts'
import { isJsonRecord, type JsonRecord } from './json-schema.ts'
import { type Kind, type Reference } from './kind.ts'

/** The kind `Service`, named by namespace and name; what a sync keeps up to date takes no change from a file. */
export const service: Kind = {
  kind: 'Service',
  collection: '/meshes/{meshId}/services',
  nameMember: 'name',
  nameWanted: 'a name, and a namespace beside it',
  nameOf: ({ namespace, name }) =>
    typeof namespace === 'string' && typeof name === 'string' ? `${namespace}/${name}` : undefined,
  item: '/{namespace}/{name}',
  pathOf: (name) => {
    const [namespace = '', own = ''] = name.split('/')
    return path`/${namespace}/${own}`
  },
  comparable: withWholeIdentities,
  kept: keptElsewhere,
}

/** The kind `Entry`, named by its whole SPIFFE ID, so that two documents cannot mean one by different names. */
export const entry: Kind = {
  kind: 'Entry',
  collection: '/meshes/{meshId}/entries',
  nameMember: 'spiffeId',
  nameWanted: 'a whole SPIFFE ID',
  nameOf: ({ spiffeId }) =>
    typeof spiffeId === 'string' && spiffeId.startsWith('spiffe://') ? spiffeId : undefined,
  refersTo: namedBy,
}

/** A path stands for the SPIFFE ID that the service made of it, and the order of identities says nothing. */
function withWholeIdentities(body: JsonRecord, live: JsonRecord): JsonRecord {
  const found = textsIn(live, 'identities')
  const wanted = textsIn(body, 'identities').map(
    (id) => found.find((one) => id.startsWith('/') && pathIn(one) === id) ?? id,
  )
  const isSame =
    new Set([...found, ...wanted]).size === found.length && wanted.length >= found.length
  return { ...body, identities: isSame ? found : wanted }
}

function textsIn(record: JsonRecord, name: string): string[] {
  const value = record[name]
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

/** `/web` of `spiffe://acme.example/web`. */
function pathIn(id: string): string {
  return id.replace(/^spiffe:\/\/[^/]*/, '')
}

function keptElsewhere({ managedBy }: JsonRecord): string | undefined {
  if (!Array.isArray(managedBy) || managedBy.length === 0) return undefined
  return `it is kept up to date by ${managedBy.join(', ')}`
}

function namedBy({ cluster, federatesWith }: JsonRecord): Reference[] {
  const group = isJsonRecord(federatesWith) ? federatesWith['group'] : undefined
  return [
    ...(typeof cluster === 'string' ? [{ kind: 'Cluster', name: cluster }] : []),
    ...(typeof group === 'string' ? [{ kind: 'PeerGroup', name: group }] : []),
  ]
}
