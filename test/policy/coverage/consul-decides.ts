/** An exported service of Consul; the consumers are peers. */
export interface ConsulExported {
  readonly Name: string
  readonly Namespace: string
  readonly Consumers: readonly { readonly Peer: string }[]
}

/** One source of an intention with its destination. */
export interface ConsulIntention {
  readonly destination: { readonly Namespace: string; readonly Name: string }
  readonly source: {
    readonly Namespace: string
    readonly Name: string
    readonly Peer: string
    readonly Action: 'allow' | 'deny'
  }
}

/** A service, or a caller, by namespace and name. */
export interface ConsulName {
  readonly namespace: string
  readonly name: string
}

/** A call from a service of a peer to one of ours. */
export interface ConsulCall {
  readonly peer: string
  readonly caller: ConsulName
  readonly service: ConsulName
}

/**
 * Whether Consul lets a call through: the service is exported to the peer, and the most specific intention that
 * fits allows it; where none fits, the default is deny.
 *
 * Written from Consul's documentation of precedence; knows nothing of rules here.
 */
export function consulAllows(
  exported: readonly ConsulExported[],
  intentions: readonly ConsulIntention[],
  { peer, caller, service }: ConsulCall,
): boolean {
  const isExported = exported.some(
    (one) => matches(one, service) && one.Consumers.some(({ Peer }) => Peer === peer),
  )
  if (!isExported) return false
  const [first] = intentions
    .filter(
      ({ destination, source }) =>
        source.Peer === peer && matches(destination, service) && matches(source, caller),
    )
    .toSorted((a, b) => precedence(b) - precedence(a))
  return first?.source.Action === 'allow'
}

function matches(
  pattern: { readonly Namespace: string; readonly Name: string },
  { namespace, name }: ConsulName,
): boolean {
  if (pattern.Namespace !== '*' && pattern.Namespace !== namespace) return false
  return pattern.Name === '*' || pattern.Name === name
}

/** From 9 (all four parts exact) to 1 (none), as the table in Consul's documentation has it. */
function precedence({ destination, source }: ConsulIntention): number {
  return exactness(destination) * 3 + exactness(source) + 1
}

function exactness(one: { readonly Namespace: string; readonly Name: string }): number {
  if (one.Namespace === '*') return 0
  return one.Name === '*' ? 1 : 2
}
