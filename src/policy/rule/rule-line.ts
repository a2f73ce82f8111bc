import { type Callers } from './callers.ts'
import { selectorLine } from './label-selector.ts'
import { type Alias, type Audience, type RuleContent, type Subject } from './rule.ts'

/**
 * A rule in one line, as lists and reasons show it: `export allow shop/* [app=web] to globex (callers /web)`.
 *
 * Identities are told as such: `export allow identity /web to globex`.
 */
export function ruleLine(rule: RuleContent): string {
  const { direction, effect, subject, audience, as, visibleTo, clusters } = rule
  const preposition = direction === 'export' ? 'to' : 'from'
  return [
    `${direction} ${effect} ${subjectLine(subject)} ${preposition} ${audienceLine(audience)}`,
    ...(as === undefined ? [] : [`as ${aliasLine(as)}`]),
    ...(visibleTo === undefined
      ? []
      : [`visible to ${visibleTo.map(({ text }) => text).join(' ')}`]),
    ...(clusters === undefined ? [] : [`in clusters ${clusters.join(' ')}`]),
  ].join(' ')
}

/** What a rule speaks of, in short. */
function subjectLine(subject: Subject): string {
  if (subject.kind === 'identity') return `identity ${subject.path.text}`
  const { namespace, name, labels, ports } = subject
  return [
    `${namespace.text}/${name.text}`,
    ...(labels === undefined ? [] : [`[${selectorLine(labels)}]`]),
    ...(ports === undefined ? [] : [`ports ${ports.join(' ')}`]),
  ].join(' ')
}

function aliasLine({ namespace = '*', name = '*' }: Alias): string {
  return `${namespace}/${name}`
}

function audienceLine({ kind, relationships, groups, callers }: Audience): string {
  const named = [...relationships, ...groups.map((group) => `group ${group}`)].join(', ')
  const whom = kind === 'peers' ? named || 'nobody' : kind
  return callers === undefined ? whom : `${whom} (callers ${callersLine(callers)})`
}

function callersLine({ namespaces, paths }: Callers): string {
  return [...namespaces, ...paths].map(({ text }) => text).join(' ')
}
