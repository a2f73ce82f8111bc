import { type InputNode } from '../convert/input-node.ts'
import { IDENTITY_FIELDS, type IdentityField } from './source-pattern.ts'

/** A value of a policy that speaks of callers, and where it stands. */
export interface Value {
  readonly field: IdentityField
  readonly text: string
  readonly node: InputNode
}

/** What a source asks of a caller's identity: one value of every list must match, and none of `not`. */
export interface Source {
  readonly lists: readonly (readonly Value[])[]
  readonly not: readonly Value[]
  /** Something else than an identity is asked for: an address, a token, a claim. */
  readonly isNarrowedOtherwise: boolean
}

/** Asks nothing. */
export const NOTHING: Source = { lists: [], not: [], isNarrowedOtherwise: false }

/** What a `source` of a rule asks. */
export function sourceOf(node: InputNode): Source {
  return {
    lists: IDENTITY_FIELDS.map((field) => valuesOf(field, node.member(field))).filter(
      (list) => list.length > 0,
    ),
    not: IDENTITY_FIELDS.flatMap((field) => valuesOf(field, node.member(negated(field)))),
    isNarrowedOtherwise: [
      'ipBlocks',
      'notIpBlocks',
      'remoteIpBlocks',
      'notRemoteIpBlocks',
      'requestPrincipals',
      'notRequestPrincipals',
    ].some((name) => node.member(name).items().length > 0),
  }
}

/** Conditions on callers: `source.principal` and its kin say what the fields of a source say. */
const CONDITION_FIELDS: Readonly<Record<string, IdentityField>> = {
  'source.principal': 'principals',
  'source.namespace': 'namespaces',
  'source.serviceAccount': 'serviceAccounts',
  'source.trustDomain': 'trustDomains',
}

/** What the conditions of a rule ask of a caller's identity. */
export function conditionsOf(when: InputNode): Source {
  let all = NOTHING
  for (const condition of when.items()) {
    const key = condition.member('key').text()
    const field = Object.hasOwn(CONDITION_FIELDS, key) ? CONDITION_FIELDS[key] : undefined
    if (field === undefined) {
      if (/^(source\.ip|remote\.ip|request\.auth)/.test(key)) {
        all = { ...all, isNarrowedOtherwise: true }
      }
      continue
    }
    const values = valuesOf(field, condition.member('values'))
    all = merged(all, {
      lists: values.length === 0 ? [] : [values],
      not: valuesOf(field, condition.member('notValues')),
      isNarrowedOtherwise: false,
    })
  }
  return all
}

/** Both must match. */
export function merged(one: Source, other: Source): Source {
  return {
    lists: [...one.lists, ...other.lists],
    not: [...one.not, ...other.not],
    isNarrowedOtherwise: one.isNarrowedOtherwise || other.isNarrowedOtherwise,
  }
}

function valuesOf(field: IdentityField, node: InputNode): Value[] {
  return node.items().map((item) => ({ field, text: item.text(), node: item }))
}

function negated(field: IdentityField): string {
  return `not${field.charAt(0).toUpperCase()}${field.slice(1)}`
}
