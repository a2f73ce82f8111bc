/** A peer, or a sameness group of peers. */
export type ConsulPeers = { readonly Peer: string } | { readonly SamenessGroup: string }

/** An exported service of Consul. */
export interface ConsulExported {
  readonly Name: string
  readonly Namespace: string
  readonly Consumers: readonly ConsulPeers[]
}

/** One source of an intention with its destination. */
export interface ConsulIntention {
  readonly destination: { readonly Namespace: string; readonly Name: string }
  readonly source: ConsulPeers & {
    readonly Namespace: string
    readonly Name: string
    /** Undefined where conditions on requests stand instead. */
    readonly Action: 'allow' | 'deny' | undefined
  }
}

/** What Consul has been told. */
export interface ConsulState {
  readonly exported: readonly ConsulExported[]
  readonly intentions: readonly ConsulIntention[]
  /** The peers of each sameness group. */
  readonly groups: Readonly<Record<string, readonly string[]>>
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
 * Whether Consul lets every request of a call through: the service is exported to the peer, and the most specific
 * intention that fits allows it; where none fits, the default is deny. `unclear` when a peer and a group it belongs to
 * are told different things.
 *
 * Written from Consul's documentation of precedence; knows nothing of rules here.
 */
export function consulAllows(
  { exported, intentions, groups }: ConsulState,
  { peer, caller, service }: ConsulCall,
): boolean | 'unclear' {
  const isMeant = (peers: ConsulPeers): boolean =>
    'Peer' in peers ? peers.Peer === peer : groups[peers.SamenessGroup]?.includes(peer) === true
  const isExported = exported.some(
    (one) => matches(one, service) && one.Consumers.some((consumer) => isMeant(consumer)),
  )
  if (!isExported) return false
  const fitting = intentions.filter(
    ({ destination, source }) =>
      isMeant(source) && matches(destination, service) && matches(source, caller),
  )
  const highest = Math.max(...fitting.map(precedence))
  const actions = fitting.filter((one) => precedence(one) === highest)
  const verdicts = new Set(actions.map(({ source }) => source.Action === 'allow'))
  if (verdicts.size === 2) return 'unclear'
  return verdicts.has(true)
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
