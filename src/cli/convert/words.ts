import { type InputNode } from './input-node.ts'

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/** A name that is a DNS label (RFC 1123), as names of services, namespaces, relationships and groups are here. */
export function labelAt(node: InputNode): string {
  const text = node.text()
  if (LABEL.test(text)) return text
  throw node.refused(
    text === '' ? 'a name is missing' : 'wanted a DNS label: a-z, 0-9 and "-", at most 63',
  )
}

/** A DNS label, or `*` for all: an absent, empty or `*` value. */
export function labelOrAllAt(node: InputNode): string {
  const text = node.text()
  return text === '' || text === '*' ? '*' : labelAt(node)
}

/** A DNS label; `otherwise` when absent or empty. */
export function labelOrAt(node: InputNode, otherwise: string): string {
  return node.text() === '' ? otherwise : labelAt(node)
}

/** Refuses each member of an object that is not among those known: it may say what no rule says. */
export function unknownMembers(node: InputNode, known: readonly string[]): readonly InputNode[] {
  const spelled = new Set(known.map(node.source.spelling))
  return node
    .members()
    .filter(([name, member]) => !spelled.has(node.source.spelling(name)) && !member.isAbsent)
    .map(([, member]) => member)
}
