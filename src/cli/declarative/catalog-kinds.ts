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
  closed: keptElsewhere,
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
