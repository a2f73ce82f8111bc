import { type Command, Option } from 'commander'
import { type RelationshipView } from '../../federation/api.ts'
import { type TrustDomainView } from '../../mesh/api.ts'
import { type LintFindingView } from '../../policy/lint/lint-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { CliExit, EXIT, usageFailure } from '../failure.ts'
import { lintIstio } from '../lint/istio.ts'
import { type MeshFacts } from '../lint/mesh-facts.ts'

interface Options {
  readonly from?: 'istio'
  readonly filename?: string
}

/** `rule lint`: what of the rules, or of Istio's own policy, does not do what it seems to. */
export function registerRuleLint(rule: Command, cli: Cli): void {
  rule
    .command('lint')
    .description('find rules that never match, are wider than they look, or that nobody uses')
    .addOption(
      new Option(
        '--from <system>',
        'istio: look at AuthorizationPolicies and MeshConfig in a file instead of the rules here',
      ).choices(['istio']),
    )
    .option('-f, --filename <file>', 'YAML or JSON, or - for stdin; with --from')
    .addHelpText(
      'after',
      `
Exit code 1 when there is an error or a warning, 0 when there are notices only. Nothing is changed; the file is
read here, and only the mesh's trust domains and relationships are asked for.

Examples:
  entente rule lint
  kubectl get authorizationpolicies -A -o yaml | entente rule lint --from istio -f -
  kubectl get configmap istio -n istio-system -o yaml | entente rule lint --from istio -f -`,
    )
    .action((options: Options) => lint(cli, options))
}

async function lint(cli: Cli, { from, filename }: Options): Promise<void> {
  if ((from === undefined) !== (filename === undefined)) {
    throw usageFailure('--from and -f go together', 'entente rule lint --from istio -f FILE')
  }
  const mesh = await cli.meshId()
  const findings =
    filename === undefined
      ? await cli.list<LintFindingView>(path`/meshes/${mesh}/lint`)
      : await lintFile(cli, mesh, filename)
  printFindings(cli, findings)
  if (findings.some(({ severity }) => severity !== 'notice')) throw new CliExit(EXIT.refused)
}

async function lintFile(cli: Cli, mesh: string, file: string): Promise<LintFindingView[]> {
  const bytes = await cli.readInput(file)
  const { items, left } = lintIstio({ file, bytes }, await readFacts(cli, mesh))
  if (left > 0) cli.warn(`${left} more findings are not shown; mend these first`)
  return items
}

async function readFacts(cli: Cli, mesh: string): Promise<MeshFacts> {
  const domains = await cli.list<TrustDomainView>(path`/meshes/${mesh}/trust-domains`)
  const relationships = await cli.list<RelationshipView>(path`/meshes/${mesh}/relationships`)
  return {
    mesh,
    trustDomains: domains.toSorted(primaryFirst).map(({ name }) => name),
    peers: relationships
      .filter(({ state }) => state !== 'terminated')
      .flatMap(({ name, domains: theirs }) =>
        theirs.map(({ trustDomain }) => ({ relationship: name, trustDomain })),
      ),
  }
}

function primaryFirst(one: TrustDomainView, other: TrustDomainView): number {
  return Number(other.isPrimary) - Number(one.isPrimary)
}

function printFindings(cli: Cli, findings: readonly LintFindingView[]): void {
  if (cli.output !== 'table') {
    cli.print({ items: findings })
    return
  }
  if (findings.length === 0) cli.say('nothing found')
  for (const { severity, code, object, message, next } of findings) {
    cli.say([`${severity}  ${object}  ${code}`, `  ${message}`, ...next.map(hint)].join('\n'))
  }
}

function hint(one: string): string {
  return `  next: ${one}`
}
