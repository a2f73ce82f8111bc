import { type Command, Option } from 'commander'
import {
  type CreatedWebhookView,
  type DeliveryView,
  type TestedWebhookView,
  type WebhookView,
} from '../../federation/alert/alert-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { CliFailure } from '../failure.ts'
import { table } from '../output.ts'

interface DryRun {
  readonly dryRun?: boolean
}

interface AddOptions extends DryRun {
  readonly url: string
  readonly minSeverity?: string
  readonly code?: string[]
  readonly note?: string
}

const DRY_RUN = ['--dry-run', 'show the effect and change nothing'] as const

/** `webhook`: who is told of alerts by an HTTPS request. */
export function registerWebhook(program: Command, cli: Cli): void {
  const webhook = program
    .command('webhook')
    .description('who is told of alerts; with a mesh those of that mesh, else of the service')
  registerKeeping(webhook, cli)
  registerDeliveries(webhook, cli)
}

function registerKeeping(webhook: Command, cli: Cli): void {
  webhook
    .command('add')
    .description('tell a receiver of alerts; its secret is shown this once')
    .argument('<name>')
    .requiredOption('--url <url>', 'https only; redirects are not followed')
    .addOption(
      new Option(
        '--min-severity <severity>',
        'alerts at least this urgent; default warning',
      ).choices(['info', 'warning', 'critical']),
    )
    .option('--code <codes...>', 'alerts of these codes only')
    .option('--note <text>', 'for people')
    .option(...DRY_RUN)
    .action((name: string, options: AddOptions) => add(cli, name, options))
  webhook
    .command('list')
    .description('list webhooks')
    .action(() => list(cli))
  webhook
    .command('delete')
    .description('delete a webhook with what waits for it')
    .argument('<name>')
    .option(...DRY_RUN)
    .action(async (name: string, { dryRun }: DryRun) => {
      await cli.delete<WebhookView>(targetOf(cli, name), { query: { dryRun } })
      cli.say(`webhook ${name} ${dryRun === true ? 'would be' : 'is'} deleted`)
    })
}

function registerDeliveries(webhook: Command, cli: Cli): void {
  webhook
    .command('test')
    .description('send a test message now')
    .argument('<name>')
    .option('--dry-run', 'show the message and send nothing')
    .action((name: string, options: DryRun) => test(cli, name, options))
  webhook
    .command('deliveries')
    .description('list what was sent, waits or was given up, the newest first')
    .argument('<name>')
    .addOption(
      new Option('--state <state>', 'only those').choices(['pending', 'delivered', 'dead']),
    )
    .action((name: string, { state }: { state?: string }) => deliveries(cli, name, state))
  webhook
    .command('retry')
    .description('send a delivery again from the first try')
    .argument('<name>')
    .argument('<id>', 'as `webhook deliveries` shows it')
    .option(...DRY_RUN)
    .action(async (name: string, id: string, { dryRun }: DryRun) => {
      const target = `${targetOf(cli, name)}${path`/deliveries/${id}/retry`}`
      cli.print(shownDelivery(await cli.post<DeliveryView>(target, {}, { query: { dryRun } })))
    })
}

async function add(cli: Cli, name: string, options: AddOptions): Promise<void> {
  const { url, minSeverity, code: codes, note, dryRun } = options
  const body = { name, url, minSeverity, codes, note }
  cli.print(await cli.post<CreatedWebhookView>(placeOf(cli), body, { query: { dryRun } }))
}

async function list(cli: Cli): Promise<void> {
  cli.printTable(
    table(
      await cli.list<WebhookView>(placeOf(cli)),
      [
        { title: 'NAME', value: ({ name }) => name },
        { title: 'URL', value: ({ url }) => url },
        { title: 'FROM', value: ({ minSeverity }) => minSeverity },
        { title: 'CODES', value: ({ codes }) => codes?.join(', ') ?? 'all' },
        { title: 'NOTE', value: ({ note }) => note },
      ],
      ['no webhooks', 'entente webhook add NAME --url URL'],
    ),
  )
}

async function test(cli: Cli, name: string, { dryRun }: DryRun): Promise<void> {
  const tested = await cli.post<TestedWebhookView>(
    `${targetOf(cli, name)}/test`,
    {},
    { query: { dryRun } },
  )
  const { error } = tested
  if (error !== null) {
    throw new CliFailure(error.message, error.next === null ? {} : { next: [error.next] })
  }
  cli.print(tested)
}

async function deliveries(cli: Cli, name: string, state: string | undefined): Promise<void> {
  const found = await cli.list<DeliveryView>(`${targetOf(cli, name)}/deliveries`, { state })
  cli.printTable(
    table(
      found,
      [
        { title: 'ID', value: ({ id }) => id },
        { title: 'EVENT', value: ({ event }) => event },
        { title: 'STATE', value: ({ state: is }) => is },
        { title: 'TRIES', value: ({ attempts }) => attempts },
        { title: 'NEXT', value: ({ nextAt }) => nextAt },
        { title: 'LAST-ERROR', value: ({ lastError }) => lastError },
      ],
      'no deliveries',
    ),
  )
}

function shownDelivery({ id, event, state, attempts, nextAt }: DeliveryView) {
  return { id, event, state, attempts, nextAt }
}

/** `--mesh` and ENTENTE_MESH choose the mesh; without either it is the service. */
function placeOf(cli: Cli): string {
  const mesh = cli.meshOption()
  return mesh === undefined ? '/webhooks' : path`/meshes/${mesh}/webhooks`
}

function targetOf(cli: Cli, name: string): string {
  return `${placeOf(cli)}${path`/${name}`}`
}
