import { type JsonRecord } from './json-schema.ts'
import { type Kind, type Reference, type Wanted } from './kind.ts'

/**
 * The kinds of a topology. Clusters and control planes name each other: the own control plane of a primary cluster is
 * made with it, and what its document says beyond that is applied afterwards; of control planes that rank each other
 * in a circle, those that are not there yet are added to a cluster once they are.
 */
export const TOPOLOGY_KINDS: readonly Kind[] = [
  { kind: 'Network', collection: '/meshes/{meshId}/networks', nameMember: 'name' },
  {
    kind: 'ControlPlane',
    collection: '/meshes/{meshId}/control-planes',
    nameMember: 'name',
    shape: withoutNull,
    refersTo: ({ cluster }) => references('Cluster', [cluster]),
  },
  {
    kind: 'Cluster',
    collection: '/meshes/{meshId}/clusters',
    nameMember: 'name',
    comparable: asItStays,
    making: withOwnControlPlane,
    makes: (body) => references('ControlPlane', [ownControlPlaneOf(body)]),
    without: withoutPlanes,
    takesForce: true,
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

function ownControlPlaneOf({ role, name, ownControlPlane }: JsonRecord): unknown {
  return role === 'primary' ? (ownControlPlane ?? name) : undefined
}

// Of the primary control planes that documents place in a cluster, one is made with it: that which it ranks first.
function withOwnControlPlane({ mesh, name, body }: Wanted, all: readonly Wanted[]): JsonRecord {
  if (body['role'] !== 'primary' || body['ownControlPlane'] !== undefined) return body
  const inside = all
    .filter((one) => one.kind.kind === 'ControlPlane' && one.mesh === mesh)
    .filter((one) => one.body['type'] === 'primary' && one.body['cluster'] === name)
    .map((one) => one.name)
  const ranked = references('ControlPlane', body['controlPlanes']).map((one) => one.name)
  const own = ranked.find((plane) => inside.includes(plane)) ?? inside[0]
  return own === undefined ? body : { ...body, ownControlPlane: own }
}

// A primary cluster begins with its own control plane alone; a remote one needs one of the others.
function withoutPlanes(body: JsonRecord, missing: readonly Reference[]): JsonRecord | undefined {
  if (missing.some(({ kind }) => kind !== 'ControlPlane')) return undefined
  const { controlPlanes, ...rest } = body
  const names = references('ControlPlane', controlPlanes).map(({ name }) => name)
  const there = names.filter((name) => !missing.some((one) => one.name === name))
  if (there.length > 0) return { ...rest, controlPlanes: there }
  return body['role'] === 'primary' ? rest : undefined
}

function references(kind: string, names: unknown): Reference[] {
  const list: readonly unknown[] = Array.isArray(names) ? names : []
  return list.flatMap((name) => (typeof name === 'string' ? [{ kind, name }] : []))
}
