import { type Command, InvalidArgumentError, Option } from 'commander'
import { stringify } from 'yaml'
import { type Cli } from '../cli.ts'
import { convertPolicy } from '../convert/convert.ts'
import { type Conversion } from '../convert/draft.ts'
import { type Refusal } from '../convert/input-node.ts'
import { type Origin, ORIGINS } from '../convert/options.ts'
import { CliExit, EXIT } from '../failure.ts'
import { collect } from './service-words.ts'

interface Options {
  readonly from: Origin
  readonly filename: string
  readonly group: string
  readonly peer: readonly string[]
  readonly callerPath: string
}

/** `rule convert`: other systems' policy as documents for `apply`. */
export function registerRuleConvert(rule: Command, cli: Cli): void {
  rule
    .command('convert')
    .description('print the export and import policy of another system as documents for `apply -f`')
    .addOption(
      new Option(
        '--from <system>',
        'ossm: ExportedServiceSet, ImportedServiceSet, MeshFederation; consul: exported-services, service-intentions, sameness-group; mcs: ServiceExport, ServiceImport',
      )
        .choices([...ORIGINS])
        .makeOptionMandatory(),
    )
    .requiredOption('-f, --filename <file>', 'YAML or JSON, or - for stdin')
    .option('--group <name>', 'mcs: the peer group that stands for the cluster set', 'clusterset')
    .option(
      '--peer <relationship>',
      'mcs: a member of that group; repeatable, first rank first',
      collect,
      [],
    )
    .option(
      '--caller-path <template>',
      "consul: the path of a caller's SPIFFE ID",
      readTemplate,
      '/ns/{namespace}/dc/dc1/svc/{name}',
    )
    .addHelpText(
      'after',
      `
What rules cannot say (placement, merging, free hostnames, conditions on requests) is named on stderr, with exit
code 1; the rest is printed all the same. Nothing is changed and no service is asked.

Example:
  kubectl get exportedservicesets,importedservicesets -o yaml | entente rule convert --from ossm -f - > rules.yaml
  entente diff -f rules.yaml --owner ossm`,
    )
    .action((options: Options) => convert(cli, options))
}

async function convert(cli: Cli, options: Options): Promise<void> {
  const { from, filename: file, group, peer: peers, callerPath } = options
  const bytes = await cli.readInput(file)
  const conversion = convertPolicy(
    { from, file, bytes },
    { mesh: cli.meshOption(), group, peers, callerPath },
  )
  printConversion(cli, conversion)
  if (conversion.refusals.length > 0) throw new CliExit(EXIT.refused)
}

function printConversion(cli: Cli, { documents, refusals, remarks }: Conversion): void {
  if (cli.output === 'json') cli.print({ items: documents })
  else if (documents.length > 0) cli.printText(documents.map((one) => stringify(one)).join('---\n'))
  for (const remark of remarks) cli.warn(remark)
  for (const refusal of refusals) cli.warn(`not converted: ${sayRefusal(refusal)}`)
}

function sayRefusal({ source, at, detail }: Refusal): string {
  return `${[source.place, source.title, at].filter((part) => part !== '').join(', ')}: ${detail}`
}

function readTemplate(text: string): string {
  if (/^\/.*\{namespace\}.*\{name\}$/.test(text)) return text
  throw new InvalidArgumentError('it must begin with "/", hold {namespace} and end with {name}')
}
