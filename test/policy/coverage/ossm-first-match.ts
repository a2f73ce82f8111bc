/** A name selector of an OSSM rule; an absent, empty or `*` part is any, or keeps the service's own in an alias. */
export interface NameSelector {
  readonly namespace?: string
  readonly name?: string
  readonly alias?: { readonly namespace?: string; readonly name?: string }
}

/** A label selector of an OSSM export rule with its own list of names. */
export interface LabelSelectorRule {
  readonly namespace?: string
  readonly selector: {
    readonly matchLabels?: Readonly<Record<string, string>>
    readonly matchExpressions?: readonly {
      readonly key: string
      readonly operator: string
      readonly values?: readonly string[]
    }[]
  }
  readonly aliases?: readonly NameSelector[]
}

/** A rule of an ExportedServiceSet or ImportedServiceSet. */
export interface OssmRule {
  readonly type: 'NameSelector' | 'LabelSelector'
  readonly nameSelector?: NameSelector
  readonly labelSelector?: LabelSelectorRule
}

/** A service as OSSM sees it. */
export interface OssmService {
  readonly namespace: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

/**
 * What OSSM makes of a service: the name of the first rule that matches, undefined when none does.
 *
 * Written from the documentation of ExportedServiceSet and ImportedServiceSet; knows nothing of rules here.
 */
export function firstMatch(rules: readonly OssmRule[], service: OssmService): string | undefined {
  for (const rule of rules) {
    const name =
      rule.type === 'NameSelector'
        ? byName(rule.nameSelector, service)
        : byLabels(rule.labelSelector, service)
    if (name !== undefined) return name
  }
  return undefined
}

function byName(selector: NameSelector | undefined, service: OssmService): string | undefined {
  if (selector === undefined) return undefined
  if (!isAny(selector.namespace) && selector.namespace !== service.namespace) return undefined
  if (!isAny(selector.name) && selector.name !== service.name) return undefined
  const { namespace, name } = selector.alias ?? {}
  return `${isAny(namespace) ? service.namespace : namespace}/${isAny(name) ? service.name : name}`
}

function byLabels(rule: LabelSelectorRule | undefined, service: OssmService): string | undefined {
  if (rule === undefined) return undefined
  if (!isAny(rule.namespace) && rule.namespace !== service.namespace) return undefined
  const { matchLabels = {}, matchExpressions = [] } = rule.selector
  for (const [key, value] of Object.entries(matchLabels)) {
    if (service.labels[key] !== value) return undefined
  }
  for (const { key, operator, values = [] } of matchExpressions) {
    const found = service.labels[key]
    const isIn = found !== undefined && values.includes(found)
    if (operator === 'In' && !isIn) return undefined
    if (operator === 'NotIn' && isIn) return undefined
    if (operator === 'Exists' && found === undefined) return undefined
    if (operator === 'DoesNotExist' && found !== undefined) return undefined
  }
  for (const alias of rule.aliases ?? []) {
    const name = byName(alias, service)
    if (name !== undefined) return name
  }
  return `${service.namespace}/${service.name}`
}

function isAny(part: string | undefined): boolean {
  return part === undefined || part === '' || part === '*'
}
