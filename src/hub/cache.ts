// Files of a model hub on this machine. A folder a repository: `refs/` says which commit a branch or tag was at last,
// `commits/` which files a commit has, `blobs/` holds contents by their hash, so that commits share what they share.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../files.js';
import { HubError } from './errors.js';

/** A file of a commit. */
export interface RepoFile {
  /** Git's hash of the blob; of large files the SHA-256 of their contents. */
  hash: string;
  size: number;
}

/** The files of one commit by path. */
export type Manifest = Readonly<Record<string, RepoFile>>;

export const COMMIT = /^[0-9a-f]{40}$/;

const hash = z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/);
const manifest = z.record(z.string(), z.object({ hash, size: z.int().min(0) }));

/** Where downloads are kept unless something else is asked for: `$VITLAB_CACHE/hub`, else `~/.cache/vitlab/hub`. */
export function hubCacheDir(): string {
  return path.join(process.env['VITLAB_CACHE'] || path.join(os.homedir(), '.cache', 'vitlab'), 'hub');
}

/** The cached part of one repository. */
export class RepoCache {
  private readonly folder: string;

  /** @param endpoint the hub; other hubs than the usual one have folders of their own */
  constructor(root: string, endpoint: string, repo: string) {
    this.folder = path.join(root, folderName(new URL(endpoint).host), folderName(repo));
  }

  /** The commit that a branch, tag or commit stands for, as last seen. */
  commitOf(revision: string): string | undefined {
    if (COMMIT.test(revision)) return revision;
    const commit = read(this.refFile(revision))?.trim();
    return commit !== undefined && COMMIT.test(commit) ? commit : undefined;
  }

  /** The files of a commit, where they were listed before. */
  manifestOf(commit: string): Manifest | undefined {
    const file = this.manifestFile(commit);
    const text = read(file);
    if (text === undefined) return undefined;
    try {
      return manifest.parse(JSON.parse(text));
    } catch (cause) {
      throw new HubError(`The cache is damaged: ${file} is no list of files. Remove it.`, undefined, { cause });
    }
  }

  /** Remembers what a revision is. @throws HubError where the hub's list is none */
  keep(revision: string, commit: string, files: Manifest): void {
    const parsed = manifest.safeParse(files);
    if (!parsed.success) throw new HubError(`The hub's list of files is not valid: ${z.prettifyError(parsed.error)}`);
    writeFileAtomic(this.manifestFile(commit), [Buffer.from(JSON.stringify(files, undefined, 1))]);
    if (revision !== commit) writeFileAtomic(this.refFile(revision), [Buffer.from(`${commit}\n`)]);
  }

  /** Where a file's contents are, or will be. */
  blob(file: RepoFile): string {
    return path.join(this.folder, 'blobs', file.hash);
  }

  /** Whether a file's contents are there, in their full length. What is there was checked when it arrived. */
  has(file: RepoFile): boolean {
    return fs.statSync(this.blob(file), { throwIfNoEntry: false })?.size === file.size;
  }

  private refFile(revision: string): string {
    return path.join(this.folder, 'refs', `${encodeURIComponent(revision)}.txt`);
  }

  private manifestFile(commit: string): string {
    return path.join(this.folder, 'commits', `${commit}.json`);
  }
}

const folderName = (name: string): string => `@${name.replaceAll('/', '--').replaceAll(':', '_')}`;

function read(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
