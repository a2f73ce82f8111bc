import { ServiceError } from '../../errors.ts'

/**
 * What the parts of a topology must agree on, by the name under which a refusal tells it; everything else is legal
 * in any mix.
 */
export const TOPOLOGY_RULES = {
  'zone-in-region': 'a zone lies in a region',
  'subzone-in-zone': 'a subzone lies in a zone',
  'uses-control-plane': 'a cluster, a remote one above all, uses at least one control plane',
  'primary-has-control-plane': 'a primary cluster has a control plane of its own',
  'primary-in-primary-cluster': 'a primary control plane runs in a primary cluster of its mesh',
  'external-outside-mesh':
    'an external or managed control plane runs in no cluster of the mesh that it controls',
  'cluster-in-network': 'a cluster is in at least one network',
  'gateway-in-network': 'a gateway is run by a cluster that is in its network',
  'ranked-once': 'a cluster ranks each control plane once',
  'in-network-once': 'a cluster is in a network once',
  'shared-once': 'of the networks of one mesh only one can be the same shared network',
  'somebody-signs': 'a mesh has at least one enabled cluster, whose intermediate signs its SVIDs',
} as const

/** The name of a rule. */
export type TopologyRule = keyof typeof TOPOLOGY_RULES

/** Where in a body a rule was broken, and what helps. */
export interface IllegalAt {
  readonly pointer?: string
  readonly next?: string
}

/** The refusal (INVALID_REQUEST) of an illegal combination; `found` is in words. */
export function illegal(
  rule: TopologyRule,
  found: string,
  { pointer, next }: IllegalAt = {},
): ServiceError {
  const message = `${found}; ${TOPOLOGY_RULES[rule]} (rule ${rule})`
  return new ServiceError('INVALID_REQUEST', message, {
    ...(next === undefined ? {} : { next }),
    ...(pointer === undefined ? {} : { fields: [{ in: 'body', pointer, detail: message }] }),
  })
}

/** Most objects of one kind in a mesh: {@link Topology} is read whole to route a call. */
export const MAX_OBJECTS = { cluster: 1000, 'control plane': 1000, network: 1000, gateway: 2000 }

/** Refuses one object more than a mesh can have (CONFLICT). */
export function checkRoom(kind: keyof typeof MAX_OBJECTS, count: number): void {
  if (count < MAX_OBJECTS[kind]) return
  throw new ServiceError(
    'CONFLICT',
    `the mesh has ${count} ${kind}s, at most ${MAX_OBJECTS[kind]} are kept`,
    { next: `delete a ${kind} that is not used, or make a second mesh and federate with it` },
  )
}
