import { type PeerChangesView } from '../../federation/group/peer-changes-api.ts'

type PeerChanges = PeerChangesView['peers'][number]
type Item = PeerChanges['items'][number]

const SIGNS = { visible: '+', hidden: '-', renamed: '~', allowed: '+', denied: '-' } as const
/** Peers whose changes are spelled out; of more, each is told by its counts. */
const MAX_SPELLED = 5

/** What becomes otherwise for each peer, a line each; `direction` says also whose services they are. */
export function sayChanges(
  { peers, complete }: PeerChangesView,
  { direction = false }: { readonly direction?: boolean } = {},
): string[] {
  const say = peers.length > MAX_SPELLED ? sayCounts : sayItems
  return [
    ...peers.flatMap((one) => say(one, direction ? titleOf(one) : one.peer)),
    ...(complete
      ? []
      : ['  the change reaches so far that only the first services of each were compared']),
  ]
}

function titleOf({ peer, direction }: PeerChanges): string {
  if (peer === 'self') return 'to this mesh'
  return direction === 'export' ? `to ${peer}` : `from ${peer}`
}

function sayItems(changes: PeerChanges, title: string): string[] {
  const { counts, items } = changes
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0)
  return [
    ...items.map((item) => `  ${SIGNS[item.kind]} ${title}: ${sayItem(item)}`),
    ...(all > items.length
      ? [`  these are the first ${items.length} of ${all} for ${title}: ${countsText(changes)}`]
      : []),
  ]
}

function sayCounts(changes: PeerChanges, title: string): string[] {
  const [first] = changes.items
  const such = first === undefined ? '' : `, such as ${first.subject}`
  return [`  ${title}: ${countsText(changes)}${such}`]
}

function countsText({ counts }: PeerChanges): string {
  const kinds = ['visible', 'hidden', 'renamed', 'allowed', 'denied'] as const
  return kinds.flatMap((kind) => (counts[kind] === 0 ? [] : [`${counts[kind]} ${kind}`])).join(', ')
}

function sayItem({ kind, subject, name = subject, was = '', who }: Item): string {
  const alias = name === subject ? '' : ` as ${name}`
  const whom = who.filter((one) => one !== '*' && one !== 'namespace *')
  const terms = whom.length === 0 ? '' : ` (${whom.join(', ')})`
  if (kind === 'renamed') return `${subject} is renamed from ${was} to ${name}`
  return `${subject} becomes ${kind}${alias}${terms}`
}
