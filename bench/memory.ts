import { type Bench } from './harness.ts'
export const memory: Bench = async function* () {}
