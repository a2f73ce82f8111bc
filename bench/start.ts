import { type Bench } from './harness.ts'
export const start: Bench = async function* () {}
