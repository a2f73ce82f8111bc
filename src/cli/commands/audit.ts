import { type Command, InvalidArgumentError } from 'commander'
import { type AuditRecordView, type VerdictView } from '../../audit/api.ts'
import { type Cli } from '../cli.ts'
import { CliFailure } from '../failure.ts'
import { table } from '../output.ts'

interface ListOptions {
  readonly limit: number
  readonly object?: string
  readonly actor?: string
  readonly action?: string
  readonly oldest?: boolean
}

/** Most records that one page of the API holds. */
const PAGE = 500

/** `audit`: what was changed, by whom, and whether the log is whole. */
export function registerAudit(program: Command, cli: Cli): void {
  const audit = program.command('audit').description('the audit log: every change, by whom')
  audit
    .command('list')
    .description("list records, newest first; with --mesh only that mesh's")
    .option('--limit <number>', 'at most this many', readCount, 50)
    .option('--object <object>', 'only of this object, for example relationship/globex')
    .option('--actor <actor>', 'only by this actor, for example token:ci:1a2b3c4d')
    .option('--action <action>', 'only this action, for example rule.create')
    .option('--oldest', 'oldest first')
    .action((options: ListOptions) => listRecords(cli, options))
  audit
    .command('verify')
    .description('check the whole log on its stored bytes; exit code 1 when a record is broken')
    .option('--head <n:hash>', 'a place in the log that was written down before')
    .action((options: { readonly head?: string }) => verify(cli, options.head))
}

async function listRecords(cli: Cli, options: ListOptions): Promise<void> {
  const { limit, object, actor, action, oldest } = options
  const order = oldest === true ? 'oldest' : 'newest'
  const filter = { object, actor, action, order, mesh: cli.meshOption() }
  const records: AuditRecordView[] = []
  let cursor: string | undefined
  do {
    const query = { ...filter, limit: Math.min(PAGE, limit - records.length), cursor }
    const page = await cli.get<{ items: AuditRecordView[]; nextCursor: string | null }>('/audit', {
      query,
    })
    records.push(...page.items)
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined && records.length < limit)
  cli.printTable(
    table(
      records,
      [
        { title: 'N', value: (record) => record.n ?? '-' },
        { title: 'AT', value: (record) => record.at },
        { title: 'MESH', value: (record) => record.meshId ?? '-' },
        { title: 'ACTOR', value: (record) => record.actor },
        { title: 'ACTION', value: (record) => record.action },
        { title: 'OBJECT', value: (record) => record.object },
      ],
      'no records; a change shows here within a second',
    ),
  )
}

/** A check of a long log reads all of it. */
const VERIFY_TIMEOUT_SECONDS = 600

async function verify(cli: Cli, head: string | undefined): Promise<void> {
  const verdict = await cli.get<VerdictView>('/audit/verify', {
    query: { head },
    timeoutSeconds: VERIFY_TIMEOUT_SECONDS,
  })
  const { broken } = verdict
  if (cli.output !== 'table') cli.print(verdict)
  if (broken !== null) {
    throw new CliFailure(`the audit log is broken at record ${broken.n}: ${broken.detail}`, {
      code: broken.flaw,
      next: ['entente audit list --oldest', 'compare with a backup and with the links in the logs'],
    })
  }
  if (verdict.head === null) cli.say('the audit log has no numbered record yet')
  else cli.say(`${verdict.verified} records verified, ${verdict.unsealed} not yet numbered`)
  if (verdict.head !== null && head === undefined) {
    cli.say(
      `keep this line where nobody who can write to the database can change it:\n  entente audit verify --head ${verdict.head}`,
    )
  }
}

function readCount(value: string): number {
  const count = Number(value)
  if (Number.isInteger(count) && count >= 1 && count <= 100_000) return count
  throw new InvalidArgumentError('it must be a number from 1 to 100000')
}
