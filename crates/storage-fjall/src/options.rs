//! How fjall is set up, and why.

use fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{Database, DatabaseBuilder, KeyspaceCreateOptions};
use std::path::Path;
use storage::Family;

const MIB: u64 = 1 << 20;

/// What a user may want to tune.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Memory for everything, in bytes; at least 16 MiB are taken. Half caches blocks. A quarter is for memtables
    /// being filled, and as much again for those being written out; that part is fixed when the store is made.
    pub memory_bytes: u64,
    /// Threads that write memtables out and compact; at least 1.
    pub worker_threads: u16,
    /// Files held open at most.
    pub open_files_max: u16,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            memory_bytes: 64 * MIB,
            worker_threads: 2,
            open_files_max: 512,
        }
    }
}

impl Options {
    fn memory_bytes(&self) -> u64 {
        self.memory_bytes.max(16 * MIB)
    }

    pub fn store(&self, path: &Path) -> DatabaseBuilder<Database> {
        Database::builder(path)
            .cache_size(self.memory_bytes() / 2)
            .worker_threads(usize::from(self.worker_threads.max(1)))
            .max_cached_files(Some(usize::from(self.open_files_max.max(64))))
            // A flush makes the journal durable; nobody needs it in the kernel's hands before.
            .manual_journal_persist(true)
    }

    pub fn family(&self, family: Family) -> KeyspaceCreateOptions {
        let share = self.memory_bytes() / 4 / 16;
        let options = KeyspaceCreateOptions::default().manual_journal_persist(true);
        // Read in sequence, or by keys that are known to be there: a filter would only cost.
        let unfiltered = || FilterPolicy::disabled();
        match family {
            // Whether a put creates or replaces is a point read before each write.
            Family::Current => {
                let bloom = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0));
                options
                    .max_memtable_size(5 * share)
                    .filter_policy(FilterPolicy::all(bloom))
            }
            Family::Log => options.max_memtable_size(5 * share).filter_policy(unfiltered()),
            Family::Versions => options.max_memtable_size(2 * share).filter_policy(unfiltered()),
            _ => options.max_memtable_size(share * 2 / 3),
        }
    }
}
