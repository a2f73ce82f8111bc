import { type Command } from 'commander'
import {
  type ChangedPeerGroupView,
  type CreatedPeerGroupView,
  type EndedPeerGroupView,
  type PeerGroupMemberView,
  type PeerGroupView,
} from '../../federation/group/peer-group-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'
import { printDocuments } from '../declarative/print.ts'
import { table } from '../output.ts'
import { sayChanges } from './changes-text.ts'
import { collect } from './service-words.ts'

interface CreateOptions {
  readonly member: readonly string[]
  readonly self?: boolean
  readonly note?: string
  readonly dryRun?: boolean
}

interface SetOptions {
  readonly member: readonly string[]
  readonly add: readonly string[]
  readonly remove: readonly string[]
  readonly self?: boolean
  readonly note?: string
  readonly dryRun?: boolean
}

const DRY_RUN = ['--dry-run', 'show the effect and change nothing'] as const
const MEMBER_HELP = 'a relationship; repeatable, the first has the highest rank'

/** `peer-group`: named sets of peers. */
export function registerPeerGroup(program: Command, cli: Cli): void {
  const noun = program
    .command('peer-group')
    .description('groups of peers, to be named where one peer could be')
  registerChanges(noun, cli)
  noun
    .command('list')
    .description('list groups')
    .action(() => listGroups(cli))
  noun
    .command('show')
    .description('show a group with its members by rank')
    .argument('<name>')
    .action((name: string) => showGroup(cli, name))
  noun
    .command('delete')
    .description('delete a group')
    .argument('<name>')
    .option('--force', 'although something uses it')
    .option('--dry-run', 'list what uses it and change nothing')
    .action((name: string, options: { force?: boolean; dryRun?: boolean }) =>
      deleteGroup(cli, name, options),
    )
}

function registerChanges(noun: Command, cli: Cli): void {
  noun
    .command('create')
    .description('make a group')
    .argument('<name>', 'a DNS label, never changed')
    .option('--member <relationship>', MEMBER_HELP, collect, [])
    .option('--self', 'this mesh itself is a member too, before the peers')
    .option('--note <text>', 'for people')
    .option(...DRY_RUN)
    .action((name: string, options: CreateOptions) => createGroup(cli, name, options))
  noun
    .command('set')
    .description('change note and members')
    .argument('<name>')
    .option('--member <relationship>', `in the place of all members: ${MEMBER_HELP}`, collect, [])
    .option('--self', 'with --member: this mesh itself is a member too, before the peers')
    .option('--add <relationship>', 'one more member, last; repeatable', collect, [])
    .option('--remove <relationship>', 'a member no more; repeatable', collect, [])
    .option('--note <text>', 'for people; empty takes it away')
    .option(...DRY_RUN)
    .action((name: string, options: SetOptions) => setGroup(cli, name, options))
}

async function createGroup(cli: Cli, name: string, options: CreateOptions): Promise<void> {
  const { member, self, note, dryRun } = options
  const body = { name, note, members: membersOf(member, self === true) }
  const target = path`/meshes/${await cli.meshId()}/peer-groups`
  printGroup(cli, await cli.post<CreatedPeerGroupView>(target, body, { query: { dryRun } }))
}

async function setGroup(cli: Cli, name: string, options: SetOptions): Promise<void> {
  const target = await targetOf(cli, name)
  const ifMatch = await cli.etag(target)
  const members = await wantedMembers(cli, target, options)
  const note = options.note === '' ? null : options.note
  if (members === undefined && note === undefined) {
    throw usageFailure('nothing to change', 'give --member, --add, --remove or --note')
  }
  const { dryRun } = options
  const body = { note, members }
  const group = await cli.patch<ChangedPeerGroupView>(target, body, { ifMatch, query: { dryRun } })
  printGroup(cli, group)
  if (cli.output === 'table') sayMembersChanges(cli, group)
}

/** The whole list of members that is wanted; undefined when none of the options is about members. */
async function wantedMembers(
  cli: Cli,
  target: string,
  { member, self, add, remove }: SetOptions,
): Promise<PeerGroupMemberView[] | undefined> {
  if (member.length > 0 || self === true) {
    if (add.length + remove.length === 0) return membersOf(member, self === true)
    throw usageFailure('--member and --self name all members', 'leave --add and --remove out')
  }
  if (add.length + remove.length === 0) return undefined
  const { members } = await cli.get<PeerGroupView>(target)
  const kept = members.filter((one) => 'self' in one || !remove.includes(one.relationship))
  const again = add.find((name) =>
    kept.some((one) => 'relationship' in one && one.relationship === name),
  )
  if (again !== undefined) {
    throw usageFailure(
      `${again} is a member already`,
      `leave it out, or move it to the end: --remove ${again} --add ${again}`,
    )
  }
  return [...kept, ...membersOf(add, false)]
}

async function listGroups(cli: Cli): Promise<void> {
  const groups = await cli.list<PeerGroupView>(path`/meshes/${await cli.meshId()}/peer-groups`)
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'PeerGroup', views: groups })
  cli.printTable(
    table(
      groups,
      [
        { title: 'NAME', value: ({ name }) => name },
        { title: 'MEMBERS', value: ({ members }) => members.map(wordOf) },
        { title: 'NOTE', value: ({ note }) => note },
      ],
      ['no groups', 'entente peer-group create NAME --member RELATIONSHIP'],
    ),
  )
}

async function showGroup(cli: Cli, name: string): Promise<void> {
  const group = await cli.get<PeerGroupView>(await targetOf(cli, name))
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'PeerGroup', views: [group] })
  printGroup(cli, group)
}

async function deleteGroup(
  cli: Cli,
  name: string,
  query: { readonly force?: boolean; readonly dryRun?: boolean },
): Promise<void> {
  const answer = await cli.delete<EndedPeerGroupView>(await targetOf(cli, name), {
    query: { ...query },
  })
  if (cli.output !== 'table') {
    cli.print(answer)
    return
  }
  cli.say(`peer group ${name} ${query.dryRun === true ? 'would be' : 'is'} deleted; with it:`)
  cli.printTable(
    table(
      answer.ended,
      [
        { title: 'WHAT', value: ({ kind, name: what }) => `${kind} ${what}` },
        { title: 'EFFECT', value: ({ effect }) => effect },
        { title: 'NEEDS FORCE', value: ({ blocks }) => (blocks ? 'yes' : 'no') },
      ],
      'nothing else',
    ),
  )
  sayMembersChanges(cli, answer)
}

function sayMembersChanges(cli: Cli, { changes }: Pick<ChangedPeerGroupView, 'changes'>): void {
  const lines = sayChanges(changes, { direction: true })
  if (lines.length > 0) cli.say(['what rules say to its members changes:', ...lines].join('\n'))
}

function printGroup(cli: Cli, group: PeerGroupView | CreatedPeerGroupView): void {
  if (cli.output !== 'table') {
    cli.print(group)
    return
  }
  cli.print({
    name: group.name,
    members: group.members.map(wordOf),
    note: group.note,
    ...('next' in group ? { next: group.next } : {}),
  })
}

function membersOf(names: readonly string[], self: boolean): PeerGroupMemberView[] {
  const peers = names.map((relationship) => ({ relationship }))
  return self ? [{ self: true }, ...peers] : peers
}

function wordOf(member: PeerGroupMemberView): string {
  return 'self' in member ? '(this mesh)' : member.relationship
}

async function targetOf(cli: Cli, name: string): Promise<string> {
  return path`/meshes/${await cli.meshId()}/peer-groups/${name}`
}
