import { type Command, InvalidArgumentError } from 'commander'
import { type CreatedEntryView, type EndedEntryView, type EntryView } from '../../registry/api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { printDocuments } from '../declarative/print.ts'
import { CliFailure, usageFailure } from '../failure.ts'
import { table } from '../output.ts'
import { collect } from './service-words.ts'
import { readMoment } from './spans.ts'

interface ContentOptions {
  readonly x509Ttl?: number
  readonly jwtTtl?: number
  readonly dnsName: readonly string[]
  readonly federatesWith?: EntryView['federatesWith']
  readonly hint?: string
  readonly cluster?: string
  readonly expiresAt?: string
  readonly dryRun?: boolean
}

/** `entry`: who may have which identity. */
export function registerEntry(program: Command, cli: Cli): void {
  const noun = program.command('entry').description('entries: who may have which identity')
  withContent(
    noun
      .command('create')
      .description('add an entry; a join token of it then yields the identity')
      .requiredOption('--id <id>', "SPIFFE ID, or a path in the mesh's trust domain ('/web')"),
  ).action((options: ContentOptions & { id: string }) => createEntry(cli, options))
  withContent(
    noun
      .command('change')
      .description('change what an entry yields from the next SVID on')
      .argument('<entry>', 'SPIFFE ID, path or id'),
  ).action((entry: string, options: ContentOptions) => changeEntry(cli, entry, options))
  noun
    .command('list')
    .description('list entries')
    .action(() => listEntries(cli))
  noun
    .command('show')
    .description('show an entry')
    .argument('<entry>', 'SPIFFE ID, path or id')
    .action(async (entry: string) => {
      const view = await cli.get<EntryView>(await find(cli, entry))
      if (cli.output === 'yaml') await printDocuments(cli, { kind: 'Entry', views: [view] })
      else printEntry(cli, view)
    })
  noun
    .command('delete')
    .description('delete an entry and its join tokens; its SVIDs live on until they end')
    .argument('<entry>', 'SPIFFE ID, path or id')
    .option('--dry-run', 'show what ends and change nothing')
    .action(async (entry: string, { dryRun }: { dryRun?: boolean }) => {
      const target = await find(cli, entry)
      printEntry(cli, await cli.delete<EndedEntryView>(target, { query: { dryRun } }))
    })
}

function readFederated(text: string): EntryView['federatesWith'] {
  if (text === 'all' || text === 'none') return text
  return text.startsWith('group:') ? { group: text.slice('group:'.length) } : text.split(',')
}

/** A whole number of seconds above zero. */
export function readSeconds(text: string): number {
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('it must be a whole number of seconds')
}

function withContent(command: Command): Command {
  return command
    .option('--x509-ttl <seconds>', 'life of X509-SVIDs; default 3600', readSeconds)
    .option('--jwt-ttl <seconds>', 'life of JWT-SVIDs; default 300', readSeconds)
    .option('--dns-name <name>', 'DNS name in X509-SVIDs; repeatable', collect, [])
    .option(
      '--federates-with <peers>',
      'all (default), none, trust domains with commas between, or group:NAME',
      readFederated,
    )
    .option('--hint <word>', 'tells identities of one workload apart')
    .option(
      '--cluster <cluster>',
      'its holder may report the endpoints of this cluster; empty takes it away',
    )
    .option('--expires-at <moment>', 'when the entry ends: a date or an RFC 3339 time', readMoment)
    .option('--dry-run', 'show the effect and change nothing')
}

async function createEntry(cli: Cli, options: ContentOptions & { id: string }): Promise<void> {
  const target = path`/meshes/${await cli.meshId()}/entries`
  const body = { spiffeId: options.id, ...contentOf(options) }
  const query = { dryRun: options.dryRun }
  printEntry(cli, await cli.post<CreatedEntryView>(target, body, { query }))
}

async function changeEntry(cli: Cli, entry: string, options: ContentOptions): Promise<void> {
  const body = contentOf(options)
  if (Object.keys(body).length === 0) {
    throw usageFailure('nothing to change', 'entente entry change --help')
  }
  const query = { dryRun: options.dryRun }
  printEntry(cli, await cli.patch<EntryView>(await find(cli, entry), body, { query }))
}

function contentOf(options: ContentOptions): Record<string, unknown> {
  const { x509Ttl, jwtTtl, dnsName, federatesWith, hint, cluster, expiresAt } = options
  const content = {
    x509TtlSeconds: x509Ttl,
    jwtTtlSeconds: jwtTtl,
    dnsNames: dnsName.length > 0 ? dnsName : undefined,
    federatesWith,
    hint,
    cluster: cluster === '' ? null : cluster,
    expiresAt,
  }
  return Object.fromEntries(Object.entries(content).filter(([, value]) => value !== undefined))
}

async function listEntries(cli: Cli): Promise<void> {
  const entries = await cli.list<EntryView>(path`/meshes/${await cli.meshId()}/entries`)
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'Entry', views: entries })
  cli.printTable(
    table(
      entries,
      [
        { title: 'SPIFFE ID', value: ({ spiffeId }) => spiffeId },
        { title: 'X.509', value: ({ x509TtlSeconds }) => `${x509TtlSeconds} s` },
        { title: 'JWT', value: ({ jwtTtlSeconds }) => `${jwtTtlSeconds} s` },
        { title: 'FEDERATES WITH', value: ({ federatesWith }) => wordsOf(federatesWith) },
        { title: 'REPORTS', value: ({ cluster }) => cluster },
        { title: 'EXPIRES', value: ({ expiresAt }) => expiresAt },
      ],
      ['no entries', 'entente join-token create --id /PATH   # makes one with its first token'],
    ),
  )
}

/** An entry; on a terminal with its peers as the option writes them. */
function printEntry(cli: Cli, view: Pick<EntryView, 'federatesWith'>): void {
  const shown = { ...view, federatesWith: wordsOf(view.federatesWith) }
  cli.print(cli.output === 'table' ? shown : view)
}

function wordsOf(federatesWith: EntryView['federatesWith']): string | readonly string[] {
  return typeof federatesWith === 'object' && 'group' in federatesWith
    ? `group:${federatesWith.group}`
    : federatesWith
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** The path of an entry named by its id, its SPIFFE ID or the path of it. */
async function find(cli: Cli, entry: string): Promise<string> {
  const mesh = await cli.meshId()
  if (UUID.test(entry)) return path`/meshes/${mesh}/entries/${entry}`
  const [found] = await cli.list<EntryView>(path`/meshes/${mesh}/entries`, { spiffeId: entry })
  if (found !== undefined) return path`/meshes/${mesh}/entries/${found.id}`
  throw new CliFailure(`mesh ${mesh} has no entry for ${entry}`, { next: ['entente entry list'] })
}
