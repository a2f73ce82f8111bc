import { type JsonRecord } from './json-schema.ts'
import { type Kind, type Reference } from './kind.ts'

/**
 * The kinds of a topology, in the order in which they depend on each other: clusters name networks and the control
 * planes outside of them, gateways name clusters. The own control plane of a primary cluster is made with it: a document
 * of that control plane is applied once its cluster is there.
 */
export const TOPOLOGY_KINDS: readonly Kind[] = [
  { kind: 'Network', collection: '/meshes/{meshId}/networks', nameMember: 'name' },
  {
    kind: 'ControlPlane',
    collection: '/meshes/{meshId}/control-planes',
    nameMember: 'name',
    shape: withoutNull,
  },
  {
    kind: 'Cluster',
    collection: '/meshes/{meshId}/clusters',
    nameMember: 'name',
    comparable: asItStays,
    refersTo: ({ networks, controlPlanes }) => [
      ...references('Network', networks),
      ...references('ControlPlane', controlPlanes),
    ],
  },
  {
    kind: 'Gateway',
    collection: '/meshes/{meshId}/gateways',
    nameMember: 'name',
    shape: withoutNull,
    refersTo: ({ network, cluster }) => [
      ...references('Network', [network]),
      ...references('Cluster', [cluster]),
    ],
  },
]

// Null is how a view says that there is none; the body that makes such an object leaves it out.
function withoutNull(view: JsonRecord): JsonRecord {
  return Object.fromEntries(Object.entries(view).filter(([, value]) => value !== null))
}

// Lists that a document leaves out stay as they are: a cluster cannot be in no network. The name of its own control
// plane counts only while the cluster is made.
function asItStays(body: JsonRecord, live: JsonRecord): JsonRecord {
  const { ownControlPlane: _, ...rest } = body
  const { networks, controlPlanes, locality } = live
  return { networks, controlPlanes, locality, ...rest }
}

function references(kind: string, names: unknown): Reference[] {
  const list: readonly unknown[] = Array.isArray(names) ? names : []
  return list.flatMap((name) => (typeof name === 'string' ? [{ kind, name }] : []))
}
